"""Every file that somebody can start ends a mistake with one line and exit code 2, through the same handler."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import zarr

from tests.cloning.stores import store

ROOT = Path(__file__).resolve().parents[1]
STARTED = re.compile(r'^if __name__ == "__main__":', re.MULTILINE)
ENTRIES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", "src", "src/BC_training", "BC_training", "BC_training/scripts")
    for path in (ROOT / folder).glob("*.py")
    if STARTED.search(path.read_text(encoding="utf-8"))
)


def started(name, arguments, capsys):
    """Start a file as python would; its exit code and what it said on stderr."""
    before, sys.argv = sys.argv, [str(ROOT / name), *arguments]
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / name), run_name="__main__")
    finally:
        sys.argv = before
    return ended.value.code, capsys.readouterr().err


def test_they_are_all_found():
    assert len(ENTRIES) >= 8
    assert {"agent.py", "src/BC_training/analyze_dataset.py", "BC_training/train.py"} <= set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_mistake_is_one_line_and_exit_code_2(name, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)  # where BC_training/train.py goes by itself
    code, said = started(name, ["--no-such-option"], capsys)
    assert code == 2
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("attribute", "value"), [("attributes", 5), ("keys", {"a": 1}), ("goals", "w"), ("channel_order", [])]
)
def test_a_store_with_other_attributes_is_no_traceback(tmp_path, capsys, attribute, value):
    path = store(tmp_path / "d.zarr", (3, 4))
    zarr.open_group(path, mode="a").attrs[attribute] = value
    code, said = started("src/BC_training/analyze_dataset.py", ["--dataset", str(path)], capsys)
    assert code == 2
    assert said.count("\n") == 1
    assert f"{path}: the attribute {attribute} is " in said


@pytest.mark.parametrize("seed", ["-1", "nan", "9" * 5_000, str(2**32)])
def test_a_seed_that_is_none_is_named(tmp_path, capsys, seed):
    code, said = started("src/BC_training/analyze_dataset.py", ["--dataset", str(tmp_path), f"--seed={seed}"], capsys)
    assert code == 2
    assert said.count("\n") == 1
    assert "--seed" in said
    assert len(said) < 500


def test_a_log_line_never_steers_the_terminal(python):
    code = (
        "import logging; from protege.cli import log; log();"
        "logging.getLogger('protege').warning('a \\x1b[2J\\x07 name')"
    )
    done = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.stderr == "protege: a \ufffd[2J\ufffd name\n"
