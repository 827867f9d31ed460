"""A model's answer is cleaned and checked; the questions are golden and can be edited."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.errors import UserError
from protege.labeling.goals import clean, complaint
from protege.labeling.wording import DEFAULT, Wording


@pytest.mark.parametrize(
    ("answer", "goal"),
    [
        ("Go to the lantern", "Go to the lantern"),
        ('"Go to the lantern."', "Go to the lantern"),
        ("Goal: Go to the lantern", "Go to the lantern"),
        ("**Goal:** go to the lantern\n", "Go to the lantern"),
        ("1. Open the door", "Open the door"),
        ("- open  the door!", "Open the door"),
        ("“Climb the stairs”", "Climb the stairs"),
        ("The goal: 'Check the posters'.", "Check the posters"),
        ("<think>hm,\nthe door</think>\n\nOpen the door", "Open the door"),
        ("", ""),
    ],
)
def test_an_answer_is_cleaned(answer, goal):
    assert clean(answer) == goal


@given(st.text())
def test_cleaning_twice_changes_nothing_more(answer):
    assert clean(clean(answer)) == clean(answer)


@pytest.mark.parametrize(
    "goal",
    [
        "Go to the lantern",
        "Open the door",
        "Turn around",
        "Bring the key back",
        "Press the red button",
        "Focus on the tower",
        "Feed the dog",
        "Cross the old bridge",
    ],
)
def test_good_goals_pass(goal):
    assert complaint(goal) is None


@pytest.mark.parametrize(
    ("goal", "reason"),
    [
        ("", "empty"),
        ("Go", "1 words"),
        ("Go to the lantern that stands behind the door", "9 words"),
        ("Go to the lantern\nThe lantern is red", "more than one line"),
        ("Move the player forward", '"player"'),
        ("Look at the last frame", '"frame"'),
        ("Show the image again", '"image"'),
        ("The lantern", "not an instruction"),
        ("Walking to the lantern", "not an instruction"),
        ("Walks to the lantern", "not an instruction"),
        ("Opened the door", "not an instruction"),
        ("You open the door", "not an instruction"),
    ],
)
def test_bad_goals_are_refused_with_the_reason(goal, reason):
    assert reason in (complaint(goal) or "")


QUESTION = (
    "These 3 pictures show 4.0 seconds of somebody playing a game, from left to right. The time stands in the corner "
    "of each: 0.0 s, 2.0 s, 3.9 s. Keys held: w 2.1 s, right 0.8 s.\n\n"
    "First compare the pictures: what came nearer, what came into view, what changed? Then name the one thing that was "
    "achieved by the last picture, as an instruction for somebody who stands where the first picture was taken.\n\n"
    "Answer with the instruction only: 3 to 5 words, on one line, beginning with a verb. Name the object or the place "
    "that can be seen. Do not write about the player, the pictures or the keys.\n\n"
    "Examples: Go to the lantern / Open the door / Climb the stairs / Check the posters / Turn around"
)


def test_the_question_is_the_golden_one():
    assert Wording.load().ask([0, 2.0, 3.9], 4.0, "w 2.1 s, right 0.8 s") == QUESTION


def test_asking_again_names_the_answer_and_what_was_wrong_with_it():
    again = Wording.load().ask_again("Q", "The lantern\nis red", "it has more than one line")
    assert again.startswith('Q\n\nYou answered "The lantern / is red". That cannot be used: it has more than one line.')


def test_users_edit_a_copy_of_the_file(tmp_path):
    path = tmp_path / "mine.md"
    path.write_text(DEFAULT.read_text().replace("Examples:", "Beispiele:"))
    assert "Beispiele:" in Wording.load(path).ask([0], 1, "w")
    assert Wording.load(path).fingerprint != Wording.load().fingerprint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# Again", "# Later", "no text under the heading '# Again'"),
        ("$count", "$many", r"\$many under '# Goal' is not filled in; expected \$count"),
        ("$count pictures show", "$ pictures", "a lone"),
    ],
)
def test_a_broken_prompt_file_is_refused_before_anything_is_asked(tmp_path, old, new, message):
    path = tmp_path / "mine.md"
    head, body = DEFAULT.read_text().split("# Goal", 1)
    path.write_text(head + ("# Goal" + body).replace(old, new))
    with pytest.raises(UserError, match=message):
        Wording.load(path)


def test_a_missing_prompt_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"--prompt .*cannot be read"):
        Wording.load(tmp_path / "none.md")


def test_a_prompt_that_is_no_file_is_one_line():
    with pytest.raises(UserError, match=r"--prompt /dev/zero: cannot be read .*a device"):
        Wording.load(Path("/dev/zero"))
