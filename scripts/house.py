"""python scripts/house.py [--json]: how large and how tidy the package is, counted from the source text.

A line of code is counted as it stands in the file; tests are counted without their golden files. Comments are lines
with a `#` comment, on a line of its own or behind code, and lines of docstrings below constants and fields, where
reasons stand too; docstrings of modules, classes and functions are not.
"""

import argparse
import ast
import io
import itertools
import json
import statistics
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "src" / "protege"
MIN_LINES: Final = 6
"""Lines that two places share before they count as a duplicate."""
TARGETS: Final = {
    "package_lines": 26_500,
    "circles": 0,
    "any_per_1000": 5,
    "file_p90": 300,
    "file_max": 400,
    "function_max": 60,
    "duplicates": 10,
}


def sources(folder: Path) -> dict[str, str]:
    """Text of every Python file below `folder` by its path."""
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in sorted(folder.rglob("*.py"))}


def functions(tree: ast.AST) -> Iterator[int]:
    """Length in lines of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def circles(texts: dict[str, str]) -> list[list[str]]:
    """Groups of modules that import each other, at the top or in a function.

    These are the strongly connected components of the import graph (Tarjan 1972).
    """
    modules = {_module(path): path for path in texts}
    edges = {name: sorted(_imported(texts[path], modules.keys()) - {name}) for name, path in modules.items()}
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in edges:
        if name not in index:
            visit(name)
    return found


def _module(path: str) -> str:
    return ".".join(Path(path).with_suffix("").parts[1:]).removesuffix(".__init__")


def _imported(text: str, known: Any) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner & known or {node.module}
    return names & known


def comment_lines(text: str) -> int:
    """Lines with a comment, and lines of docstrings below constants and fields."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for before, after in itertools.pairwise(body if isinstance(body, list) else []):
            if isinstance(before, ast.Assign | ast.AnnAssign) and _is_text(after):
                lines |= set(range(after.lineno, (after.end_lineno or after.lineno) + 1))
    return len(lines)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def duplicates(texts: dict[str, str]) -> list[tuple[str, str]]:
    """Pairs of places ("path:line") that share a run of at least MIN_LINES lines; imports, comments and lone brackets
    do not count, and a longer run is one pair.
    """
    places: dict[tuple[str, ...], list[tuple[str, int, int]]] = defaultdict(list)
    for path, text in texts.items():
        kept = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if _counts(line.strip())]
        for i in range(len(kept) - MIN_LINES + 1):
            places[tuple(line for _, line in kept[i : i + MIN_LINES])].append((path, i, kept[i][0]))
    starts: set[tuple[str, int, str, int]] = set()
    lines: dict[tuple[str, int, str, int], tuple[str, str]] = {}
    for found in places.values():
        for k, (one, i, at) in enumerate(found):
            for other, j, there in found[k + 1 :]:
                starts.add((one, i, other, j))
                lines[(one, i, other, j)] = (f"{one}:{at}", f"{other}:{there}")
    return sorted(lines[key] for key in starts if (key[0], key[1] - 1, key[2], key[3] - 1) not in starts)


def _counts(line: str) -> bool:
    return bool(line) and not line.startswith(("#", "import ", "from ")) and any(c.isalnum() for c in line)


def house() -> dict[str, Any]:
    """Every figure by its name."""
    texts, tests = sources(PACKAGE), sources(ROOT / "tests")
    lengths = sorted(text.count("\n") for text in texts.values())
    package_lines = sum(lengths)
    trees = {path: ast.parse(text) for path, text in texts.items()}
    function_lengths = sorted(length for tree in trees.values() for length in functions(tree))
    any_names = sum(isinstance(n, ast.Name) and n.id == "Any" for tree in trees.values() for n in ast.walk(tree))
    comments = sum(map(comment_lines, texts.values()))
    return {
        "package_lines": package_lines,
        "files": len(lengths),
        "file_median": statistics.median(lengths),
        "file_p90": lengths[int(0.9 * len(lengths))],
        "file_max": lengths[-1],
        "function_median": statistics.median(function_lengths),
        "function_max": function_lengths[-1],
        "any_per_1000": round(1000 * any_names / package_lines, 1),
        "comments_percent": round(100 * comments / package_lines, 1),
        "circles": len(circles(texts)),
        "duplicates": len(duplicates(texts)),
        "tests_ratio": round(sum(text.count("\n") for text in tests.values()) / package_lines, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--where", action="store_true", help="list the circles and duplicates")
    options = parser.parse_args()
    found = house()
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        target = TARGETS.get(name)
        print(f"{name:18} {value:>8}" + (f"   at most {target:,}" if target is not None else ""))
    if options.where:
        texts = sources(PACKAGE)
        for group in circles(texts):
            print("circle:", ", ".join(group))
        for one, other in duplicates(texts):
            print("same lines:", one, "and", other)


if __name__ == "__main__":
    main()
