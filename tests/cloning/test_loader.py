"""Batches: every sample once in a seeded order, windows that never leave their episode, one shape for every batch."""

import numpy as np
import pytest

from protege.cloning.cache import build
from protege.cloning.loader import LoaderOptions, batches, require_horizon, steps
from protege.cloning.store import Dataset
from protege.errors import UserError
from tests.cloning.stores import actions, store

LENGTHS = (12, 9, 15, 7)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    path = store(tmp_path_factory.mktemp("data") / "d.zarr", LENGTHS, state=3, goals=("a b c", "", "d e f", "a b c"))
    return build(Dataset.open(path))


def names(*numbers):
    return [f"episode_{n}" for n in numbers]


def epoch(cache, numbers=(0, 1, 2, 3), seed=0, epoch=0, start=0, **options):
    return list(batches(cache, names(*numbers), LoaderOptions(**options), seed, epoch, start))


def rows(found):
    return np.concatenate([batch.rows[batch.valid] for batch in found]).tolist()


def test_every_frame_comes_once_an_epoch(cache):
    found = epoch(cache, batch_size=8)
    assert sorted(rows(found)) == list(range(sum(LENGTHS)))
    assert rows(found) != list(range(sum(LENGTHS)))
    assert rows(epoch(cache, batch_size=8, shuffle=False)) == list(range(sum(LENGTHS)))


def test_only_the_episodes_asked_for_come(cache):
    assert rows(epoch(cache, (2, 0), batch_size=8, shuffle=False)) == [*range(21, 36), *range(12)]


def test_the_order_follows_from_seed_and_epoch(cache):
    assert rows(epoch(cache, seed=1, epoch=3)) == rows(epoch(cache, seed=1, epoch=3))
    assert rows(epoch(cache, seed=1, epoch=3)) != rows(epoch(cache, seed=1, epoch=4))
    assert rows(epoch(cache, seed=1, epoch=3)) != rows(epoch(cache, seed=2, epoch=3))


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_epoch_can_be_resumed_in_the_middle(cache, threads):
    whole = epoch(cache, batch_size=8, threads=threads)
    rest = epoch(cache, batch_size=8, start=4, threads=threads)
    assert len(rest) == len(whole) - 4
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(rest, whole[4:], strict=True))
    assert epoch(cache, batch_size=8, start=len(whole)) == []


def test_the_last_batch_is_filled_up_and_masked(cache):
    options = LoaderOptions(batch_size=8)
    found = epoch(cache, batch_size=8)
    assert len(found) == steps(cache, names(0, 1, 2, 3), options) == 6
    assert {batch.frames.shape for batch in found} == {(8, 1, 3, 12, 16)}
    assert [int(batch.valid.sum()) for batch in found] == [8, 8, 8, 8, 8, 3]


def test_a_sample_is_the_frame_with_its_action_state_and_goal(cache):
    for batch in epoch(cache, batch_size=8):
        assert batch.frames.dtype == np.uint8
        assert np.array_equal(batch.frames[:, 0], cache.frames[batch.rows])
        assert np.array_equal(batch.actions[:, 0], cache.actions[batch.rows])
        assert batch.actions.dtype == np.float32
        assert batch.state is not None
        assert np.array_equal(batch.state, cache.state[batch.rows])
        assert batch.goal.tolist() == cache.goals[batch.rows].tolist()
        assert batch.previous.shape == (8, 0, 4)


def test_windows_stay_inside_their_episode(cache):
    found = epoch(cache, batch_size=4, frames=3, skip=2, horizon=4, history=5, shuffle=False)
    for batch in found:
        samples = (batch.rows, batch.frames, batch.actions, batch.known, batch.previous)
        for row, stack, ahead, known, before in zip(*(side[batch.valid] for side in samples), strict=True):
            number = int(np.searchsorted(np.cumsum(LENGTHS), row, side="right"))
            first = int(np.sum(LENGTHS[:number]))
            at = row - first
            held = actions(LENGTHS[number], number)
            assert (stack[:, 0, 0, 0] == number).all()
            assert stack[:, 1, 0, 0].tolist() == [max(0, at - 4), max(0, at - 2), at]
            assert np.array_equal(ahead, np.concatenate([held, np.zeros((3, 4))])[at : at + 4])
            assert known.tolist() == [at + i < LENGTHS[number] for i in range(4)]
            padded = np.concatenate([np.zeros((5, 4)), held])
            assert np.array_equal(before, padded[at : at + 5])


def test_the_last_frames_are_samples_however_many_actions_are_predicted(cache):
    """Else a model would never see how an episode ends, nor any frame of one shorter than its horizon."""
    found = epoch(cache, batch_size=8, horizon=20)
    assert sorted(rows(found)) == list(range(sum(LENGTHS)))
    assert len(found) == steps(cache, names(0, 1, 2, 3), LoaderOptions(batch_size=8, horizon=20))
    known = sum(int(batch.known.sum()) for batch in found)
    assert known == sum(n * (n + 1) // 2 for n in LENGTHS), "filler and what lies past an end are not known"


def test_a_horizon_that_no_episode_fills_is_named(cache):
    episodes = ["." * length for length in LENGTHS]  # only their lengths count
    require_horizon(episodes, 15, "d.zarr")
    with pytest.raises(UserError, match=r"d\.zarr: the longest training episode has 15 frames, model\.horizon is 16"):
        require_horizon(episodes, 16, "d.zarr")


def test_options_that_are_none_are_an_error():
    with pytest.raises(ValueError, match="at least 1"):
        LoaderOptions(horizon=0)
