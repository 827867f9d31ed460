"""One clock for everything that is recorded or pressed."""

import ast
import sys
import time
from pathlib import Path

import pytest

import protege
from protege.core.devices import MonotonicClock

ROOMS = ("core", "devices", "recorder", "agent", "arena", "controls")


def clocks_of(path):
    """Clocks of the time module that a file names, other than ours."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("monotonic", "monotonic_ns", "clock_gettime_ns")
    }


def test_recorded_and_acting_times_come_from_one_clock():
    """On Windows `time.monotonic` moves in steps of 16 ms and has another origin."""
    root = Path(protege.__file__).parent
    files = [path for room in ROOMS for path in (root / room).rglob("*.py")]
    assert len(files) > 50
    assert {str(path.relative_to(root)): clocks_of(path) for path in files if clocks_of(path)} == {}


@pytest.mark.skipif(sys.platform == "win32", reason="there the old clock had another origin")
def test_recordings_made_with_the_clock_of_before_still_compare():
    before, now, after = time.monotonic_ns(), MonotonicClock().now_ns(), time.monotonic_ns()
    assert before <= now <= after


def test_the_clock_has_steps_far_below_a_millisecond():
    assert time.get_clock_info("perf_counter").resolution <= 1e-5
    clock = MonotonicClock()
    deadline = clock.now_ns() + 2_000_000
    clock.sleep_until(deadline)
    assert clock.now_ns() >= deadline
