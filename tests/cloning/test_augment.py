"""Augmentation inside jit: pictures change, the right action stays right, and left becomes right when mirrored."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from protege.cloning.augment import Sample, augment, mirror
from protege.cloning.config import AugmentConfig
from protege.core import KEYBOARD_12

KEYS = ("move_left", "lock_on", "move_right", "attack", "a", "d", "left", "right", "bright")
SIDES = mirror(KEYS, state=(1, -1))


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    return Sample(
        jnp.array(rng.integers(0, 256, (64, 3, 3, 8, 10)), jnp.float32),
        jnp.array(rng.random((64, 2, len(KEYS))) < 0.5, jnp.float32),
        jnp.array(rng.random((64, 4, len(KEYS))) < 0.5, jnp.float32),
        jnp.array(rng.normal(size=(64, 2)), jnp.float32),
    )


def changed(sample, key=0, **config) -> Any:
    found = jax.jit(augment, static_argnames=("config", "sides"))(
        jax.random.key(key), sample, AugmentConfig(**config), SIDES
    )
    return found._make(map(np.asarray, found))


def test_left_and_right_are_paired_by_name():
    assert SIDES.actions == (2, 1, 0, 3, 5, 4, 7, 6, 8)
    keys = KEYBOARD_12.pressable
    swapped = [keys[i] for i in mirror(keys).actions]
    assert swapped == ["w", "s", "d", "a", "up", "down", "right", "left", "c", "space", "enter"]


def test_nothing_asked_for_changes_nothing(sample):
    found = changed(sample)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(found, sample, strict=True))


def test_flipping_exchanges_left_and_right_everywhere(sample):
    found = changed(sample, flip=1.0)
    order = list(SIDES.actions)
    assert np.array_equal(found.frames, np.asarray(sample.frames)[..., ::-1])
    assert np.array_equal(found.actions, np.asarray(sample.actions)[..., order])
    assert np.array_equal(found.previous, np.asarray(sample.previous)[..., order])
    assert np.array_equal(found.state, np.asarray(sample.state) * [1, -1])
    again = changed(Sample(*map(jnp.asarray, found)), flip=1.0)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(again, sample, strict=True))


def test_a_share_is_flipped_and_each_sample_wholly_or_not_at_all(sample):
    found = changed(sample, flip=0.5)
    plain = (found.frames == np.asarray(sample.frames)).all((1, 2, 3, 4))
    mirrored = (found.frames == np.asarray(sample.frames)[..., ::-1]).all((1, 2, 3, 4))
    assert (plain ^ mirrored).all()
    assert 16 < mirrored.sum() < 48
    turned = np.isclose(found.state, np.asarray(sample.state) * [1, -1]).all(1)
    assert np.array_equal(turned, mirrored)


def test_a_crop_moves_all_frames_of_a_sample_alike(sample):
    found = changed(sample, crop=2)
    padded = np.pad(np.asarray(sample.frames), ((0, 0), (0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    moves = set()
    for b in range(64):
        fits = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if np.array_equal(found.frames[b], padded[b, :, :, y : y + 8, x : x + 10])
        ]
        assert len(fits) == 1
        moves.update(fits)
    assert len(moves) > 10
    assert np.array_equal(found.actions, sample.actions)


def test_colours_change_alike_in_all_frames_and_stay_in_range(sample):
    same = sample._replace(frames=jnp.broadcast_to(sample.frames[:, :1], sample.frames.shape))
    found = changed(same, brightness=0.4, contrast=0.4, saturation=0.4)
    assert np.allclose(found.frames[:, 0], found.frames[:, 2], atol=1e-3)
    assert found.frames.min() >= 0
    assert found.frames.max() <= 255
    assert not np.allclose(found.frames, same.frames, atol=5)


def test_no_saturation_change_keeps_a_grey_picture_grey(sample):
    grey = jnp.broadcast_to(sample.frames[:, :, :1], sample.frames.shape)
    found = changed(sample._replace(frames=grey), saturation=0.9)
    assert np.allclose(found.frames, grey, atol=1e-2)


def test_brightness_scales_a_sample_by_one_factor(sample):
    found = changed(sample._replace(frames=sample.frames / 4), brightness=0.5)
    factor = found.frames / np.maximum(np.asarray(sample.frames) / 4, 1e-6)
    inside = np.asarray(sample.frames) > 20
    for b in range(64):
        assert np.ptp(factor[b][inside[b]]) < 1e-3
    assert np.ptp([factor[b][inside[b]][0] for b in range(64)]) > 0.5


def test_contrast_keeps_the_mean_of_each_sample(sample):
    frames = 80 + sample.frames / 8 + jnp.arange(64.0)[:, None, None, None, None]  # each of another brightness
    found = np.asarray(changed(sample._replace(frames=frames), contrast=0.9).frames)
    one = (1, 2, 3, 4)
    assert np.allclose(found.mean(one), frames.mean(one), atol=0.1)
    assert np.ptp(found.std(one) / frames.std(one)) > 0.5


def test_saturation_keeps_the_brightness_of_each_pixel(sample):
    frames = 100 + sample.frames / 8
    found = np.asarray(changed(sample._replace(frames=frames), saturation=0.9).frames)
    weights = np.array([0.299, 0.587, 0.114])[:, None, None]
    assert np.allclose((found * weights).sum(2), (frames * weights).sum(2), atol=0.1)
    assert not np.allclose(found, frames, atol=1)


def test_time_jitters_by_one_older_frame_and_never_the_newest(sample):
    found = changed(sample, temporal_jitter=1.0)
    before = np.asarray(sample.frames)
    assert np.array_equal(found.frames[:, -1], before[:, -1])
    replaced = (found.frames != before).any((2, 3, 4))
    assert (replaced.sum(1) == 1).all()
    assert replaced[:, 0].any()
    assert replaced[:, 1].any()
    for b, t in np.argwhere(replaced):
        assert np.array_equal(found.frames[b, t], before[b, t + 1])


def test_a_share_loses_its_history_wholly_and_the_newest_frame_stays(sample):
    found = changed(sample, history_dropout=0.5)
    before = np.asarray(sample.frames)
    assert np.array_equal(found.frames[:, -1], before[:, -1])
    dropped = (found.frames == before[:, -1:]).all((1, 2, 3, 4))
    kept = (found.frames == before).all((1, 2, 3, 4))
    assert (dropped ^ kept).all()
    assert 16 < dropped.sum() < 48


def test_dropping_history_leaves_what_other_changes_draw(sample):
    plain, dropped = changed(sample, crop=2, flip=0.5), changed(sample, crop=2, flip=0.5, history_dropout=1.0)
    assert np.array_equal(plain.frames[:, -1], dropped.frames[:, -1])


def test_another_key_draws_otherwise(sample):
    assert not np.array_equal(changed(sample, 0, crop=2).frames, changed(sample, 1, crop=2).frames)
