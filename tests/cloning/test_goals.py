"""Goals as numbers: the same in training, scoring and play."""

import zlib

import pytest

from protege.cloning.goals import BUCKETS, WORDS, goal_numbers, goal_table, word_numbers
from protege.errors import UserError

GOALS = ("Go to the lantern", "Open the door")


def test_words_are_numbered_from_1_in_their_order_whatever_their_case():
    found = word_numbers("Open, the DOOR!")
    assert found[:3].tolist() == [1 + zlib.crc32(word) % (BUCKETS - 1) for word in (b"open", b"the", b"door")]
    assert found.shape == (WORDS,)
    assert not found[3:].any()
    many = [word_numbers(f"word{n}")[0] for n in range(5 * BUCKETS)]
    assert (min(many), max(many)) == (1, BUCKETS - 1)  # 0 is no word


def test_what_comes_after_the_sixteenth_word_is_not_told_apart():
    assert word_numbers("go " * WORDS + "left").tolist() == word_numbers("go " * WORDS + "right").tolist()


def test_the_last_row_of_the_table_is_no_goal():
    table = goal_table(GOALS)
    assert [row.tolist() for row in table[:-1]] == [word_numbers(goal).tolist() for goal in GOALS]
    assert not table[-1].any()


def test_a_model_takes_a_goal_as_it_was_trained():
    assert goal_numbers("anything", GOALS, "none") is None
    for number, goal in enumerate(GOALS):
        index = goal_numbers(f" {goal.upper()} ", GOALS, "index")
        assert index is not None
        assert index.tolist() == [number]
    words = goal_numbers("Say hello", GOALS, "sentence")
    assert words is not None
    assert words.tolist() == [word_numbers("Say hello").tolist()]


def test_a_goal_that_an_index_model_does_not_know_is_named_with_those_it_does():
    with pytest.raises(UserError, match=r"goal 'Say hello': .* only: Go to the lantern; Open the door"):
        goal_numbers("Say hello", GOALS, "index")
