"""Checkpoints: two steps, resumed, two more are bit for bit four; which are kept; what is inside; what is refused."""

import json
import logging
import shutil
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from protege.cloning import loader
from protege.cloning.checkpoint import About, Checkpoints, load_model, space_of
from protege.cloning.state import StateEncoder
from protege.cloning.steps import Devices, Network, Setting, State, make_steps
from protege.cloning.train import Data, train
from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.looking import look
from protege.errors import UserError
from tests.cloning.stores import KEYS, store
from tests.cloning.tiny import config, interrupted, run

HARD = ("model.dropout_rate=0.3", "training.accumulation=2", "dataset.augment={crop: 2, flip: 0.5}", "system.seed=7")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    goals = ("go to a", "go to b", "go to a", "")
    return store(tmp_path_factory.mktemp("data") / "e.zarr", (12, 9, 15, 7), size=(24, 16), goals=goals)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Four steps at once, and two to a Ctrl-C that were resumed for two more, which lie across the end of an epoch."""
    folder = tmp_path_factory.mktemp("models")
    options = (*HARD, "training.max_steps=4", "model.goal=sentence")
    straight = train(run(data, folder / "straight", *options))
    halves = run(data, folder / "halves", *options, "logging.log_every_n_steps=1")
    first = interrupted(halves, "step 1 of")
    return straight, first, train(halves)


def arrays(folder, step):
    """Every array of a checkpoint, by name."""
    import orbax.checkpoint as ocp

    items = {name: ocp.args.StandardRestore() for name in ("model", "optimizer")}
    with ocp.CheckpointManager(folder / "checkpoints") as manager:
        found = manager.restore(step, args=ocp.args.Composite(**items))
    return {f"{item}/{name}": np.asarray(leaf) for item in items for name, leaf in found[item].items()}


@pytest.mark.filterwarnings("ignore:Sharding info not provided")
def test_two_steps_and_two_more_are_bit_for_bit_four(runs):
    straight, first, second = runs
    assert (first.steps, second.steps, straight.steps) == (2, 4, 4)
    assert first.interrupted
    assert first.losses + second.losses == straight.losses
    one, two = arrays(straight.folder, 4), arrays(second.folder, 4)
    assert one.keys() == two.keys()
    assert len(one) > 20
    assert all((one[name] == two[name]).all() for name in one)
    before = arrays(second.folder, 2)
    assert any((one[name] != before[name]).any() for name in one), "and the second half changed something"


def test_a_checkpoint_says_everything_that_playing_needs(runs, data):
    straight, *_ = runs
    loaded = load_model(straight.folder)
    assert loaded.keys == KEYS
    assert loaded.goals == ("go to a", "go to b")
    assert loaded.config.training.accumulation == 2
    assert set(loaded.about["thresholds"]) == set(KEYS)
    assert loaded.thresholds.shape == (4,)
    assert {name for names in loaded.about["splits"].values() for name in names} == {f"episode_{n}" for n in range(4)}
    assert loaded.setting.frame_size == (16, 24)


def test_the_best_weights_play_with_the_thresholds_of_each_action(runs, tmp_path):
    straight, *_ = runs
    folder = tmp_path / "m"
    shutil.copytree(straight.folder, folder)
    loaded = load_model(folder)
    checkpoints = Checkpoints(folder, loaded.config, batches=10)
    network = Network(loaded.config, loaded.setting)
    like = make_steps(network, Devices(0, loaded.config.training.batch_size), np.ones(len(KEYS), np.float32), 10).init
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    state = checkpoints.restore(4, jax.eval_shape(like, jax.random.key(0)), here)
    for step, score in ((6, 99.0), (8, -99.0)):
        thresholds = {key: (step + number) / 100 for number, key in enumerate(KEYS)}
        about: About = {**loaded.about, "thresholds": thresholds}
        checkpoints.save(state._replace(step=jax.numpy.int32(step)), about, score)
    checkpoints.close()
    np.testing.assert_allclose(load_model(folder).thresholds, [0.06, 0.07, 0.08, 0.09])


def test_one_moment_is_decided_as_in_a_batch(runs, data):
    straight, *_ = runs
    loaded = load_model(straight.folder)
    opened = Data.open(loaded.config)
    batch = next(loader.batches(opened.cache, ["episode_1"], opened.options))
    together = loaded.forward(batch)
    one = loaded.decide(batch.frames[3], batch.previous[3, :0], goal="Go to B")
    np.testing.assert_allclose(one, together[3], atol=1e-6)
    other = loaded.decide(batch.frames[3], batch.previous[3, :0], goal="jump")
    assert not np.allclose(one, other)


class Counted:
    """A state of one number, since which checkpoints stay does not depend on what is in them."""

    @staticmethod
    def at(step):
        weights = nnx.State({"w": nnx.Param(jax.numpy.ones(2))})
        return State(jax.numpy.asarray(step, jax.numpy.int32), weights, nnx.State({}), {})

    @staticmethod
    def about(number) -> Any:
        return {"step": number}


def kept(folder, scores, *overrides):
    found = config("pure_cnn", *overrides)
    checkpoints = Checkpoints(folder, found, batches=10)
    for epoch, score in enumerate(scores, 1):
        checkpoints.save(Counted.at(10 * epoch), Counted.about(epoch), score)
    checkpoints.close()
    return {int(path.name) // 10 for path in (folder / "checkpoints").iterdir() if path.name.isdigit()}


def test_the_best_every_third_and_the_last_two_are_kept(tmp_path):
    scores = [0.1, 0.9, 0.3, None, 0.5, 0.4, 0.2, 0.3]
    options = ("training.save_every_n_epochs=3", "training.keep_last_n_checkpoints=2")
    assert kept(tmp_path / "m", scores, *options) == {2, 3, 6, 7, 8}


def test_a_checkpoint_that_nothing_judged_is_saved_without_a_word(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="absl")
    assert kept(tmp_path / "m", [None, 0.5, None]) == {1, 2, 3}
    assert caplog.text == ""


def test_a_step_is_saved_once(tmp_path):
    checkpoints = Checkpoints(tmp_path, config(), batches=10)
    checkpoints.save(Counted.at(3), Counted.about(1), None)
    checkpoints.save(Counted.at(3), Counted.about(2), None)
    assert checkpoints.about(3) == Counted.about(1)
    assert checkpoints.latest() == 3
    checkpoints.close()


def test_a_checkpoint_of_another_model_is_refused(runs, tmp_path):
    straight, *_ = runs
    checkpoints = Checkpoints(straight.folder, config(), batches=3)
    with pytest.raises(UserError, match=r"4: damaged .*not a checkpoint of this model: .*training\.resume=never"):
        checkpoints.restore(4, Counted.at(0), jax.sharding.SingleDeviceSharding(jax.devices()[0]))
    checkpoints.close()


def test_a_checkpoint_that_lost_a_part_is_named(data, tmp_path):
    (tmp_path / "m" / "checkpoints" / "7" / "model").mkdir(parents=True)
    for tried in (lambda: load_model(tmp_path / "m"), lambda: train(run(data, tmp_path / "m"))):
        with pytest.raises(
            UserError, match=r"checkpoints/7: damaged .*not a checkpoint of this model: .*training\.resume=never"
        ):
            tried()
    assert not (tmp_path / "m" / "log.jsonl").exists()


def test_a_folder_without_checkpoints_is_named(tmp_path):
    with pytest.raises(UserError, match="no checkpoints here; train a model with: protege clone train"):
        load_model(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="no finished checkpoint yet"):
        load_model(tmp_path)


def test_starting_over_forgets_what_was_there(runs, data, tmp_path):
    found = run(data, tmp_path / "m", "training.max_steps=1", "training.resume=never")
    (tmp_path / "m" / "checkpoints" / "7").mkdir(parents=True)
    assert train(found).steps == 1


def test_a_setting_survives_json():
    state = StateEncoder.fit(np.arange(38, dtype=np.float32).reshape(2, 19))
    for setting in (Setting(("a",), ("go",), (16, 24), state), Setting(("a", "b"), (), (8, 8))):
        assert Setting.from_json(json.loads(json.dumps(setting.to_json()))) == setting


def setting_of(*keys, space=None):
    return Setting(keys, (), (8, 8), space=space)


def test_twelve_keys_are_the_keyboard_and_others_have_their_own_space():
    assert space_of(setting_of(*KEYBOARD_12.pressable)) is KEYBOARD_12
    some = space_of(setting_of("w", "a", "space"))
    assert (some.pressable, some.movement) == (("w", "a", "space"), {"w", "a"})
    own = space_of(setting_of("Move_Left", "dodge_roll/dash", "a+b"))
    assert own.keys == ("move_left", "dodge_roll/dash", "a_b", "none")


def test_a_model_has_the_very_space_that_its_data_says():
    mouse = look()
    space = ActionSpace("GAME", ("w", "ctrl", "none"), frozenset("w"), meanings={"ctrl": "fire"}, look=mouse)
    keys = (*space.pressable, *mouse.yaw.symbols, *mouse.pitch.symbols)
    setting = Setting.from_json(json.loads(json.dumps(setting_of(*keys, space=space).to_json())))
    assert space_of(setting) == space
    assert space_of(setting).meanings == space.meanings
    assert setting.axes == (slice(2, 23), slice(23, 34))
    assert setting.mirror.actions[2:23] == tuple(range(22, 1, -1))
