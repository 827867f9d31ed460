"""The environment on the real engine: its contract, its keys, and that nothing about it is left to chance."""

import contextlib
import hashlib
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from protege.arena.engine import ARENA_MOUSE, Engine
from protege.arena.env import ENV_ID, ArenaEnv, to_action, to_array
from protege.arena.rooms import EVAL_SEED_START, layout
from protege.core.actions import KEYBOARD_12, NO_KEYS, ActionSpace
from protege.errors import UserError

SCRIPT = """
import hashlib, random
from protege.arena.env import ArenaEnv
env, digest, rng = ArenaEnv(size=(160, 120)), hashlib.sha256(), random.Random(1)
for seed in {seeds}:
    picture, _ = env.reset(seed=seed)
    digest.update(picture.tobytes())
    for _ in range(25):
        picture, *_ = env.step(frozenset(rng.sample(("w", "a", "left", "right", "up", "enter", "space"), 2)))
        digest.update(picture.tobytes())
env.close()
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def env():
    made = ArenaEnv(size=(160, 120), end_on_success=False)
    yield made
    made.close()


def hold(env, keys, decisions):
    """Holds keys for some decisions; the last picture and the state."""
    results = [env.step(frozenset(keys)) for _ in range(decisions)]
    return results[-1][0], results[-1][-1]["state"]


def test_it_takes_goals_that_need_memory():
    with contextlib.closing(ArenaEnv(size=(160, 120), goal="Leave by the other door")) as made:
        _, info = made.reset(seed=10_000)
        assert (info["task"], info["state"].layout.goal.name) == ("other_door", "other door")


def test_gymnasium_makes_it_and_reward_is_one_on_success():
    made = gymnasium.make(ENV_ID, size=(160, 120), render_mode="rgb_array")
    try:
        picture, info = made.reset(seed=10_000, options={"goal": "Open the door"})
        assert made.observation_space.contains(picture)
        assert info["goal"] == "Open the door"
        assert info["task"] == "open_door"
        assert info["seed"] == 10_000
        assert info["end"] is None
        picture, reward, terminated, truncated, _ = made.step(made.action_space.sample() * 0)
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert np.array_equal(np.asarray(made.render()), picture)
    finally:
        made.close()


def test_the_same_seed_and_keys_give_the_same_pictures_in_another_process(tmp_path):
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(seeds=(10_000, 10_001))],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1
    assert not list(tmp_path.iterdir()), "the engine leaves nothing in the working folder"


def test_what_was_played_before_does_not_show_in_an_episode(env):
    def digest(seed):
        picture, _ = env.reset(seed=seed)
        found = hashlib.sha256(picture.tobytes())
        for keys in ("w", "left", "left", "w", "right", ""):
            found.update(env.step(frozenset((keys,)) if keys else NO_KEYS)[0].tobytes())
        return found.hexdigest()

    first = digest(10_005)
    env.reset(seed=10_006)
    hold(env, ("right", "w"), 13)
    assert digest(10_005) == first


def test_every_key_does_what_it_should(env):
    def after(keys, decisions=6):
        _, info = env.reset(seed=10_020)
        return info["pose"], hold(env, keys, decisions)[1].pose

    start, walked = after("w")
    assert abs(start.bearing((walked.x, walked.y))) < 5
    start, backed = after("s")
    assert abs(start.bearing((backed.x, backed.y))) > 175
    start, left = after("a")
    assert start.bearing((left.x, left.y)) == pytest.approx(90, abs=5)
    start, right = after("d")
    assert start.bearing((right.x, right.y)) == pytest.approx(-90, abs=5)
    start, turned = after(("left",))
    assert 20 < (turned.angle_deg - start.angle_deg) % 360 < 100
    start, turned = after(("right",))
    assert 20 < (start.angle_deg - turned.angle_deg) % 360 < 100
    assert after(("up",))[1].pitch_deg < -5
    assert after(("down",))[1].pitch_deg > 5
    assert after(("space",), 3)[1].z > 10


def test_crouching_and_looking_change_the_picture(env):
    still, _ = env.reset(seed=10_020)[0], None
    for keys in (("c",), ("up",)):
        env.reset(seed=10_020)
        assert not np.array_equal(hold(env, keys, 5)[0], still)


def test_an_episode_that_is_not_solved_times_out():
    made = ArenaEnv(size=(160, 120), max_decisions=5)
    try:
        made.reset(seed=10_000)
        results = [made.step(NO_KEYS) for _ in range(5)]
        assert [truncated for *_, truncated, _ in results] == [False] * 4 + [True]
        assert results[-1][-1]["end"] == "timeout"
    finally:
        made.close()


def test_without_a_seed_only_training_layouts_are_drawn(env):
    for _ in range(5):
        assert env.reset()[1]["seed"] < EVAL_SEED_START


def test_actions_convert_both_ways():
    action = frozenset(("w", "enter"))
    assert to_action(to_array(action)) == action
    assert to_array(action).shape == (len(KEYBOARD_12.pressable),)
    with pytest.raises(ValueError, match="11 zeros and ones"):
        to_action([1, 0])


def test_steps_before_a_reset_are_refused():
    with pytest.raises(RuntimeError, match="call reset"):
        ArenaEnv().step(NO_KEYS)
    with pytest.raises(RuntimeError, match="load a layout"):
        Engine().step(NO_KEYS, 1)


def test_a_size_the_engine_does_not_have_is_refused():
    with pytest.raises(UserError, match="cannot draw 100x100; its sizes are 160x120"):
        Engine((100, 100))


def test_closing_removes_the_engines_files():
    with Engine((160, 120)) as engine:
        engine.load(layout(10_000))
        folder = engine._folder
        assert folder.exists()
    assert not folder.exists()
    engine.close()


@pytest.mark.parametrize("name", ["rooms", "tasks", "state", "expert", "log", "player", "udmf", "maps"])
def test_parts_without_the_engine_load_without_it(name):
    check = (
        f"import sys, protege.arena.{name}; assert not {{'vizdoom', 'gymnasium', 'Xlib', 'pynput'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.fixture(scope="module")
def mouse():
    with contextlib.closing(ArenaEnv(size=(160, 120), space="arena-mouse")) as made:
        yield made


def turned(before, after):
    return -((after.angle_deg - before.angle_deg + 180) % 360 - 180), after.pitch_deg - before.pitch_deg


def test_with_a_mouse_the_view_turns_by_the_counts_of_the_bins_and_keeps_fractions(mouse):
    _, info = mouse.reset(seed=10_000)
    look, before = ARENA_MOUSE.look, info["pose"]
    assert look is not None
    asked, sent = 0.0, 0
    for yaw in look.yaw.symbols * 2:
        action = frozenset((yaw,)) - ARENA_MOUSE.at_rest
        pose = mouse.step(action)[-1]["pose"]
        counts = sum(right for right, _ in mouse.engine.moved)
        # The engine's angles have 65,536 steps a turn, and it cuts what a tic turns down to them.
        assert turned(before, pose)[0] == pytest.approx(counts * look.degrees_per_count, abs=0.03)
        before, asked, sent = pose, asked + ARENA_MOUSE.counts(action)[0], sent + counts
        assert abs(asked - sent) < 1


def test_with_a_mouse_right_and_down_are_positive(mouse):
    mouse.reset(seed=10_000)
    before = mouse.engine.state().pose
    pose = mouse.step(frozenset(("yaw5", "pitch2")))[-1]["pose"]
    right, down = turned(before, pose)
    assert right > 0
    assert down > 0


def test_actions_of_a_space_with_a_mouse_are_numbers_too(mouse):
    action = frozenset(("w", "enter", "yaw-3", "pitch2"))
    array = to_array(action, ARENA_MOUSE)
    assert array.tolist() == [1, 0, 0, 0, 0, 0, 1, 7, 7]
    assert to_action(array, ARENA_MOUSE) == action
    assert array in mouse.action_space
    for _ in range(20):
        drawn = mouse.action_space.sample()
        assert to_array(to_action(drawn, ARENA_MOUSE), ARENA_MOUSE).tolist() == drawn.tolist()
    with pytest.raises(ValueError, match="a bin for each axis"):
        to_action([0] * 7, ARENA_MOUSE)


def test_a_space_that_the_arena_does_not_know_is_a_mistake_in_words():
    with pytest.raises(UserError, match="no action space 'mouse'; expected keys or arena-mouse"):
        ArenaEnv(space="mouse")
    with pytest.raises(UserError, match="no use for ctrl"):
        ArenaEnv(space=ActionSpace("X", ("w", "ctrl", "none")))
