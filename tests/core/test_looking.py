"""The mouse as actions: bins, motion per frame, and what a space writes down of them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.core.actions import KEYBOARD_12, NO_KEYS, ActionSpace
from protege.core.events import Event, Motion, event_from_json, event_to_json, frame_motion
from protege.core.looking import Axis, look

SPACE = ActionSpace("looks", ("w", "mouse_left", "none"), frozenset("w"), look=look(5400))


def test_a_space_with_a_mouse_comes_back_from_json() -> None:
    assert ActionSpace.from_json(json.loads(json.dumps(SPACE.to_json()))) == SPACE
    assert "look" not in KEYBOARD_12.to_json()


@given(st.integers(-2000, 2000), st.integers(-2000, 2000))
def test_what_is_pressed_for_a_motion_lies_in_its_own_bin_and_keeps_its_sign(dx: int, dy: int) -> None:
    (action,) = SPACE.turned(np.array([[dx, dy]]))
    x, y = SPACE.counts(action)
    assert x * dx >= 0
    assert y * dy >= 0
    assert SPACE.turned(np.array([[x, y]])) == [action]
    for moved, put, axis in ((dx, x, SPACE.look.yaw), (dy, y, SPACE.look.pitch)):  # type: ignore[union-attr]
        between = [edge for edge in axis.edges if min(moved, put) < edge < max(moved, put)]
        assert not between, "another bin's edge lies between the motion and what is pressed for it"


def test_standing_still_is_no_symbol() -> None:
    assert SPACE.turned(np.zeros((2, 2), dtype=np.int64)) == [NO_KEYS, NO_KEYS]


def test_an_axis_of_wrong_bins_is_refused() -> None:
    with pytest.raises(ValueError, match="grow by turns"):
        Axis("yaw", ("a", "b", "c"), (1.0, -1.0), (-5.0, 0.0, 5.0))
    with pytest.raises(ValueError, match="odd number"):
        Axis("yaw", ("a", "b"), (0.5,), (0.0, 1.0))


motions = st.lists(st.tuples(st.integers(0, 10**10), st.integers(-500, 500), st.integers(-500, 500)), max_size=60)


@given(motions, st.integers(2, 80))
def test_the_sum_over_frames_is_the_sum_of_the_events(moves: list[tuple[int, int, int]], frames: int) -> None:
    period = 10**8
    events: list[Event] = [Motion(*move) for move in sorted(moves)]
    times = np.arange(frames, dtype=np.int64) * period
    inside = [event for event in events if isinstance(event, Motion) and event.t_ns < frames * period]
    motion = frame_motion(times, events, period)
    assert motion.shape == (frames, 2)
    assert motion.sum(axis=0).tolist() == [sum(event.dx for event in inside), sum(event.dy for event in inside)]


def test_motion_is_a_line_of_its_own_and_refused_without_a_mouse() -> None:
    line = event_to_json(Motion(5, -3, 2))
    assert line == {"t_ns": 5, "dx": -3, "dy": 2}
    assert event_from_json(line, SPACE) == Motion(5, -3, 2)
    with pytest.raises(ValueError, match="outside the action space"):
        event_from_json(line, KEYBOARD_12)
    with pytest.raises(ValueError, match="not an event"):
        event_from_json({"t_ns": 5, "dx": True, "dy": 2}, SPACE)
