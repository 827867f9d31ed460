"""The catalogue of goals and their words."""

from collections import Counter

import pytest

from protege.arena.tasks import GOALS, KINDS, Goal, Task, find_goal
from protege.errors import UserError


def test_every_goal_can_be_found_by_all_of_its_words():
    for goal in GOALS.values():
        for words in (goal.name, goal.sentence, goal.sentence.upper(), *goal.paraphrases):
            assert find_goal(words) is goal


def test_no_two_goals_share_a_sentence():
    words = Counter(w.lower() for goal in GOALS.values() for w in (goal.sentence, *goal.paraphrases))
    assert max(words.values()) == 1


def test_goals_and_paraphrases_have_three_to_five_words():
    for goal in GOALS.values():
        assert len(goal.paraphrases) >= 4
        assert all(3 <= len(words.split()) <= 5 for words in (goal.sentence, *goal.paraphrases))


def test_the_promised_goals_are_there():
    assert {goal.task for goal in GOALS.values()} == set(Task)
    assert find_goal("Go to the lantern").kind == KINDS["lantern"]
    assert {f"{colour} pillar" for colour in ("red", "green", "blue", "yellow")} < set(GOALS)


def test_an_unknown_goal_is_answered_with_those_there_are():
    with pytest.raises(UserError, match="no goal 'Fly'; its goals are: lantern, red torch"):
        find_goal("Fly")


def test_a_goal_cannot_be_built_wrong():
    with pytest.raises(ValueError, match="3 to 5 words, got 'Go'"):
        Goal("x", Task.OPEN_DOOR, "Go", ())
    with pytest.raises(ValueError, match="names a kind of object"):
        Goal("x", Task.GO_TO, "Go to the x", ())
