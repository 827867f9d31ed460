"""The cache of frames: equal to the store, built once, resumed, made again where anything changed."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import zarr

from protege.cloning import cache as caches
from protege.cloning.cache import build, default_folder, fingerprint
from protege.cloning.store import Dataset
from protege.errors import UserError
from tests.cloning.stores import actions, frames, store, store_2

LENGTHS = (12, 9, 70, 7)


@pytest.fixture
def dataset(tmp_path):
    return Dataset.open(store(tmp_path / "d.zarr", LENGTHS, state=3, goals=("Go to a", "", "Go to b", "Go to a")))


class Watched:
    """Frames of an episode that notes when they are read."""

    def __init__(self, episode, reads):
        self.shape, self._episode, self._reads = episode.frames.shape, episode, reads

    def read(self, start, stop):
        self._reads.append(self._episode.name)
        return self._episode.frames.read(start, stop)


@pytest.fixture
def reads():
    """The names of the episodes whose frames were read from a `watched` store."""
    return []


def watched(path, reads):
    dataset = Dataset.open(path)
    episodes: Any = (replace(episode, frames=cast(Any, Watched(episode, reads))) for episode in dataset.episodes)
    return replace(dataset, episodes=tuple(episodes))


def check(cache):
    for number, count in enumerate(LENGTHS):
        start, stop = cache.offsets[f"episode_{number}"]
        assert np.array_equal(cache.frames[start:stop], frames(count, number))
        assert np.array_equal(cache.actions[start:stop], actions(count, number))


def test_it_holds_what_the_store_holds(dataset):
    cache = build(dataset)
    assert cache.folder == default_folder(dataset.path)
    assert isinstance(cache.frames, np.memmap)
    assert cache.frames.dtype == np.uint8
    rows = np.array([[0, 97], [21, 20]])
    assert np.array_equal(cache.read(rows), cache.frames[rows])
    check(cache)
    assert cache.state is not None
    assert cache.goals is not None
    assert np.array_equal(cache.state[12:21], dataset.episodes[1].state)
    assert cache.goals.tolist() == [0] * 12 + [-1] * 9 + [1] * 70 + [0] * 7
    assert cache.rows(["episode_3", dataset.episodes[0]]).tolist() == [*range(91, 98), *range(12)]


def test_without_state_and_goals_it_says_so(tmp_path):
    cache = build(Dataset.open(store_2(tmp_path / "d.zarr")))
    assert cache.state is None
    assert cache.goals is None


def test_it_is_built_once(dataset, reads):
    build(watched(dataset.path, reads))
    assert set(reads) == {f"episode_{n}" for n in range(4)}
    reads.clear()
    told = []
    check(build(watched(dataset.path, reads), progress=lambda done, total: told.append((done, total))))
    assert reads == []
    assert told == [(12, 98), (21, 98), (91, 98), (98, 98)]


def test_a_build_that_was_stopped_goes_on(dataset, reads):
    class Stopped(Exception):
        pass

    def stop(done, total):
        if done >= 21:
            raise Stopped

    with pytest.raises(Stopped):
        build(watched(dataset.path, reads), progress=stop)
    reads.clear()
    check(build(watched(dataset.path, reads)))
    assert set(reads) == {"episode_2", "episode_3"}


def test_an_episode_that_changed_in_the_store_is_made_again(dataset, reads):
    build(watched(dataset.path, reads))
    reads.clear()
    file = dataset.path / "episode_1" / "frames" / "c" / "3" / "0" / "0" / "0"
    os.utime(file, ns=(1, 1))
    check(build(watched(dataset.path, reads)))
    assert set(reads) == {"episode_1"}


def test_a_cache_that_was_damaged_is_made_again_by_its_hash(dataset, reads):
    cache = build(watched(dataset.path, reads))
    with (cache.folder / "frames.u8").open("r+b") as file:
        file.seek(30 * 3 * 12 * 16)
        file.write(b"\0" * 50)
    reads.clear()
    check(build(watched(dataset.path, reads)))
    assert set(reads) == {"episode_2"}


def test_a_cache_that_was_cut_is_made_again(dataset):
    cache = build(dataset)
    os.truncate(cache.folder / "frames.u8", 1000)
    check(build(dataset))


def test_a_cache_that_is_cut_while_it_is_read_is_named(dataset):
    cache = build(dataset)
    os.truncate(cache.folder / "frames.u8", 97 * 3 * 12 * 16 + 5)
    assert np.array_equal(cache.read(np.array([96]))[0], frames(7, 3)[5])
    with pytest.raises(UserError, match="ends before frame 97; delete the folder"):
        cache.read(np.array([96, 97]))


def test_an_episode_more_costs_only_itself(dataset, reads):
    build(watched(dataset.path, reads))
    other = store(dataset.path.parent / "o.zarr", (5,), state=3)
    shutil.copytree(other / "episode_0", dataset.path / "episode_4")
    reads.clear()
    cache = build(watched(dataset.path, reads))
    check(cache)
    assert set(reads) == {"episode_4"}
    assert len(cache.frames) == sum(LENGTHS) + 5


def test_what_moves_in_the_file_is_made_again(dataset):
    build(dataset)
    shutil.rmtree(dataset.path / "episode_1")
    cache = build(Dataset.open(dataset.path))
    for number in (0, 2, 3):
        start, stop = cache.offsets[f"episode_{number}"]
        assert np.array_equal(cache.frames[start:stop], frames(LENGTHS[number], number))


def test_a_cache_of_another_size_is_made_again(dataset, tmp_path):
    small = build(dataset, tmp_path / "one", (6, 8)).frames[:]
    build(dataset, tmp_path / "other", (12, 16))
    assert np.array_equal(build(dataset, tmp_path / "other", (6, 8)).frames, small)


def test_a_change_shows_by_the_size_or_the_time_of_a_file(dataset):
    episode = dataset.episodes[0]
    file = episode.folder / "zarr.json"
    about, before = file.stat(), fingerprint(episode)
    file.write_text(file.read_text() + " ")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    larger = fingerprint(episode)
    assert larger != before
    os.utime(file, ns=(1, 1))
    assert fingerprint(episode) != larger


def test_blue_first_becomes_red_first(tmp_path):
    cache = build(Dataset.open(store_2(tmp_path / "d.zarr", channel_order="bgr")))
    assert np.array_equal(cache.frames[:5], frames(5, 0)[:, ::-1])
    zarr.open_group(tmp_path / "d.zarr", mode="a").attrs["channel_order"] = "rgb"
    assert np.array_equal(build(Dataset.open(tmp_path / "d.zarr")).frames[:5], frames(5, 0))


def test_frames_can_be_scaled_by_area(dataset):
    cache = build(dataset, frame_size=(6, 8))
    assert cache.folder.name == ".d.zarr.8x6.cache"
    assert cache.frames.shape == (98, 3, 6, 8)
    means = frames(12, 0).reshape(12, 3, 6, 2, 8, 2).mean(axis=(3, 5))
    assert np.abs(cache.frames[:12] - means).max() <= 1


def test_a_folder_with_something_else_is_refused(dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text").write_text("x")
    with pytest.raises(UserError, match="holds something that is not a cache"):
        build(dataset, tmp_path / "mine")


def test_two_builders_at_once_are_refused(dataset):
    def again(done, total):
        with pytest.raises(UserError, match=r"building a cache \(process \d+, since .*\) is writing here"):
            build(dataset)

    build(dataset, progress=again)


def test_a_builder_that_is_told_to_waits_for_another(dataset, reads):
    with ThreadPoolExecutor() as pool:
        others = []

        def again(done, total):
            others.append(pool.submit(build, watched(dataset.path, reads), wait=True))
            assert not others[0].done()

        build(watched(dataset.path, reads), progress=again)
        for other in others:
            check(other.result(timeout=60))
    once = ["episode_0", "episode_1", "episode_2", "episode_2", "episode_3"]
    assert reads == once, "the others take over the first one's work; episode_2 is read in two pieces"


def test_a_disk_that_is_too_small_is_one_line(dataset, monkeypatch):
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 10))
    with pytest.raises(UserError, match=r"0\.0 GB needed for the frames, 0\.0 GB free; make room"):
        build(dataset)
