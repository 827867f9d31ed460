"""The action space and its text form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace
from protege.core.actions import WORDS

actions = st.frozensets(st.sampled_from(KEYBOARD_12.pressable))


def test_keyboard_12_has_the_documented_columns():
    assert KEYBOARD_12.keys == ("w", "s", "a", "d", "up", "down", "left", "right", "c", "space", "enter", "none")


@given(st.lists(actions))
def test_encoding_then_decoding_is_the_identity(steps):
    rows = KEYBOARD_12.encode(steps)
    assert rows.shape == (len(steps), 12)
    assert KEYBOARD_12.decode(rows) == steps
    assert np.array_equal(rows[:, -1], [not step for step in steps])


@given(actions)
def test_spelling_then_parsing_is_the_identity(action):
    assert KEYBOARD_12.parse(KEYBOARD_12.spell(action)) == action


def test_a_chord_is_spelled_in_column_order_and_no_key_is_none():
    assert KEYBOARD_12.spell(frozenset({"right", "w"})) == "w+right"
    assert KEYBOARD_12.spell(NO_KEYS) == "none"


def test_marks_are_spelled_as_words_and_read_either_way():
    space = ActionSpace("MARKS", ("w", *WORDS, "none"))
    assert space.spell(frozenset("w,")) == "w+comma"
    assert all(space.parse(space.spell(frozenset(mark))) == {mark} for mark in WORDS)
    assert space.parse("w+,") == {"w", ","}


@pytest.mark.parametrize("text", ["", "q", "w+w", "w+none", "w+", "W", "none+none"])
def test_text_that_is_no_action_is_refused(text):
    with pytest.raises(ValueError, match="action"):
        KEYBOARD_12.parse(text)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("w", "w", "none"), "each key once"),
        (("w",), "last column"),
        (("W", "none"), "lower-case"),
        ((), "last column"),
    ],
)
def test_a_space_cannot_be_built_wrong(keys, message):
    with pytest.raises(ValueError, match=message):
        ActionSpace("X", keys)


def test_movement_and_camera_keys_belong_to_the_space():
    with pytest.raises(ValueError, match="belong"):
        ActionSpace("X", ("w", "none"), camera=frozenset({"left"}))


def test_only_drops_keys_outside_the_space():
    assert KEYBOARD_12.only(["w", "q", "none"]) == frozenset({"w"})


def test_rows_of_another_width_are_refused():
    with pytest.raises(ValueError, match="shape"):
        KEYBOARD_12.decode(np.zeros((2, 5), bool))
