"""Recording into a zarr store: the same episodes as sessions hold, drawn small, with the keys held or those meant."""

import numpy as np
import pytest

from protege.arena.record import record_episodes
from protege.arena.record_steps import record_steps
from protege.arena.tasks import GOALS, MEMORY_GOALS, Task
from protege.cloning.episodes import StepStore
from protege.cloning.store import Dataset
from protege.core import KEYBOARD_12
from protege.core.session import Session
from protege.errors import UserError

SIZE = (24, 16)


def store(path, size=SIZE):
    return StepStore(path, KEYBOARD_12.pressable, size, "arena")


def test_the_same_episodes_as_sessions_hold_are_kept_at_any_size(tmp_path):
    sessions = record_episodes(tmp_path / "raw", 2, 5000, (160, 120), noise=0.1)
    done = record_steps(store(tmp_path / "d.zarr"), 2, 5000, noise=0.1)
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert (done.new, done.won) == (2, 2)
    assert dataset.keys == KEYBOARD_12.pressable
    assert dataset.frame_size == SIZE
    assert sum(len(episode) for episode in dataset.episodes) == done.frames
    for episode, session in zip(dataset.episodes, sessions, strict=True):
        assert episode.attributes["session_name"] == session.folder.name
        assert np.array_equal(episode.actions, Session.open(session.folder).actions()[:, :-1])


def test_a_second_run_records_what_is_missing(tmp_path):
    seen = []
    record_steps(store(tmp_path / "d.zarr"), 2, 5000)
    again = record_steps(store(tmp_path / "d.zarr"), 4, 5000, progress=lambda *done: seen.append(done))
    assert again.new == 2
    assert seen == [(1, 2), (2, 2)]
    assert len(Dataset.open(tmp_path / "d.zarr").episodes) == 4


def test_memory_goals_are_recorded_by_turns_and_named_in_the_episode(tmp_path):
    done = record_steps(store(tmp_path / "d.zarr"), 3, 5000, noise=0.0, task="memory")
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert (done.new, done.won) == (3, 3)
    assert dataset.goals == tuple(goal.sentence for goal in MEMORY_GOALS.values())
    names = {episode.attributes["session_name"] for episode in dataset.episodes}
    assert names == {"arena_05000_both_torches", "arena_05001_start", "arena_05002_other_door"}


def test_goals_and_tasks_are_as_asked_for(tmp_path):
    record_steps(store(tmp_path / "d.zarr"), 1, 5000, goal=GOALS["red torch"])
    record_steps(store(tmp_path / "d.zarr"), 2, 5000, task=Task.OPEN_DOOR)
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert dataset.goals[0] == GOALS["red torch"].sentence
    assert [episode.attributes["task"] for episode in dataset.episodes] == ["go_to", "open_door", "open_door"]


def test_a_slip_is_played_and_what_was_meant_is_recorded(tmp_path):
    """The same episode with both keys; an expert that never slips means what it does."""
    for name, noise, corrected in (
        ("held", 0.5, False),
        ("meant", 0.5, True),
        ("calm", 0.0, False),
        ("same", 0.0, True),
    ):
        record_steps(store(tmp_path / name), 1, 5000, noise, corrected=corrected)
    held, meant, calm, same = (Dataset.open(tmp_path / n).episodes[0] for n in ("held", "meant", "calm", "same"))
    assert np.array_equal(held.read(0, len(held)), meant.read(0, len(meant)))
    assert (held.actions != meant.actions).any(axis=1).mean() > 0.2
    assert not meant.actions[:, [KEYBOARD_12.pressable.index(key) for key in ("s", "d")]].any()
    assert np.array_equal(calm.actions, same.actions)


def test_episodes_that_differ_in_kind_are_not_mixed(tmp_path):
    record_steps(store(tmp_path / "d.zarr"), 1, 5000)
    with pytest.raises(UserError, match="holds frames of 24x16, these are 32x24"):
        store(tmp_path / "d.zarr", (32, 24))
    with pytest.raises(
        UserError, match=r"d\.zarr: arena_05000 was recorded with --noise 0.05, not 0.1; ask for that, or"
    ):
        record_steps(store(tmp_path / "d.zarr"), 2, 5000, 0.1)
    with pytest.raises(UserError, match="arena_05000 was recorded with --corrected False, not True"):
        record_steps(store(tmp_path / "d.zarr"), 2, 5000, corrected=True)
    assert len(Dataset.open(tmp_path / "d.zarr").episodes) == 1
