"""The expert on the real engine: it solves what it is asked, and plays in a way that can be learned."""

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest

from protege.arena.engine import ARENA_MOUSE
from protege.arena.env import ArenaEnv
from protege.arena.expert import IN_VIEW_DEG, Expert
from protege.arena.rooms import EVAL_SEED_START, layout
from protege.arena.state import ArenaState
from protege.arena.tasks import GOALS
from protege.core.actions import NO_KEYS
from protege.core.looking import look

DEGREES_PER_COUNT = look().degrees_per_count
SEEDS = range(EVAL_SEED_START, EVAL_SEED_START + 30)
MANY = range(EVAL_SEED_START, EVAL_SEED_START + 100)


@pytest.fixture(scope="module")
def env():
    made = ArenaEnv(size=(160, 120))
    yield made
    made.close()


def play(env, seed, expert, goal=None, believed=None):
    """One episode: the states and keys of every decision, and the last info. believed: the goal the expert pursues."""
    _, info = env.reset(seed=seed, options={"goal": goal})
    steps, over = [], False
    while not over:
        state = info["state"] if believed is None else pretend(info["state"], believed)
        action = expert.act(state)
        steps.append((info["state"], action))
        _, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
    return steps, info


def pretend(state, goal):
    """The same moment as it looks to somebody who was asked for another goal."""
    return ArenaState(replace(state.layout, goal=goal), state.pose, state.door_gap)


def test_it_solves_99_of_100_evaluation_seeds(env):
    assert sum(play(env, seed, Expert())[1]["success"] for seed in MANY) >= 99


@pytest.mark.parametrize("goal", GOALS)
def test_it_reaches_every_goal(env, goal):
    seeds = SEEDS if goal in ("door", "stairs", "posters") else SEEDS[:10]
    lost = [(seed, info["end"]) for seed in seeds if not (info := play(env, seed, Expert(), goal)[1])["success"]]
    assert not lost


def test_with_noise_it_still_solves_19_of_20(env):
    noisy = [play(env, seed, Expert(noise=0.1, seed=seed)) for seed in SEEDS]
    assert sum(info["success"] for _, info in noisy) >= 0.95 * len(SEEDS)
    clean = [play(env, seed, Expert()) for seed in SEEDS]
    assert sum(len(steps) for steps, _ in noisy) > sum(len(steps) for steps, _ in clean)


def test_equal_seeds_give_equal_noise(env):
    keys = [[action for _, action in play(env, 10_003, Expert(noise=0.2, seed=4))[0]] for _ in range(2)]
    assert keys[0] == keys[1]


def test_it_looks_for_the_goal_before_it_walks_and_always_the_same_way(env):
    for seed in SEEDS:
        steps, _ = play(env, seed, Expert())
        for state, action in steps:
            if abs(state.pose.bearing(state.layout.aim)) <= IN_VIEW_DEG:
                break
            assert action == {"right"}


def test_it_holds_its_keys_and_does_not_jitter(env):
    changes = decisions = 0
    for seed in SEEDS:
        actions = [action for _, action in play(env, seed, Expert())[0]]
        changes += sum(a != b for a, b in itertools.pairwise(actions))
        decisions += len(actions)
    assert changes / decisions < 0.25


def test_it_uses_enter_only_for_doors(env):
    for goal, uses in (("door", True), ("tree", False)):
        steps, _ = play(env, 10_004, Expert(), goal)
        assert any("enter" in action for _, action in steps) == uses


def test_it_stops_when_it_has_arrived(env):
    made = layout(10_000, GOALS["lantern"])
    assert made.target is not None
    there = ArenaState(made, made.start.__class__(made.target.x - 60, made.target.y))
    expert = Expert(noise=1.0)
    assert [expert.act(there) for _ in range(5)] == [NO_KEYS] * 5


def test_who_pursues_another_goal_fails(env):
    """The sentence matters: playing well towards something else in the room does not succeed."""
    wins = 0
    for seed in SEEDS:
        other = layout(seed, GOALS["lantern"]).distractors[0].kind.name
        wins += play(env, seed, Expert(), "lantern", believed=GOALS[other])[1]["success"]
    assert wins <= 3


def test_with_a_mouse_it_solves_99_of_100_evaluation_seeds_and_looks_smoothly():
    with contextlib.closing(ArenaEnv(size=(160, 120), space="arena-mouse")) as mouse:
        played = [play(mouse, seed, Expert(space=ARENA_MOUSE)) for seed in MANY]
    assert sum(info["success"] for _, info in played) >= 99
    turns = [ARENA_MOUSE.counts(action)[0] for steps, _ in played for _, action in steps]
    assert {ARENA_MOUSE.only(action) for steps, _ in played for _, action in steps} >= {frozenset("w")}
    degrees = np.abs(turns) * DEGREES_PER_COUNT
    assert degrees.max() < 15
    # Turning ends in steps that become smaller, where keys turn by the same all the time.
    assert len({round(float(turn), 1) for turn in degrees}) >= 4


def test_with_a_mouse_and_noise_it_still_solves_19_of_20():
    with contextlib.closing(ArenaEnv(size=(160, 120), space="arena-mouse")) as mouse:
        noisy = [play(mouse, seed, Expert(noise=0.1, seed=seed, space=ARENA_MOUSE)) for seed in SEEDS]
    assert sum(info["success"] for _, info in noisy) >= 0.95 * len(SEEDS)
