"""python -m bench live in small, on a real X server: its figures are there, and no key is left down."""

from bench import live
from protege.core import KEYBOARD_12


def test_the_live_benchmark_reports_every_key(xvfb):
    figures = {f.key: f.value for f in live.run(seconds=3, kills=1)}
    assert {"deadline_p99_ms", "spurious_releases", "held_at_end", "late_plans_slow"} <= figures.keys()
    assert {"frozen_release_ms", "busy_release_ms", "group_killed_release_ms", "killed_release_ms"} <= figures.keys()
    assert figures["spurious_releases"] == figures["held_at_end"] == figures["foreign_keys"] == 0
    assert figures["taken_over"] == len(KEYBOARD_12)  # the keys and the hot key; "none" is no key
    assert set(KEYBOARD_12.pressable) == set(live.KEYS)


def test_a_reaction_is_measured(xvfb):
    figures = {f.key: f.value for f in live.reaction(changes=3)}
    assert figures["reaction_p50_ms"] > 0
