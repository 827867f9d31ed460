"""The game's state as a mod sends it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.controls.state import encode_screen, encode_state
from protege.controls.tables import DEFAULT_STATE, STATE_NAMES

FULL = {
    "mainhand_category": "SWORD",
    "offhand_category": "SHIELD",
    **{"health": 10, "hunger": 15, "armor": 5, "on_ground": False, "fall_distance": 30, "velocity_y": -6},
    **{"attack_cooldown": 0.4, "sprinting": True, "crosshair": "ENTITY", "target_hostile": 1, "target_distance": 3},
    **{"nearest_hostile": 8, "hostile_yaw": -90, "hostile_count": 2, "time_of_day": 6000, "survival": True},
    **{"screen": "InventoryScreen", "poison": True, "slot": 4},
}
EXPECTED = {
    **{"mainhand_melee": 1, "offhand_shield": 1, "health": 0.5, "hunger": 0.75, "armor": 0.25, "fall_distance": 1.5},
    **{"velocity_y": -1, "attack_cooldown": 0.4, "sprinting": 1, "crosshair_entity": 1, "target_hostile": 1},
    **{"target_distance": 0.5, "nearest_hostile": 0.25, "hostile_yaw": -0.5, "hostile_count": 0.2},
    **{"time_of_day": 0.25, "survival": 1, "screen": 0.33, "damage_over_time": 1, "slot": 0.5},
}


def named(vector):
    return {name: float(value) for name, value in zip(STATE_NAMES, vector, strict=True) if value}


def test_every_number_has_its_documented_scale():
    assert named(encode_state(FULL)) == pytest.approx(EXPECTED)


def test_nothing_is_the_documented_default():
    np.testing.assert_array_equal(encode_state({}), DEFAULT_STATE)


def test_what_is_not_sent_is_ordinary():
    assert named(encode_state({"slot": 0})) == {
        **{"mainhand_empty": 1, "offhand_empty": 1, "health": 1, "hunger": 1, "on_ground": 1},
        **{"attack_cooldown": 1, "target_distance": 1, "nearest_hostile": 1},
    }


@pytest.mark.parametrize(
    ("screen", "value"),
    [
        *[(None, 0), ("", 0), ("none", 0), (0, 0), (0.4, 0.4), (7, 1), (-1, 0), (True, 1)],
        *[("inventory", 0.33), ("InventoryScreen", 0.33), ("CreativeInventoryScreen", 0.33), ("chest", 0.66)],
        *[("GenericContainerScreen", 0.66), ("ChatScreen", 1), (math.nan, 0), ([], 0)],
    ],
)
def test_screens_by_number_name_and_class_name(screen, value):
    assert encode_screen(screen) == pytest.approx(value)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"mainhand_category": "BOW"}, "ranged"),
        ({"mainhand_category": "pickaxe"}, "tool"),
        ({"mainhand_category": "BLOCK", "mainhand_item": "iron_sword"}, "place"),
        ({"mainhand_item": "minecraft:iron_sword"}, "melee"),
        ({"mainhand_item": "crossbow"}, "ranged"),
        ({"mainhand_item": "golden_apple"}, "eat"),
        ({"mainhand_item": "iron_pickaxe"}, "tool"),
        ({"mainhand_item": "iron_axe"}, "melee"),
        ({"mainhand_item": "saddle"}, "other"),
        ({"mainhand_item": "air"}, "empty"),
        ({"mainhand_category": "MISC"}, "other"),
    ],
)
def test_the_main_hand_by_category_first_then_by_the_items_name(sent, kind):
    hands = [name for name in named(encode_state(sent)) if name.startswith("mainhand")]
    assert hands == [f"mainhand_{kind}"]


def test_the_46_numbers_themselves_are_taken_as_they_are():
    numbers = np.linspace(0, 1, 46, dtype=np.float32)
    np.testing.assert_array_equal(encode_state(numbers), numbers)
    np.testing.assert_array_equal(encode_state(numbers.tolist()), numbers)
    wrong: list[Any] = [[1.0] * 45, [math.inf] * 46, ["x"] * 46, [[1], [2, 3]], "text", 7]
    for sent in wrong:
        np.testing.assert_array_equal(encode_state(sent), DEFAULT_STATE)


def test_numbers_beyond_all_measure_stay_finite():
    state = encode_state({"fall_distance": 1e300, "hostile_count": 10**400, "health": -math.inf})
    assert np.isfinite(state).all()
    assert state[STATE_NAMES.index("health")] == 1


RUBBISH = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from([*FULL, "mainhand_item", "mainhand_melee"]), RUBBISH))
def test_no_message_can_stop_the_game(sent):
    state = encode_state(sent)
    assert state.shape == (46,)
    assert np.isfinite(state).all()
    assert state[:7].sum() == 1
    assert state[7:11].sum() == 1
