"""Playing: a policy sees what training saw, compiles once, forgets between episodes, and plays through every door."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protege.agent.vision import VisionOptions
from protege.arena.record_steps import record_steps
from protege.cloning import loader, thresholds
from protege.cloning.data import Data, loader_options
from protege.cloning.episodes import StepStore
from protege.cloning.policy import CloningPolicy
from protege.cloning.train import train
from protege.core import KEYBOARD_12, Frame
from protege.core.card import ModelCard
from protege.errors import UserError
from protege.evaluation.episodes import Job, Player, Runner
from protege.policies import load_policy
from tests.cloning import tiny
from tests.cloning.stores import store

PERIOD = 100_000_000
GOAL = "Go to the lantern"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A window of frames and actions, trained for a moment on five arena episodes; (configuration, folder)."""
    folder = tmp_path_factory.mktemp("cloned")
    record_steps(StepStore(folder / "d.zarr", KEYBOARD_12.pressable, (24, 16), "arena"), 5, 5000)
    options = ("training.max_steps=3", "model.goal=sentence", "model.num_frames=3", "model.frame_skip=2")
    config = tiny.run(folder / "d.zarr", folder / "model", *options, name="temporal_cnn")
    train(config)
    return config, folder / "model"


def frames_of(cache, name):
    start, stop = cache.offsets[name]
    return [
        Frame(np.ascontiguousarray(cache.frames[i].transpose(1, 2, 0)), k * PERIOD)
        for k, i in enumerate(range(start, stop))
    ]


def test_a_policy_decides_as_the_model_does_on_what_the_loader_gives(trained):
    config, folder = trained
    data = Data.open(config)
    policy = CloningPolicy(folder)
    policy.warm_up()
    name = data.splits.test[0].name
    start, stop = data.cache.offsets[name]
    # Thresholds in the middle of what the model says, so that its own actions vary.
    quiet = replace(loader_options(config), shuffle=False)
    some = policy.loaded.forward(next(loader.batches(data.cache, [name], quiet)))
    object.__setattr__(policy.loaded, "thresholds", np.median(some[:, 0], axis=0))
    sentence = data.setting.goals[int(data.cache.goals[start])]  # pyright: ignore[reportOptionalSubscript]
    noted = noting(policy)
    plans = [policy.predict(frame, sentence) for frame in frames_of(data.cache, name)]
    played = data.cache.actions.copy()
    played[start:stop] = KEYBOARD_12.encode([plan.steps[0] for plan in plans])[:, :-1]
    assert len({plan.steps[0] for plan in plans}) > 2
    cache = replace(data.cache, actions=played)  # the model's own actions are its history
    expected = [
        thresholds.played(row, policy.loaded.thresholds)
        for batch in loader.batches(cache, [name], quiet)
        for row in policy.loaded.forward(batch)[batch.valid, 0]
    ]
    assert np.array_equal(np.array(expected), played[start:stop])
    (given,) = loader.batches(cache, [name], replace(quiet, batch_size=stop - start))
    for seen, frames, previous in zip(noted.asked, given.frames, given.previous, strict=True):
        assert np.array_equal(seen[0], frames)
        assert np.array_equal(seen[1], previous)
        assert seen[2] == sentence


def test_it_compiles_once(trained):
    _, folder = trained
    policy = CloningPolicy(folder)
    policy.warm_up()
    compiled = policy.loaded._apply.func._cache_size  # pyright: ignore[reportFunctionMemberAccess, reportAttributeAccessIssue]
    assert compiled() == 1
    for k in range(5):
        policy.predict(Frame(np.full((48, 64, 3), 40 * k, np.uint8), k * PERIOD), GOAL)
    assert compiled() == 1


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (16, 24, 3), dtype=np.uint8)


class Noting:
    """A loaded model that notes what it is asked and what it says."""

    def __init__(self, loaded):
        self._loaded = loaded
        self.asked: list[tuple[Any, ...]] = []
        self.said: list[Any] = []

    def __getattr__(self, name):
        return getattr(self._loaded, name)

    def decide(self, *arguments):
        self.asked.append(arguments)
        self.said.append(self._loaded.decide(*arguments))
        return self.said[-1]


