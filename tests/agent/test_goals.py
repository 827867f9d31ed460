"""Goals from the command line, from a file, and typed while the agent plays."""

import io
import os
import time

import pytest

from protege.agent.goals import GoalList, TypedGoals, read_goals
from protege.errors import UserError


def test_goals_of_a_list_follow_one_another():
    goals = GoalList(["one", "two"])
    assert (goals.asked(), goals.asked()) == ("one", None)
    assert goals.reached("one")
    assert goals.asked() == "two"
    assert not goals.reached("two")


def test_a_typed_goal_goes_first_and_the_end_of_the_input_ends_the_run():
    read, write = os.pipe()
    said = []
    with os.fdopen(read) as lines, os.fdopen(write, "w", buffering=1) as keyboard:
        goals = TypedGoals(["one"], lines, said.append)
        assert goals.asked() == "one"
        keyboard.write("\n  two \n")
        assert soon(goals.asked) == "two"
        assert goals.reached("two")
        assert said == ["next goal (Ctrl-D ends): "]
        keyboard.close()
        assert soon(lambda: not goals.reached("two"))


def soon(get):
    for _ in range(500):
        if found := get():
            return found
        time.sleep(0.01)
    return pytest.fail("did not happen")


def test_an_input_that_is_empty_from_the_start_leaves_the_list():
    goals = TypedGoals(["one"], io.StringIO(""), lambda text: None)
    assert goals.asked() == "one"
    assert soon(lambda: not goals.reached("one"))


def test_a_file_of_goals_is_read_without_comments_and_mistakes_are_said(tmp_path):
    path = tmp_path / "goals.txt"
    path.write_text("# first room\nGo to the lantern\n\n  Open the door\n")
    assert read_goals(path) == ["Go to the lantern", "Open the door"]
    path.write_text("# nothing\n")
    with pytest.raises(UserError, match="no goal in it"):
        read_goals(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_goals(tmp_path / "missing.txt")
