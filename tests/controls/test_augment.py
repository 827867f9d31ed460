"""Augmentation: what changes, and what must not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.controls import augment
from protege.controls.augment import Augmentation, Warp
from protege.controls.recordings import Recording
from protege.controls.tables import CONTROLS, COORDINATES, DEFAULT_STATE, HEADS, INPUTS, NAMES, SLOT, hotbar_slot
from protege.errors import UserError

PULSES = [i for i, control in enumerate(CONTROLS) if control.kind in ("pulse", "slot")]


def blank(length):
    frames = np.zeros((length, 260), np.float32)
    return Recording(
        frames, np.zeros((length, 28), np.float32), np.tile(DEFAULT_STATE, (length, 1)), np.arange(length) / 30
    )


def events(column):
    return int(np.count_nonzero(np.diff(column, prepend=0) > 0.5))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), length=st.integers(40, 300))
def test_no_press_is_lost_or_doubled_by_the_warp(seed, length):
    rng = np.random.default_rng(seed)
    made = blank(length)
    for column in PULSES:
        at = np.cumsum(rng.integers(3, 20, length))
        made.controls[at[at < length], column] = 1
    warp = Augmentation().draw(length, rng)
    warped = Augmentation().apply(made, warp, rng)
    positions = np.rint(warp.positions()).astype(int)
    for column in PULSES:
        kept = made.controls[positions[0] : positions[-1] + 1, column]
        assert events(warped.controls[:, column]) == events(kept)
        assert warped.controls[:, column].sum() == kept.sum()


def test_the_warp_slows_and_hastens_within_its_limits():
    made = blank(1000)
    rng = np.random.default_rng(0)
    lengths = []
    for _ in range(300):
        warp = Augmentation().draw(1000, rng)
        assert 0 <= warp.start <= 100
        assert 900 <= warp.stop <= 1000
        lengths.append(warp.length / (warp.stop - warp.start))
        assert len(Augmentation(noise=0).apply(made, warp, rng)) == warp.length
    assert 0.83 < min(lengths) < 0.86
    assert 1.2 < max(lengths) < 1.25 + 0.01


def test_landmarks_are_interpolated_and_flags_are_not(recording):
    made = recording(100)
    made.frames[:, 0] = np.arange(100)
    made.frames[:50, INPUTS["left_present"]] = 0
    made.frames[50:, INPUTS["left_present"]] = 1
    made.frames[:50, INPUTS["left_hand"]] = 0
    made.frames[50:, INPUTS["left_hand"]] = 1
    warp = Warp(3, 97, 121)
    warped = Augmentation(noise=0).apply(made, warp, np.random.default_rng(0))
    np.testing.assert_allclose(warped.frames[:, 0], warp.positions(), rtol=1e-5)
    assert set(np.unique(warped.frames[:, INPUTS["left_present"]])) == {0, 1}
    hand = warped.frames[:, INPUTS["left_hand"]]
    np.testing.assert_array_equal(hand, np.repeat(warped.frames[:, INPUTS["left_present"]], 63, axis=1))


def test_noise_goes_to_present_landmarks_only(played):
    noisy = Augmentation().apply(played, Warp.none(len(played)), np.random.default_rng(0))
    difference = (noisy.frames - played.frames)[:, COORDINATES]
    for hand in ("left", "right"):
        gone = played.frames[:, INPUTS[f"{hand}_present"].start] == 0
        assert gone.any()
        assert not noisy.frames[gone, INPUTS[f"{hand}_hand"]].any()
    present = played.frames[:, COORDINATES] != 0
    assert difference[present].std() == pytest.approx(0.005, rel=0.02)
    np.testing.assert_array_equal(noisy.frames[:, 225:], played.frames[:, 225:])
    np.testing.assert_array_equal(noisy.controls, played.controls)


def test_an_event_stays_on_the_frame_whose_state_shows_it(played):
    """Otherwise the warp would open the leak again that the delayed state closes."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        warped = Augmentation().apply(played, Augmentation().draw(len(played), rng), rng)
        chosen = warped.controls[:, HEADS["hotbar"]]
        changes = np.flatnonzero(chosen.any(axis=1))
        changes = changes[changes > 0]
        for frame in changes:
            assert hotbar_slot(warped.game_state[frame, SLOT]) == chosen[frame].argmax()
            assert hotbar_slot(warped.game_state[frame - 1, SLOT]) != chosen[frame].argmax()


def test_held_controls_follow_the_nearest_frame(played):
    warp = Warp(0, len(played), len(played) * 5 // 4)
    warped = Augmentation(noise=0).apply(played, warp, np.random.default_rng(0))
    nearest = np.rint(warp.positions()).astype(int)
    held = NAMES.index("move_forward")
    np.testing.assert_array_equal(warped.controls[:, held], played.controls[nearest, held])
    np.testing.assert_allclose(np.diff(warped.timestamps), 1 / 30, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"trim": 0.5}, {"slowest": 0}, {"slowest": 2}, {"noise": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UserError, match="augmentation"):
        Augmentation(**wrong)


def test_frames_are_changed_in_blocks_that_do_not_show(played, monkeypatch):
    warp = Warp(20, 1700, 1500)
    whole = []
    for size in (augment.BLOCK, 10_000):
        monkeypatch.setattr(augment, "BLOCK", size)
        whole.append(Augmentation().apply(played, warp, np.random.default_rng(0)).frames)
    np.testing.assert_array_equal(*whole)