def noting(policy):
    policy.loaded = Noting(policy.loaded)
    return policy.loaded


def probabilities(policy, moments):
    """What the model says at the last of some (time in slots, picture number, goal)."""
    noted = noting(policy)
    for slot, number, goal in moments:
        policy.predict(Frame(picture(number), slot * PERIOD), goal)
    return noted.said[-1]


@pytest.mark.parametrize(
    ("before", "forgotten"),
    [
        ([(0, 1, GOAL)], False),
        ([(0, 1, "Go to the tree")], True),  # another goal
        ([(-12, 1, GOAL)], True),  # a jump of more than a second
        ([(5, 1, GOAL)], True),  # time goes back, as at the next episode of a benchmark
    ],
)
def test_what_was_seen_is_forgotten_between_episodes(trained, before, forgotten):
    policy = CloningPolicy(trained[1])
    fresh = probabilities(policy, [(2, 7, GOAL)])
    again = probabilities(CloningPolicy(trained[1]), [*before, (2, 7, GOAL)])
    assert np.allclose(fresh, again) == forgotten


def test_warming_up_leaves_nothing_behind(trained):
    policy = CloningPolicy(trained[1])
    moment = [(2, 7, policy.loaded.goals[0])]
    fresh = probabilities(policy, moment)
    warmed = CloningPolicy(trained[1])
    warmed.warm_up()
    assert np.array_equal(probabilities(warmed, moment), fresh)


def test_a_policy_that_hesitates_holds_the_likeliest_key(trained):
    policy = CloningPolicy(trained[1])
    object.__setattr__(policy.loaded, "thresholds", np.full(len(policy.loaded.keys), 0.999))
    assert len(policy.predict(Frame(picture(0), 0), GOAL).steps[0]) == 1


def test_what_was_held_between_two_pictures_is_the_rest_of_the_plan(trained):
    policy = CloningPolicy(trained[1], horizon=2)
    object.__setattr__(policy.loaded, "thresholds", np.zeros(len(policy.loaded.keys)))  # every key, always
    noted = noting(policy)
    for slot in (0, 3):
        policy.predict(Frame(picture(slot), slot * PERIOD), GOAL)
    assert not noted.asked[0][1].any()
    assert noted.asked[1][1].tolist() == [[1.0] * 11, [0.0] * 11]  # slot 1; in slot 2 the plan had run out


def test_what_is_too_old_to_matter_is_forgotten(trained):
    policy = CloningPolicy(trained[1])
    for slot in range(40):
        policy.predict(Frame(picture(slot), slot * PERIOD), GOAL)
    assert len(policy._frames) <= 6  # a window of 3, every second one, and the one before
    assert len(policy._held) <= 6


def test_a_plan_is_as_long_as_the_live_loop_asks(trained):
    policy = load_policy(trained[1], VisionOptions())
    assert isinstance(policy, CloningPolicy)
    plan = policy.predict(Frame(picture(0), 0), GOAL)
    assert len(plan.steps) == VisionOptions().horizon
    assert len(set(plan.steps)) == 1


def test_it_plays_the_arena(trained):
    runner = Runner(Player(str(trained[1])))
    try:
        assert runner.engine.size == (160, 120)
        result = runner.play(Job(10_000))
    finally:
        runner.close()
    assert result.decisions > 0


def test_another_space_is_refused(trained):
    options = VisionOptions(space=replace(KEYBOARD_12, name="OTHER"))
    with pytest.raises(UserError, match="made for space KEYBOARD_12, this needs OTHER"):
        load_policy(trained[1], options)


def test_a_model_that_needs_state_cannot_play(tmp_path):
    store(tmp_path / "d.zarr", (12, 9, 15, 7), state=3, size=(24, 16))
    options = ("training.max_steps=1", "dataset.use_state=true")
    train(tiny.run(tmp_path / "d.zarr", tmp_path / "model", *options, name="state_cnn"))
    vision = VisionOptions(space=ModelCard.load(tmp_path / "model").space)
    with pytest.raises(UserError, match="needs the game's state"):
        load_policy(tmp_path / "model", vision)
