"""`python -m bench cloning` in small: figures that hold at any size, and the way in through the command."""

import pytest

from bench import cloning, cloning_data, cloning_play
from protege.cloning.checkpoint import load_model
from protege.cloning.config import load
from protege.cloning.store import Dataset
from protege.errors import UserError
from protege.settings import shipped


def test_the_loader_is_measured_on_a_store_of_the_origin_s_format(tmp_path):
    store = cloning_data.write_store(tmp_path / "d.zarr", (16, 24), 12)
    dataset = Dataset.open(store)
    assert dataset.problems == ()
    assert len(dataset.keys) == 7
    rates = cloning_data.measure(store, tmp_path / "cache", turns=1)
    assert set(rates) == {"first", "later", "origin"}
    assert rates["later"] > rates["origin"]


def test_memory_is_measured_on_linked_episodes(tmp_path):
    (growth,) = cloning_data.memory(tmp_path, 4, 8, length=4)
    assert growth.key == "memory_growth"
    assert 0.5 < growth.value < 2
    assert [len(episode) for episode in Dataset.open(tmp_path / "8.zarr").episodes] == [4, 4]


def test_a_model_is_trained_by_the_shipped_recipe_and_recorded_with_corrections(tmp_path):
    small = ("training.max_steps=1", "training.batch_size=4", "system.compile_cache=null")
    model = cloning_play.trained(tmp_path, "plain", 3, overrides=small)
    config = load_model(model).config
    recipe = load(shipped(cloning_play.RECIPE))
    assert config.model == load(None).model  # the documented network
    assert config.dataset.augment.brightness == recipe.dataset.augment.brightness > 0
    assert config.evaluation.best == recipe.evaluation.best == "last"
    dataset = Dataset.open(tmp_path / "arena.zarr")
    assert dataset.frame_size == cloning_play.SIZE
    assert all(episode.attributes["corrected"] for episode in dataset.episodes)


def test_mistakes_are_one_line():
    with pytest.raises(UserError, match="no part fly; they are data, train, decide, play"):
        cloning.CloningBench(("fly",))
    with pytest.raises(UserError, match="rooms is 1 or more"):
        cloning.CloningBench(rooms=0)
