"""State features: by hand for one state, learned from the training episodes alone, mirrored as pictures are."""

import json

import numpy as np
import pytest

from protege.cloning.config import StateConfig
from protege.cloning.state import COLUMNS, StateEncoder
from protege.errors import UserError


def states(count=200, seed=0):
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(count, len(COLUMNS))).astype(np.float32) * 10
    for name in ("hero_hp", "hero_max_hp", "hero_sp", "hero_max_sp", "hero_fp", "hero_max_fp", "npc_hp", "npc_max_hp"):
        made[:, COLUMNS.index(name)] = rng.integers(1, 1000, count)
    made[:, COLUMNS.index("hero_animation")] = rng.choice([7, 100, 100234], count)
    made[:, COLUMNS.index("npc_animation")] = rng.choice([3, 4], count)
    return made


def plain(encoder, state):
    """The features by name, their scaling undone."""
    features = encoder.encode(state)
    numbers = len(encoder.center)
    values = features[..., :numbers] * np.array(encoder.scale) + np.array(encoder.center)
    return dict(zip(encoder.names, np.concatenate([values, features[..., numbers:]], -1).T, strict=True))


def one(**columns):
    state = np.zeros((1, len(COLUMNS)), np.float32)
    for name, value in columns.items():
        state[0, COLUMNS.index(name)] = value
    return state


def test_features_are_what_they_are_by_hand():
    state = one(
        hero_hp=50, hero_max_hp=200, npc_hp=30, npc_max_hp=0, hero_x=1, hero_y=2, hero_z=3, npc_x=4, npc_y=6, npc_z=15,
        hero_angle=np.pi / 2, hero_animation=100, npc_animation=9,
    )  # fmt: skip
    found = {name: float(values[0]) for name, values in plain(StateEncoder.fit(states()), state).items()}
    assert found["hero_hp_ratio"] == pytest.approx(0.25)
    assert found["npc_hp_ratio"] == pytest.approx(1)  # a maximum of 0 counts as 1, and no ratio is above 1
    assert found["hero_sp_ratio"] == pytest.approx(0, abs=1e-6)
    assert (found["relative_x"], found["relative_y"], found["relative_z"]) == pytest.approx((3, 4, 12), rel=1e-5)
    assert (found["distance_xy"], found["distance"]) == pytest.approx((5, 13), rel=1e-5)
    assert (found["toward_cos"], found["toward_sin"]) == pytest.approx((0.6, 0.8), rel=1e-5)
    assert (found["bearing_cos"], found["bearing_sin"]) == pytest.approx((0.8, -0.6), rel=1e-5)
    assert found["hero_animation"] == 2
    assert found["npc_animation"] == 0


def test_the_vocabulary_is_of_the_training_states_alone():
    encoder = StateEncoder.fit(states())
    assert encoder.vocabularies == ((7, 100, 100234), (3, 4))
    assert encoder.vocabulary_sizes == (4, 3)
    at = encoder.names.index("hero_animation")
    for number, expected in ((7, 1), (100, 2), (100234, 3), (101, 0), (-1, 0), (10**6, 0)):
        assert encoder.encode(one(hero_animation=number))[0, at] == expected


def test_training_features_have_one_scale():
    encoder = StateEncoder.fit(states())
    numbers = encoder.encode(states())[:, : len(encoder.center)]
    assert np.allclose(numbers.std(0), 1, atol=1e-4)
    still = [n for n, turned in enumerate(encoder.mirrored[: len(encoder.center)]) if turned > 0]
    assert np.allclose(numbers[:, still].mean(0), 0, atol=1e-4)


@pytest.mark.parametrize("config", [StateConfig(), StateConfig(False, False, False, False, False)])
def test_the_state_of_a_mirrored_world_is_the_mirrored_state(config):
    encoder = StateEncoder.fit(states(), config)
    state = states(20, seed=1)
    world = state.copy()
    for name in ("hero_y", "npc_y", "hero_angle", "npc_angle"):
        world[:, COLUMNS.index(name)] *= -1
    assert np.allclose(encoder.encode(world), encoder.encode(state) * encoder.mirrored, atol=1e-4)


@pytest.mark.parametrize("part", ["ratios", "relative", "distances", "directions", "animations"])
def test_every_part_can_be_left_out(part):
    whole, without = StateEncoder.fit(states()), StateEncoder.fit(states(), StateConfig(**{part: False}))
    assert set(whole.names) != set(without.names)


def test_a_state_of_another_width_is_only_scaled():
    rng = np.random.default_rng(0)
    state = rng.normal(5, 3, (100, 4)).astype(np.float32)
    encoder = StateEncoder.fit(state)
    assert encoder.vocabulary_sizes == ()
    assert encoder.num_features == 4
    assert np.allclose(encoder.encode(state), (state - state.mean(0)) / state.std(0), atol=1e-4)
    with pytest.raises(UserError, match="state of 5 columns; this model was trained with 4"):
        encoder.encode(np.zeros((2, 5), np.float32))


def test_what_never_changes_does_not_become_infinite():
    encoder = StateEncoder.fit(np.ones((10, 2), np.float32))
    assert np.isfinite(encoder.encode(np.zeros((1, 2), np.float32))).all()
    with pytest.raises(UserError, match="expected rows of training episodes"):
        StateEncoder.fit(np.zeros((0, 19), np.float32))


def test_json_brings_it_back():
    encoder = StateEncoder.fit(states())
    again = StateEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder
    assert np.array_equal(again.encode(states(5, 3)), encoder.encode(states(5, 3)))
