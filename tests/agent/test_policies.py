"""From --model to a policy, and the policies that need no model."""

import pytest

from protege.agent.baselines import ConstantPolicy, RandomPolicy, ScriptedPolicy, repeat_policy
from protege.agent.server import ServerAgent
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import KEYBOARD_12
from protege.core.card import ModelCard
from protege.errors import UserError
from protege.policies import load_policy

W, LEFT = frozenset("w"), frozenset(("left",))


def test_scripted_play_goes_on_from_where_the_frame_is(noise):
    policy = ScriptedPolicy((W, W, LEFT))
    policy.warm_up()
    assert policy.predict(noise(5.0), "Go").steps == (W, W, LEFT, W, W, LEFT, W)
    assert policy.predict(noise(5.2), "Go").steps[:2] == (LEFT, W)


def test_random_plans_of_neighbouring_frames_agree_where_they_overlap(noise):
    policy = RandomPolicy(seed=3)
    first, later = policy.predict(noise(1.0), "Go"), policy.predict(noise(1.2), "Go")
    assert first.steps[2:] == later.steps[:-2]
    assert RandomPolicy(seed=4).predict(noise(1.0), "Go") != first or RandomPolicy(5).predict(noise(), "Go") != first
    seen = {step for t in range(200) for step in policy.predict(noise(t), "Go").steps}
    assert len(seen) == 12


def test_repeat_holds_one_key_for_ever(noise):
    policies = [repeat_policy(seed) for seed in range(20)]
    plans = [policy.predict(noise(), "Go") for policy in policies]
    assert all(len(set(plan.steps)) == 1 and not plan.done for plan in plans)
    assert len(set(plans)) > 4


@pytest.mark.parametrize("name", ["scripted", "random", "repeat", "majority"])
def test_policies_have_names(name, noise):
    plan = load_policy(name).predict(noise(), "Go")
    assert len(plan.steps) == 7
    assert all(step <= set(KEYBOARD_12.pressable) for step in plan.steps)


def test_a_folder_is_loaded_by_its_cards_kind(tiny, tmp_path):
    policy = load_policy(tiny, VisionOptions(frame_size=(160, 120)))
    assert isinstance(policy, VisionAgent)
    ModelCard("telepathy", "none").save(tmp_path)
    with pytest.raises(UserError, match="telepathy"):
        load_policy(tmp_path)


def test_a_policy_that_plays_from_landmarks_is_refused_with_the_way_to_play_it(tmp_path):
    ModelCard("controls", "none").save(tmp_path)
    with pytest.raises(UserError, match="with --features FILE"):
        load_policy(tmp_path)


def test_what_is_nothing_is_refused_with_what_there_is():
    with pytest.raises(UserError, match="scripted, random"):
        load_policy("no-such-thing")
    with pytest.raises(UserError, match="no such folder"):
        load_policy("models/no-such-model")


def test_a_url_is_a_server():
    assert isinstance(load_policy("http://127.0.0.1:9/v1#m"), ServerAgent)
    assert isinstance(load_policy("majority"), ConstantPolicy)
