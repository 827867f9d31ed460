"""The tables are those of the source documents, and everything is derived from them."""

import numpy as np

from protege.controls import tables
from protege.controls.tables import CONTROLS, HEADS, INPUTS, STATE_NAMES


def test_the_heads_are_those_of_the_source_documents():
    expected = {
        "action": [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13],
        "look": [9, 10],
        "hotbar": list(range(14, 23)),
        "cursor": [23, 24],
        "inventory": [25, 26, 27],
    }
    assert {head: list(where) for head, where in HEADS.items()} == expected
    assert sorted(np.concatenate(list(HEADS.values()))) == list(range(28))


def test_the_inputs_are_671_in_the_documented_order():
    ends = [99, 162, 225, 226, 227, 260, 485, 531, 671]
    assert [where.stop for where in INPUTS.values()] == ends
    assert [where.start for where in INPUTS.values()] == [0, *ends[:-1]]
    assert (260, 671, slice(0, 225)) == (tables.FRAME, tables.INPUT, tables.COORDINATES)


def test_the_state_has_46_fields_at_their_documented_places():
    places = {
        **{"mainhand_melee": 0, "mainhand_empty": 5, "mainhand_other": 6, "offhand_shield": 7, "offhand_empty": 10},
        **{"health": 11, "on_ground": 14, "swimming": 16, "on_fire": 19, "sprinting": 20, "sneaking": 21},
        **{"fall_distance": 22, "velocity_y": 23, "attack_cooldown": 24, "using_item": 25, "crosshair_entity": 29},
        **{"target_distance": 32, "nearest_hostile": 33, "hostile_count": 35, "time_of_day": 36, "survival": 37},
        **{"screen": 38, "speed": 39, "damage_over_time": 42, "slot": 44, "horizontal_collision": 45},
    }
    assert {name: STATE_NAMES.index(name) for name in places} == places
    assert len(STATE_NAMES) == len(set(STATE_NAMES)) == 46
    assert list(np.flatnonzero(tables.DEFAULT_STATE == 1)) == [5, 10, 11, 12, 14, 24]
    assert tables.DEFAULT_STATE.sum() == 6


def test_kinds_are_those_of_the_source_documents():
    pulses = {control.name for control in CONTROLS if control.kind == "pulse"}
    assert pulses == {
        *("jump", "attack", "drop_item", "swap_offhand", "open_inventory"),
        *("inv_left_click", "inv_right_click"),
    }
    assert len({control.name for control in CONTROLS}) == 28


def test_a_slot_is_read_back_from_the_state():
    assert [tables.hotbar_slot(slot / 8) for slot in range(9)] == list(range(9))
