"""A share of the kills in CI; all of them by hand: python -m tests.kills."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_a_killed_command_is_run_again_and_nothing_is_lost_doubled_or_stuck(tmp_path):
    line = [sys.executable, "-m", "tests.kills", "--quick", "--kills", "2", "--json", "--keep", str(tmp_path / "kept")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["kills"] == 8
    assert [job["found"] for job in report["jobs"]] == [[]] * 4
