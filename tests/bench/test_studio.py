"""python -m bench studio in small: its figures are there, nothing hostile passes, and a segment takes few keys."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_studio_benchmark_reports_every_key():
    # In a process of its own, since driving a browser takes the thread's asyncio for itself.
    command = [sys.executable, "-m", "bench", "studio", "--segments", "30", "--hours", "0.02", "--seeks", "3", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=280)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures.keys() >= {
        "first_page_ms", "labels_page_ms", "seek_ms", "memory_mb", "keystrokes_per_segment", "axe_serious",
        "hostile_requests", "hostile_requests_refused",
    }  # fmt: skip
    assert figures["hostile_requests_refused"] == figures["hostile_requests"] >= 40
    assert figures["axe_serious"] == 0
    assert figures["keystrokes_per_segment"] <= 1.5
