"""Input rows: what stands where, and that a row is the same wherever it is built."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.controls.features import CONTEXT, build_rows
from protege.controls.synth import SynthOptions, synthesize
from protege.controls.tables import FRAME, HEADS, INPUT, INPUTS, NAMES, SCREEN, SLOT, STATE_NAMES, hotbar_slot


def numbered(length):
    """Arrays in which frame t holds t + 1 everywhere, in hundreds for the state and in thousands for the controls."""
    t = np.arange(1, length + 1, dtype=np.float32)[:, None]
    return np.tile(t, FRAME), np.tile(100 * t, 46), np.tile(1000 * t, 28)


def test_a_row_holds_its_frame_its_velocity_the_state_before_and_five_controls_before():
    rows = build_rows(*numbered(8))
    assert rows.shape == (8, INPUT)
    assert rows.dtype == np.float32
    row = rows[6]
    assert set(row[:FRAME]) == {7}
    assert set(row[INPUTS["velocity"]]) == {1}
    assert set(row[INPUTS["state"]]) == {600}
    assert list(row[INPUTS["history"]].reshape(5, 28)[:, 0]) == [2000, 3000, 4000, 5000, 6000]


def test_at_the_start_nothing_has_moved_nothing_was_pressed_and_the_state_is_the_first():
    rows = build_rows(*numbered(4))
    assert not rows[0, INPUTS["velocity"]].any()
    assert not rows[0, INPUTS["history"]].any()
    assert set(rows[0, INPUTS["state"]]) == {100}
    assert list(rows[2, INPUTS["history"]].reshape(5, 28)[:, 9]) == [0, 0, 0, 1000, 2000]


def test_a_long_recording_is_built_in_blocks_that_do_not_show():
    frames, state, controls = numbered(600)
    rows = build_rows(frames, state, controls)
    past = np.concatenate((np.zeros((5, 28), np.float32), controls))
    np.testing.assert_array_equal(rows[:, :FRAME], frames)
    np.testing.assert_array_equal(rows[1:, INPUTS["velocity"]], 1)
    np.testing.assert_array_equal(rows[1:, INPUTS["state"]], state[:-1])
    np.testing.assert_array_equal(rows[:, INPUTS["history"]], np.hstack([past[age : age + 600] for age in range(5)]))


@settings(max_examples=40, deadline=None)
@given(length=st.integers(6, 20), cut=st.integers(0, 12))
def test_rows_of_the_end_of_a_recording_are_those_of_the_whole(length, cut):
    rng = np.random.default_rng(length)
    frames, state, controls = (rng.normal(size=(length, width)).astype(np.float32) for width in (260, 46, 28))
    cut = min(cut, length - CONTEXT - 1)
    ends = build_rows(frames[cut:], state[cut:], controls[cut:], first=CONTEXT)
    np.testing.assert_array_equal(ends, build_rows(frames, state, controls)[cut + CONTEXT :])


def test_rows_are_written_where_they_are_wanted():
    arrays = numbered(7)
    out = np.full((7, INPUT), np.nan, np.float32)
    assert build_rows(*arrays, out=out) is out
    np.testing.assert_array_equal(out, build_rows(*arrays))


def test_too_little_context_is_refused():
    with pytest.raises(ValueError, match="5 frames before"):
        build_rows(*numbered(9), first=3)


def test_what_a_frame_presses_does_not_show_in_its_own_row():
    """The origin's leak: the slot, sprinting, sneaking, using and the open screen of the same frame."""
    played = synthesize(0, "combat", SynthOptions(frames=3000))
    rows = build_rows(played.frames, played.game_state, played.controls)
    state = rows[:, INPUTS["state"]]
    changes = np.flatnonzero(played.controls[:, HEADS["hotbar"]].any(axis=1))
    chosen = played.controls[changes][:, HEADS["hotbar"]].argmax(axis=1)
    assert len(changes) > 10
    assert [hotbar_slot(s) for s in played.game_state[changes, SLOT]] == list(chosen)  # as it is recorded
    assert all(hotbar_slot(shown) != slot for shown, slot in zip(state[changes, SLOT], chosen, strict=True))
    for field, control in (("sprinting", "sprint"), ("sneaking", "sneak"), ("using_item", "use_item")):
        pressed = played.controls[:, NAMES.index(control)]
        starts = np.flatnonzero(np.diff(pressed, prepend=0) > 0)
        assert len(starts)
        assert not state[starts, STATE_NAMES.index(field)].any()
    opened = np.flatnonzero(np.diff(played.game_state[:, SCREEN]) > 0) + 1
    assert not state[opened, SCREEN].any()
