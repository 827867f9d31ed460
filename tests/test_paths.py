"""A name that stands in a file is data: no path is built from one but by `core/files.component` and `own_name`.

What counts as file contents: what `json` or our readers return, every entry taken by a text key, and the text fields of
all classes that are made from files (`from_json`, `load`, `read` …).
"""

import ast
import functools
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "protege"
READERS = {"read_json", "parse_json", "loads", "load"}
MAKERS = {"from_json", "from_dict", "load", "read", "open"}
BUILDERS = {"joinpath", "with_name", "Path"}
PATHS = {"path", "folder", "file", "root", "source", "target", "picture", "part", "old", "out", "page", "dataset"}
"""Variables that are a Path by their name in this project: their `.name` is one plain component."""
FOLDERS = PATHS | {"parent", "stage", "work", "adapter", "there", "where", "home", "data", "models", "STAGING", "info"}
"""What stands left of a join; anything else that is divided is a number."""

CHECKED = "core/labeled.py and labeling/store.py hold it against component() or own_name() when it is read"
SETTING = "a setting: whoever writes a configuration says where its files lie"
SHOWN = "printed or compared; nothing is opened"
READ = "shown, and read as a session that believes nothing"

REVIEWED = {
    "cloning/agreement.py": {"Path(str(before.settings['dataset.path']))": SETTING},
    "agent/server.py": {"Path(place)": "where a server says its model lies; only a card is read there"},
    "evaluation/arena.py": {"there / (there + old)": "numbers"},
    "evaluation/vizdoom_all.py": {
        "folder / name": "a scenario's name, which is one of five",
        "folder / str(read_json(trained)['model'])": "a model may lie anywhere, and is only read",
    },
    "evaluation/vizdoom_game.py": {"Path(self._folder.name)": "of a temporary folder"},
    "commands/sessions_.py": {"Path(f'{found.resolve().name}.mp4')": "a folder's own name"},
    "commands/clone_.py": {"Path(loaded.training.checkpoint_dir)": SETTING},
    "core/files.py": {"place.with_name(f'.{place.name}.lock')": "a Path's own name"},
    "core/together.py": {"folder / name": "is_component() is asked above"},
    "core/transaction.py": {"root / part.name": "part came from component()"},
    "demo/window.py": {"work / name": "the name of a folder that the demo was given"},
    "improve/vision.py": {"Path(self.config.data.folder)": SETTING},
    "labeling/dataset.py": {"path / sample.image": CHECKED},
    "labeling/edit.py": {
        "edit.root / after.name": CHECKED,
        "root / TRASH / name": CHECKED,
        "root / segment.name": CHECKED,
    },
    "labeling/export.py": {"Path(row['image'])": CHECKED, "out / image": CHECKED},
    "labeling/job.py": {
        "out / f'{session.name}.json'": "a folder's own name",
        "out / k.name": CHECKED,
        "out / piece.name": "made from a folder's own name and a number",
    },
    "labeling/pieces.py": {"path / frame_name(i)": "a number"},
    "labeling/store.py": {
        "Path(folder)": READ,
        "out / f'{self.session}.json'": CHECKED,
        "out / labeled.name": CHECKED,
    },
    "studio/segments.py": {"self.root / card.name": "a folder's own name"},
    "training/earlier.py": {"Path(config.data.folder)": SETTING},
    "training/judged.py": {"Path(judged.name)": SHOWN},
    "training/outputs.py": {"Path(base)": SHOWN},
    "training/page.py": {"Path(judged.name)": SHOWN},
    "training/run.py": {"Path(config.data.folder)": SETTING},
    "training/start.py": {
        "Path(config.data.folder)": SETTING,
        "Path(str(before.settings['data.folder']))": SHOWN,
        "start.checkpoint.with_name(named)": "only its last part, which begins with checkpoint-",
    },
    "vlm/load.py": {
        "Path(base)": "a model's base may lie anywhere, and is only read",
        "Path(self.source)": "what the user named",
        "adapter.parent / Path(base).name": "a model's base may lie anywhere, and is only read",
    },
}
"""Places that were looked at, each with why it is safe."""


@functools.cache
def trees():
    """Every module but those of our own measuring, which read files of our own."""
    found = [path for path in sorted(PACKAGE.rglob("*.py")) if "bench" not in path.relative_to(PACKAGE).parts]
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in found}


