"""`protege bench cloning` in small: figures that hold at any size, and the way in through the command."""

import numpy as np
import pytest

from protege.bench import cloning, cloning_data, cloning_play, vizdoom, vizdoom_cloned
from protege.cloning.store import Dataset
from protege.errors import UserError
from protege.play import KEYBOARD_12


def test_the_loader_is_measured_on_a_store_of_the_origin_s_format(tmp_path):
    store = cloning_data.write_store(tmp_path / "d.zarr", (16, 24), 12)
    dataset = Dataset.open(store)
    assert dataset.problems == ()
    assert len(dataset.keys) == 7
    rates = cloning_data.measure(store, tmp_path / "cache", turns=1)
    assert set(rates) == {"first", "later", "origin"}
    assert rates["later"] > rates["origin"]


def test_memory_is_measured_on_linked_episodes(tmp_path, monkeypatch):
    monkeypatch.setattr(cloning_data, "EPISODE", 4)
    (growth,) = cloning_data.memory(tmp_path, 4, 8)
    assert growth.key == "memory_growth"
    assert 0.5 < growth.value < 2
    assert [len(episode) for episode in Dataset.open(tmp_path / "8.zarr").episodes] == [4, 4]


def test_the_expert_is_recorded_at_any_size_and_only_once(tmp_path):
    new, frames, won = cloning_play.record(tmp_path / "d.zarr", 2, 5000, (24, 16))
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert (new, won) == (2, 2)
    assert dataset.keys == KEYBOARD_12.pressable
    assert dataset.frame_size == (24, 16)
    assert sum(len(episode) for episode in dataset.episodes) == frames
    assert dataset.episodes[0].actions.any()
    assert cloning_play.record(tmp_path / "d.zarr", 3, 5000, (24, 16))[0] == 1
    with pytest.raises(UserError, match="holds frames of 24x16, these are 32x24"):
        cloning_play.record(tmp_path / "d.zarr", 3, 5000, (32, 24))


def test_a_slip_is_played_and_what_was_meant_is_recorded(tmp_path):
    """The same episode with both keys; an expert that never slips means what it does."""
    for name, noise, corrected in (
        ("held", 0.5, False),
        ("meant", 0.5, True),
        ("calm", 0.0, False),
        ("same", 0.0, True),
    ):
        cloning_play.record(tmp_path / name, 1, 5000, (24, 16), noise, corrected=corrected)
    held, meant, calm, same = (Dataset.open(tmp_path / n).episodes[0] for n in ("held", "meant", "calm", "same"))
    assert np.array_equal(held.read(0, len(held)), meant.read(0, len(meant)))
    assert (held.actions != meant.actions).any(axis=1).mean() > 0.2
    assert not meant.actions[:, [KEYBOARD_12.pressable.index(key) for key in ("s", "d")]].any()
    assert np.array_equal(calm.actions, same.actions)


def test_the_scripted_player_of_the_corridor_is_better_than_standing_still(tmp_path):
    rewards = vizdoom_cloned.record(tmp_path / "d.zarr", tmp_path, "deadly_corridor", 2)
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert sorted(dataset.keys) == ["a", "d", "left", "right", "s", "space", "w"]
    held = {key for n, key in enumerate(dataset.keys) if any(e.actions[:, n].any() for e in dataset.episodes)}
    assert {"w", "space"} <= held
    assert min(rewards) > 0  # dying on the way costs more than half of the way brings
    with pytest.raises(UserError, match="knows only deadly_corridor"):
        vizdoom_cloned.record(tmp_path / "e.zarr", tmp_path, "basic", 1)


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match="no part fly; they are data, train, decide, play"):
        cloning.CloningBench(("fly",))
    with pytest.raises(UserError, match="rooms is 1 or more"):
        cloning.CloningBench(rooms=0)
    assert vizdoom.VizdoomBench("cloned").trained_on == 100
