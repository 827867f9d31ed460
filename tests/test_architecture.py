"""Who may import whom: `core` knows no stage, stages meet through `core` and files, the library knows no command."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "protege"
FILES = sorted(PACKAGE.rglob("*.py"))
CORE_MAY_USE = {"numpy", "PIL", "protege"} | sys.stdlib_module_names
SHARED = {"core", "errors", "devices", "learn", "vlm", "settings"}
"""Below the stages: everybody may use them; they know only `core` and `errors`."""
TOP = {"cli", "commands", "policies", "evaluation", "extras", "doctor", "demo", "improve", "studio"}
"""Above the stages: they may know all of them."""


def imports(path):
    """(module, whether at the top of the file) of every import, as full names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module, node in top
            if node.module == "protege":
                yield from ((f"protege.{alias.name}", node in top) for alias in node.names)


def part(module):
    """The part of the package a module belongs to, None for other libraries."""
    names = module.split(".")
    return names[1] if names[0] == "protege" and len(names) > 1 else None


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_parts_only_know_what_they_may(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module, _ in imports(path):
        other = part(module)
        if other is None or other == own or own in TOP | {"__init__"}:
            continue
        allowed = {"core", "errors"} if own in SHARED else SHARED
        assert other in allowed, f"{path} imports {module}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda p: p.name)
def test_core_needs_only_numpy_pillow_and_the_standard_library(path):
    used = {module.split(".")[0] for module, _ in imports(path)}
    assert used <= CORE_MAY_USE


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md"])
def test_the_map_shows_every_room_in_its_row(document):
    text = (PACKAGE.parents[1] / document).read_text(encoding="utf-8")
    rows = {row.split()[0]: row[9:].split("  ")[0].split() for row in _map(text)}
    base = {"core", "errors"}
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    stages = rooms - TOP - SHARED - {"__init__"}
    assert rows == {"top": sorted(TOP), "stages": sorted(stages), "shared": sorted(SHARED - base), "base": sorted(base)}


def _map(text):
    return [line for line in text.splitlines() if line.startswith(("top  ", "stages  ", "shared  ", "base  "))]


HEAVY = {"torch", "jax", "transformers", "mss", "pynput", "vizdoom", "unsloth", "ray", "datasets", "cv2", "openai"}
STAGES_THAT_NEED_THEM = {"training", "vlm", "controls", "cloning", "evaluation"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_commands_and_light_parts_import_heavy_libraries_where_they_are_used(path):
    own = path.relative_to(PACKAGE).parts[0]
    if own in STAGES_THAT_NEED_THEM:
        return
    top = {module.split(".")[0] for module, at_top in imports(path) if at_top}
    assert not top & HEAVY, f"{path} imports {top & HEAVY} at its top"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path} has no docstring"


USER_COMMANDS = [
    "agent.py",
    "train_vision_agent.py",
    "src/continuos_recoder.py",
    "src/label_segments.py",
    "train_controls.py",
    "BC_training/train.py",
    "BC_training/scripts/test_setup.py",
]


@pytest.mark.parametrize("name", USER_COMMANDS)
def test_the_commands_users_know_only_call_the_package(name):
    path = PACKAGE.parents[1] / name
    if path.exists():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 15
