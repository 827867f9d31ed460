"""The fuzzer's share in CI; more by hand: python -m tests.fuzz --cases 20000 --first 800."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = int(os.environ.get("PROTEGE_FUZZ_CASES", "800"))


@pytest.mark.timeout(1200)  # about a minute on two cores of its own
def test_broken_input_ends_in_one_line_and_an_exit_code_within_its_folder_time_and_memory():
    line = [sys.executable, "-m", "tests.fuzz", "--cases", str(CASES), "--json"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), done.stderr[-3000:]
    report = json.loads(done.stdout)
    failures = ["{kind} (case {case}): {detail}\n  {line}\n  {broken}".format(**found) for found in report["failures"]]
    assert not failures, "\n".join([*failures[:40], f"{len(failures)} in all; again: python -m tests.fuzz --case N"])
    assert report["cases"] == CASES
