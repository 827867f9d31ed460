"""A library that is not installed is named with the extra that brings it, wherever it is imported."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from protege.extras import NAMES, extra_of, extras
from tests.test_architecture import imports

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "src").rglob("*.py"))
BASE = {"click", "jinja2", "numpy", "PIL", "protege", "BC_training", "continuos_recoder", "train", "__future__"}
FORGIVEN = {
    "unsloth",
    "torchvision",
    "flash_attn",
    "flash_linear_attention",
    "AppKit",
    "Quartz",
    "pywinctl",
    "win32api",
}
"""Used where they are there, or only on other systems; nothing asks for them by name."""


def optional():
    """(file, library) of every import of a library that is not always installed."""
    for path in FILES:
        for library in sorted({module.partition(".")[0] for module, _ in imports(path)}):
            if library not in BASE | FORGIVEN and library not in sys.stdlib_module_names:
                yield path, library


def handled(path, library):
    """Whether each import of a library stands in a `try` that catches ImportError."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any("ImportError" in ast.dump(h.type) for h in node.handlers if h.type):
            inside |= {id(n) for part in node.body for n in ast.walk(part)}
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            inside |= {id(n) for n in ast.walk(node)}
    found = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(a.name.partition(".")[0] == library for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == library)
    ]
    return all(id(node) in inside for node in found)


def test_the_installed_extras_are_those_of_the_project_file():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {re.match(r"[\w.-]+", line)[0].lower() for lines in groups.values() for line in lines}  # pyright: ignore
    assert named == set(extras())


@pytest.mark.parametrize(("path", "library"), [*optional()], ids=lambda v: str(getattr(v, "name", v)))
def test_every_import_of_an_optional_library_has_an_extra_to_name(path, library):
    part = path.relative_to(ROOT / "src" / "protege").parts[0] if path.is_relative_to(ROOT / "src" / "protege") else ""
    extra = extra_of(library, part.removesuffix(".py"))
    assert extra is not None or handled(path, library), f"{path}: {library} belongs to no extra"


BARE = """
import importlib, importlib.machinery, io, json, pkgutil, sys
from contextlib import redirect_stderr, redirect_stdout
missing = set(json.loads(sys.argv[1]))

class OnlyTheBase(importlib.machinery.PathFinder):
    "A machine on which the optional libraries were never installed."
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in missing else super().find_spec(name, path, target)

sys.meta_path[:] = [OnlyTheBase if f is importlib.machinery.PathFinder else f for f in sys.meta_path]
sys.meta_path = [f for f in sys.meta_path if "ditable" not in repr(f)] or sys.meta_path
from protege.cli import guarded, run
import protege
found = {}

def note(name, work):
    err = io.StringIO()
    with redirect_stderr(err), redirect_stdout(io.StringIO()):
        code = work()
    found[name] = (code, err.getvalue())

for module in pkgutil.walk_packages(protege.__path__, "protege."):
    if not module.name.endswith("__main__"):
        note("import " + module.name, lambda: guarded(lambda: 0 * len(str(importlib.import_module(module.name)))))
for line in json.loads(sys.argv[2]):
    note(line, lambda: run(line.split()))
print(json.dumps(found))
"""
COMMANDS = """
label --raw RAW --out OUT
label --raw RAW --out OUT --backend openai --url http://127.0.0.1:9/v1
label --raw RAW --out OUT --backend openai --url http://127.0.0.1:9/v1 --model m
label --raw RAW --out OUT --backend ray
label --raw RAW --out OUT --goal Go
report RAW
export LABELED --out X1 --to hf
export RAW --out X2 --to zarr
export LABELED --out X3 --merge
train data.folder=LABELED
score LABELED LABELED
compare LABELED
tiny-base X4
clone train data.path=RAW
clone doctor
controls train
record --window nothing
arena record --episodes 1 --out X5
play --goal Go --model LABELED
replay RAW/s
import nothing.mcap
demo
doctor
sessions --in RAW
""".strip().splitlines()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """What every module and command says where only the base is installed: {name: (exit code, stderr)}."""
    from protege.labeling import Given, label
    from tests.labeling.recordings import HOLD, record

    root = tmp_path_factory.mktemp("bare")
    label([record(root / "RAW", [HOLD["w"]] * 30)], root / "LABELED", Given("Open the door"))
    libraries = sorted({library for _, library in optional()} | FORGIVEN)
    done = subprocess.run(
        [sys.executable, "-c", BARE, json.dumps(libraries), json.dumps(COMMANDS)],
        check=False, capture_output=True, text=True, timeout=300, cwd=root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_with_the_base_alone_every_module_and_command_works_or_names_its_extra(bare):
    bad = {
        name: (code, said)
        for name, (code, said) in bare.items()
        if "defect" in said or "No module named" in said or (name.startswith("import ") and code not in (0, 2))
    }
    assert bad == {}
    named = {name: match[1] for name, (_, said) in bare.items() if (match := re.search(r"protege\[(\w+)\]", said))}
    assert [named[line] for line in COMMANDS[:4]] == ["vision", "serve", "serve", "ray"]
    assert named["clone train data.path=RAW"] == "cloning"
    assert bare["label --raw RAW --out OUT --goal Go"][0] == bare["report RAW"][0] == 0


def test_names_are_those_of_real_distributions():
    assert set(NAMES.values()) <= {*extras(), "jax"}
