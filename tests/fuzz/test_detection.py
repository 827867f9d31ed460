"""The fuzzer sees what it is there to see."""

import pytest

from tests import forked
from tests.fuzz.case import Case
from tests.fuzz.inputs import sessions, texts
from tests.fuzz.targets import ORDER

NUMBER = next(n for n, target in enumerate(ORDER) if target.name == "goals")


@pytest.fixture
def case(tmp_path):
    (tmp_path / "inputs").mkdir()
    sessions(tmp_path / "inputs")
    texts(tmp_path / "inputs")
    return Case(NUMBER, 0, tmp_path / "inputs", tmp_path)


def kinds(case, output, *, code=0, seconds=0.1, grown=0, stopped=False):
    case.output.write_text(output)
    return {failure.kind for failure in case.judge(forked.Ended(code, seconds, seconds, grown, stopped))}


@pytest.mark.parametrize(
    ("output", "ended", "kind"),
    [
        ("protege: x: no such file; y\n", {"code": 2}, None),
        ("", {"code": 2}, "wordless"),
        ("protege: internal error: KeyError('x'); run again with --debug and report it\n", {"code": 1}, "internal"),
        ("Traceback (most recent call last):\n  File\nKeyError: 'x'\n", {"code": 1}, "internal"),
        ("", {"code": -11}, "internal"),
        ("title: \x1b]0;owned\x07\n", {}, "terminal"),
        ("", {"grown": 600 << 20}, "memory"),
        ("", {"code": -9, "stopped": True}, "time"),
        ("key sk-test-0123456789secret refused\n", {"code": 1}, "secret"),
    ],
)
def test_what_is_said_and_used(case, output, ended, kind):
    assert kinds(case, output, **ended) == ({kind} if kind else set())


def test_what_is_changed_made_linked_or_copied_elsewhere(case):
    assert kinds(case, "") == set()
    keep = case.folder / "precious" / "keep.txt"
    for act in (
        lambda: keep.write_text("changed\n"),
        (case.folder / "precious" / "new").touch,
        lambda: (case.work / "unasked").write_text("x"),
    ):
        before = case.before
        act()
        assert kinds(case, "") == {"outside"}
        case.before = case._seen()
        assert case.before != before
    (case.work / "copy").hardlink_to(case.folder / "precious" / "segment.json")
    assert kinds(case, "") == {"outside"}


def test_the_same_number_is_the_same_case(tmp_path, case):
    again = Case(NUMBER, 0, tmp_path / "inputs", tmp_path / "other")
    assert (again.command, again.broken) == (case.command, case.broken)