@functools.cache
def text_fields():
    """Names of the text fields of every class that can be made from a file."""
    classes = [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    made = [c for c in classes if any(isinstance(n, ast.FunctionDef) and n.name in MAKERS for n in c.body)]
    fields = [n for c in made for n in c.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    return {ast.unparse(n.target) for n in fields if ast.unparse(n.annotation) in ("str", "str | None", "Any")}


def called(node):
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def is_join(node):
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div):
        return False
    left = node.left
    if isinstance(left, ast.Call):
        left = left.func
    return is_join(left) or getattr(left, "attr", getattr(left, "id", "")) in FOLDERS or isinstance(left, ast.Subscript)


class Function:
    """The joins of one function whose right side is what a file says."""

    def __init__(self, node, fields):
        self.fields = fields
        self.tainted = set()
        for _ in range(3):  # through a few assignments
            for inner in ast.walk(node):
                self._assign(inner)
        self.found: list[ast.expr] = [
            n for n in ast.walk(node) if isinstance(n, ast.BinOp) and is_join(n) and self.from_file(n.right)
        ]
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and called(call) in BUILDERS and any(map(self.from_file, call.args)):
                self.found.append(call)

    def _assign(self, node):
        pairs = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.For | ast.comprehension):
            pairs = [(node.target, node.iter)]
        elif isinstance(node, ast.NamedExpr):
            pairs = [(node.target, node.value)]
        for target, value in pairs:
            if self.from_file(value):
                self.tainted |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}

    def from_file(self, node):
        for inner in ast.walk(node):
            if called(inner) in ("component", "own_name"):
                return False
        return any(self._says(inner) for inner in ast.walk(node))

    def _says(self, node):
        if isinstance(node, ast.Name):
            return node.id in self.tainted
        if isinstance(node, ast.Subscript):
            return isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        if isinstance(node, ast.Attribute):
            base = node.value
            own = node.attr == "name" and isinstance(base, ast.Name) and base.id in PATHS
            return node.attr in self.fields and not own and not isinstance(node.ctx, ast.Store)
        return called(node) in READERS and getattr(getattr(node.func, "value", None), "id", "json") == "json"


def joins_from_files(tree, fields):
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted({ast.unparse(join) for node in functions for join in Function(node, fields).found})


@pytest.mark.parametrize("name", trees())
def test_no_path_is_built_from_what_a_file_says(name):
    found = joins_from_files(trees()[name], text_fields())
    new = [join for join in found if join not in REVIEWED.get(name, {})]
    assert not new, f"{name}: use core/files.component, or say in REVIEWED why {new} is safe"


def test_every_place_that_was_looked_at_is_still_there():
    trees_of = {name: trees().get(name, ast.Module([], [])) for name in REVIEWED}
    there = {name: joins_from_files(tree, text_fields()) for name, tree in trees_of.items()}
    gone = {name: join for name, joins in REVIEWED.items() for join in joins if join not in there[name]}
    assert not gone, f"take {gone} out of REVIEWED"


UNSAFE = [
    "def f(out): return out / json.loads(text)['name']",
    "def f(out):\n fields = read_json(path)\n return out / fields['name'] / 'x'",
    "def f(out):\n for row in json.loads(text):\n  name = row\n  yield out / f'{name}.json'",
    "def f(out, sample): return out / sample.image",
    "def f(out, sample): return out.joinpath(sample.image)",
    "def f(row): return Path(row['image'])",
]
SAFE = [
    "def f(out): return component(out, read_json(path)['name'], path, 'name')",
    "def f(out, folder): return out / own_name(folder, read_json(path)['name'], path, 'name')",
    "def f(out, path): return out / path.name / 'segment.json'",
    "def f(count, sample): return count / sample['seconds']",
]


@pytest.mark.parametrize("code", UNSAFE)
def test_the_search_finds_every_way_that_was_seen(code):
    assert joins_from_files(ast.parse(code), {"image", "name"})


@pytest.mark.parametrize("code", SAFE)
def test_the_search_lets_checked_names_and_numbers_pass(code):
    assert not joins_from_files(ast.parse(code), {"image", "name"})


def test_only_one_module_opens_pictures():
    """Pillow alone believes their first bytes: it would start Ghostscript for one, and take any size they claim."""
    opens = {
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PIL.Image.open")
    }
    assert opens == {"core/frame.py"}
