"""Per-frame actions against a reference that counts every nanosecond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.core import KEYBOARD_12
from protege.core.events import (
    End,
    Focus,
    Goal,
    Held,
    Key,
    Pause,
    event_from_json,
    event_to_json,
    frame_actions,
    gaps,
)

SPACE = KEYBOARD_12
keys = st.sampled_from(["w", "left", "space"])
time = st.integers(0, 60)
event = st.one_of(
    st.builds(Key, time, keys, st.booleans()),
    st.builds(Held, time, st.frozensets(keys)),
    st.builds(Pause, time, st.sampled_from(["focus", "toggle"])),
    st.builds(Focus, time, st.booleans()),
    st.builds(Goal, time, st.just("Go to the lantern")),
    st.builds(End, time, st.just("success")),
)
streams = st.lists(event, max_size=25).map(lambda events: sorted(events, key=lambda e: e.t_ns))


def held_at(events, t):
    """The keys held during the nanosecond [t, t + 1), read one event at a time."""
    held = set()
    for e in events:
        if e.t_ns > t:
            break
        if isinstance(e, Key):
            (held.add if e.down else held.discard)(e.key)
        elif isinstance(e, Held):
            held = set(e.held)
        elif isinstance(e, Pause):
            held = set()
    return held


def reference(frames, events, period, tau):
    """Count, nanosecond by nanosecond, which keys were held for more than half of each frame's interval."""
    rows = []
    for i, t in enumerate(frames):
        limit = min([e.t_ns for e in events if isinstance(e, Pause) and e.t_ns > t], default=10**9)
        stop = min(frames[i + 1] if i + 1 < len(frames) else t + period, limit)
        span = range(min(t + tau, limit), min(stop + tau, limit))
        counts = {k: sum(k in held_at(events, n) for n in span) for k in SPACE.pressable}
        rows.append([2 * counts[k] > len(span) for k in SPACE.pressable])
        rows[-1].append(not any(rows[-1]))
    return np.array(rows, dtype=bool).reshape(-1, len(SPACE))


@given(streams, st.sets(time, max_size=12), st.integers(1, 12), st.integers(0, 9))
def test_actions_of_frames_equal_a_brute_force_count(events, frames, period, tau):
    frames = np.array(sorted(frames), dtype=np.int64)
    expected = reference(frames.tolist(), events, period, tau)
    assert np.array_equal(frame_actions(frames, events, SPACE, period, tau), expected)


def test_times_of_a_long_uptime_are_exact():
    start = 2**60
    events = [Key(start, "w", True), Key(start + 51, "w", False)]
    rows = frame_actions(np.array([start, start + 100]), events, SPACE, 100)
    assert rows[:, 0].tolist() == [True, False]


@given(streams)
def test_an_event_survives_its_line(events):
    assert [event_from_json(event_to_json(e), SPACE) for e in events] == events


@pytest.mark.parametrize(
    "line",
    [
        {"t_ns": 1},
        {"t_ns": 1, "key": "q", "down": True},
        {"t_ns": 1, "key": "none", "down": True},
        {"t_ns": 1, "held": ["q"]},
        {"t_ns": "1", "key": "w", "down": True},
        {"t_ns": 1, "key": "w", "down": 1},
        {"t_ns": 1, "key": "w", "down": True, "more": 1},
        [1, 2],
        None,
    ],
)
def test_what_is_no_event_is_refused(line):
    with pytest.raises(ValueError, match=r"action space|not an event"):
        event_from_json(line, SPACE)


LONG_AGO, HZ10, S = 10**12, 10**8, 10**9


def seconds(*times):
    return np.array([LONG_AGO + round(t * S) for t in times], dtype=np.int64)


def test_no_action_is_extended_over_a_gap_between_two_frames():
    """A recorder that stood still for 12.5 s left one frame of 12.5 s, labeled w."""
    frames = seconds(0, 0.1, 0.2, 12.7, 12.8)
    down, up = seconds(0.25, 12.65)
    events = [Held(LONG_AGO, frozenset()), Key(int(down), "w", True), Key(int(up), "w", False)]
    spelled = frame_actions(frames, events, SPACE, HZ10)[:, 0]
    assert spelled.tolist() == [False, False, False, False, False]  # held for half of 0.2 to 0.3, not for more
    for tau_ns in (0, 50_000_000, 400_000_000):
        moved = frame_actions(frames, [events[0], Key(int(seconds(0.31)[0]), "w", True)], SPACE, HZ10, tau_ns)
        assert moved[:3, 0].tolist() == [False, False, False]


def test_frames_a_few_periods_apart_are_neighbours():
    assert gaps(seconds(0, 0.5, 1.0), HZ10).tolist() == []
    assert gaps(seconds(0, 0.501, 1.0), HZ10).tolist() == [0]
    assert gaps(seconds(0, 0.4, 1.0), S // 60).tolist() == [1]  # five periods of 60 Hz would be a stutter
    assert gaps(seconds(0, 4, 10), S).tolist() == [1]
    assert gaps(seconds(), HZ10).tolist() == gaps(seconds(1), HZ10).tolist() == []
