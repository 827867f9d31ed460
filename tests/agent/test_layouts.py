"""Playing while the layout is another than ours, or changes: the same physical keys, and a person is always heard."""

import pytest

from protege.agent.baselines import ScriptedPolicy
from protege.core import KEYBOARD_12
from protege.core.events import Control, Key
from tests.agent.test_live import TITLE, Run, down
from tests.devices.hands import GameWindow, Hands, until
from tests.devices.test_layouts import CODES, LAYOUTS, layout  # noqa: F401 (a fixture)

NAMES = {code: name for name, code in CODES.items()}
EVERY = [frozenset((key,)) for key in KEYBOARD_12.pressable]


@pytest.fixture
def game(xvfb):
    made = GameWindow(TITLE)
    yield made
    made.close()


@pytest.fixture
def hands(xvfb):
    made = Hands()
    yield made
    made.close()


def test_the_layout_changes_while_the_agent_plays_and_no_other_key_reaches_the_game(game, layout, tmp_path):  # noqa: F811
    run = Run(tmp_path, ScriptedPolicy(EVERY), max_minutes=6 / 60)
    reached = []
    for name in LAYOUTS:
        start = len(reached)
        layout(name)
        until(lambda start=start: reached.extend(game.keys()) or len(reached) > start + 8)
    run.join()
    reached += game.keys()
    assert run.error is None
    assert {NAMES.get(code) for code, _ in reached} <= set(KEYBOARD_12.pressable)
    for is_down in (True, False):  # in one slot the recording says presses and releases in another order
        recorded = [e.key for e in run.session().events if isinstance(e, Key) and e.down == is_down]
        assert recorded == [NAMES[code] for code, was_down in reached if was_down == is_down]
    assert not down()


@pytest.mark.parametrize("name", ["fr", "ru", "ru,us", "de"])
def test_a_person_takes_over_and_hands_back_by_place_under_every_layout(game, hands, layout, name, tmp_path):  # noqa: F811
    layout(name)
    run = Run(tmp_path, ScriptedPolicy([frozenset("w")]), max_minutes=1)
    until(lambda: down() == {"w"})
    for key, held in (("a", set()), ("p", {"w"}), ("p", set())):  # a key of the space, then twice the hot key
        hands.press(CODES[key])
        hands.release(CODES[key])
        until(lambda held=held: down() == held)
    hands.press(CODES["f12"])
    hands.release(CODES["f12"])
    run.join()
    by = [event.by for event in run.session().events if isinstance(event, Control)]
    assert by == ["agent", "human", "agent", "human"]
    assert not down()
