"""A run that goes on is seen in the browser, and stopped from there; a goal that the model does not know is said."""

import numpy as np
import pytest

from protege.agent.listener import Slot
from protege.agent.status import Picture
from protege.commands.goals import known_goals, strange
from protege.commands.studio_ import live_page
from protege.core.actions import KEYBOARD_12
from protege.core.card import ModelCard
from protege.core.frame import Frame
from tests.studio.conftest import NASTY, make, serving

W = frozenset("w")


def test_the_live_page_shows_keys_plan_and_goal_and_stops_the_run(page, tmp_path):
    project = make(tmp_path / "p", seconds=4)
    folder = project.root / "dataset" / "agent_runs" / "now"
    folder.mkdir(parents=True)
    picture = Picture(folder / "live.jpg", KEYBOARD_12)
    picture.slot(Slot(0, 0, 0, W, None, 0, "agent", NASTY, ""))
    picture.frame(Frame(np.zeros((48, 64, 3), np.uint8), 1))
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/live")
        page.wait_for_selector("#run:not(.hidden)")
        page.wait_for_function("() => document.getElementById('goal').textContent !== ''")
        assert page.locator("#goal").inner_text() == NASTY
        assert page.locator("#keys .lit").all_inner_texts() == ["w"]
        page.click("#stop")
        page.wait_for_function("() => document.getElementById('said').textContent.includes('told to stop')")
    with pytest.raises(KeyboardInterrupt):
        picture.frame(Frame(np.zeros((48, 64, 3), np.uint8), 10**9))


def test_a_goal_that_was_never_trained_on_is_said_with_the_nearest(tmp_path):
    project = make(tmp_path / "p", seconds=4, waiting=False)
    card = ModelCard("vision", "base", config={"data": {"folder": str(project.labeled)}})
    known = known_goals(card)
    assert known == {"Open the door"}
    assert list(strange(["open the door"], known)) == []
    (line,) = strange(["Open the chest"], known)
    assert line == 'the model was never trained on "Open the chest"; the nearest that it knows: "Open the door"'


def test_where_the_data_is_gone_nothing_is_said():
    card = ModelCard("vision", "base", config={"data": {"folder": "no"}})
    assert list(strange(["Open the door"], known_goals(card))) == []


def test_without_anybody_to_look_a_line_says_how_to_see_the_run(capsys):
    with live_page():
        pass
    assert capsys.readouterr().err == "see it live: protege studio --page live\n"
