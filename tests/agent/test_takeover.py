"""A person's key takes over from the agent, on a real X server: which key counts, and what is recorded."""

import time

from protege.agent.baselines import ConstantPolicy
from protege.agent.human import HumanKeys
from protege.core import NO_KEYS
from protege.core.events import Control, End, Key
from protege.core.session import check
from protege.devices.keyboard import RealKeys
from tests.agent.test_live import SPACE, Run, down, holds, stop


def test_a_persons_key_takes_over_and_the_hot_key_hands_back_and_both_are_recorded(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy())
    holds("w")
    target.type("Left", True)
    holds("left")
    time.sleep(0.4)
    assert down() == {"left"}
    target.type("Left", False)
    target.type("p")
    holds("w")
    stop(target, run)
    session = run.session()
    assert check(session.folder) == []
    by = [event.by for event in session.events if isinstance(event, Control)]
    assert by == ["agent", "human", "agent"]
    first, second = [event.t_ns for event in session.events if isinstance(event, Control)][1:]
    corrected = [(e.key, e.down) for e in session.events if isinstance(e, Key) and first <= e.t_ns <= second]
    assert ("left", True) in corrected
    assert ("left", False) in corrected
    assert {key for key, _ in corrected if key != "left"} <= {"w"}
    assert [e.end for e in session.events if isinstance(e, End)] == ["stopped by hand"]


def test_the_very_key_that_the_agent_holds_takes_over_when_it_is_pressed(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy())
    holds("w")
    target.type("w", True)
    holds()
    target.type("w", False)
    time.sleep(0.4)
    assert down() == NO_KEYS
    stop(target, run)
    assert [event.by for event in run.session().events if isinstance(event, Control)] == ["agent", "human"]


def test_a_key_counts_whatever_modifier_is_held_with_it(target, tmp_path):
    """Ctrl+C in the game is c: it takes over, the safe reading of it."""
    run = Run(tmp_path, ConstantPolicy())
    holds("w")
    target.type("Control_L", True)
    target.type("c")
    target.type("Control_L", False)
    holds()
    stop(target, run)
    pressed = [(e.key, e.down) for e in run.session().events if isinstance(e, Key) and e.key != "w"]
    assert pressed == [("c", True), ("c", False)]


def test_the_agents_own_keys_never_count_as_a_persons(target, tmp_path):
    """Short presses, chords, and holds long enough for the server to repeat them."""
    keys = RealKeys(SPACE)
    human = HumanKeys(SPACE, {"p": "toggle"}, keys.presser)
    with human:
        for number in range(60):
            keys.hold(frozenset(("w", "left") if number % 3 else ("w",) if number % 2 else ()))
            time.sleep(0.01)
        for number in range(200):  # faster than the server tells us what was pressed
            keys.hold(frozenset(("w", "left") if number % 2 else ()))
        keys.hold(frozenset(("w", "space")))
        time.sleep(1.2)
        keys.release_all()
        time.sleep(0.3)
        assert human.heard() == []
        target.type("w")
        time.sleep(0.3)
        assert [(h.what, h.down) for h in human.heard()] == [("w", True), ("w", False)]
    keys.close()
