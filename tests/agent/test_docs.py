"""What docs/safety.md promises is tested where it says."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NAMED = re.findall(r"`((?:\w+/)*\w+\.py)::(\w+)`", (TESTS.parent / "docs" / "safety.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_every_test_that_a_promise_of_safety_names_is_there(file, name):
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_of_safety_names_a_test():
    rows = [line for line in (TESTS.parent / "docs" / "safety.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    assert all("::test_" in row for row in rows[2:])
