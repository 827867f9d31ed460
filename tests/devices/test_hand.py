"""Actions with a mouse, on a real X server: what is moved, when, how much of it, and when it stops."""

import random
import signal
import subprocess
import sys
import time
from itertools import groupby

import pytest

from protege.core.actions import NO_KEYS, ActionSpace
from protege.core.looking import look
from protege.devices import x11_keys
from protege.devices.backends import open_hook
from protege.devices.hand import Hand
from protege.devices.x11_moving import buttons_down
from tests.fakes import FakeClock

SLOT = 100_000_000
LOOK = look()
SPACE = ActionSpace("MOUSE", ("w", "mouse_left", "mouse_right", "wheel_up", "none"), look=LOOK)
RIGHT = frozenset(("yaw5",))
COUNTS = SPACE.counts(RIGHT)[0]
HOLDER = """
import time
from protege.devices.hand import Hand
from protege.devices.watchdog import Watchdog
from protege.core import MonotonicClock
from tests.devices.test_hand import SPACE
with Watchdog(SPACE) as watchdog:
    hand = Hand(SPACE, MonotonicClock(), 100_000_000)
    watchdog.beat(frozenset(("w", "mouse_left", "mouse_right")))
    hand.hold(frozenset(("w", "mouse_left", "mouse_right")))
    print("holding", flush=True)
    time.sleep(60)
"""


class Heard:
    """What somebody else at this X server hears of the mouse."""

    def __init__(self):
        self.events = []
        self.hook = open_hook(lambda event: None, None, self.events.append)
        self.hook.start()

    def moved(self):
        self.hook.down()  # an answer of the server: what was sent before has been heard
        return sum(event.dx for event in self.events), sum(event.dy for event in self.events)

    def buttons(self):
        self.hook.down()
        return [(event.button, event.down) for event in self.events if event.button]


@pytest.fixture
def heard(xvfb):
    made = Heard()
    yield made
    made.hook.stop()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def hand(heard, clock):
    made = Hand(SPACE, clock, SLOT)
    heard.hook.down()
    heard.events.clear()
    yield made
    made.close()


def pass_time(hand, clock, seconds, step=0.01):
    for _ in range(round(seconds / step)):
        clock.advance(step)
        hand.pump()


def test_motion_is_spread_over_the_slot_in_equal_steps(hand, clock, heard):
    hand.hold(RIGHT)
    assert heard.moved() == (0, 0)
    pass_time(hand, clock, 0.1)
    assert heard.moved() == (int(COUNTS), 0)
    steps = [event.dx for event in heard.events]
    assert len(steps) == 9
    assert max(steps) - min(steps) <= 1
    assert [(m.dx, m.dy) for m in hand.moved()] == [(step, 0) for step in steps]
    assert hand.moved() == []


def test_fractions_of_a_count_are_part_of_the_next_slot(hand, clock, heard):
    rng = random.Random(3)
    wanted = [0.0, 0.0]
    for _ in range(60):
        action = frozenset((rng.choice(LOOK.yaw.symbols), rng.choice(LOOK.pitch.symbols)))
        action -= SPACE.at_rest
        wanted = [total + more for total, more in zip(wanted, SPACE.counts(action), strict=True)]
        hand.hold(action)
        pass_time(hand, clock, 0.1)
    assert all(abs(found - total) < 1 for found, total in zip(heard.moved(), wanted, strict=True))


def test_a_slot_that_is_cut_short_moves_its_share_alone(hand, clock, heard):
    hand.hold(RIGHT)
    pass_time(hand, clock, 0.045)
    hand.hold(NO_KEYS)
    pass_time(hand, clock, 0.2)
    assert 0.35 * COUNTS <= heard.moved()[0] <= 0.5 * COUNTS


def test_a_late_plan_moves_no_further_than_its_slot(hand, clock, heard):
    hand.hold(RIGHT | {"w"})
    pass_time(hand, clock, 1.0)
    assert heard.moved() == (int(COUNTS), 0)
    assert hand.held == {"w"}


def test_where_the_mouse_may_not_move_it_stands_still_and_lets_go_of_its_buttons(hand, clock, heard):
    allowed = [True]
    hand.allowed = lambda: allowed[0]
    hand.hold(RIGHT | {"mouse_left"})
    pass_time(hand, clock, 0.03)
    before = heard.moved()
    assert buttons_down() == {"mouse_left"}
    allowed[0] = False
    pass_time(hand, clock, 0.2)
    assert heard.moved() == before
    assert buttons_down() == set()


def test_buttons_are_held_and_a_wheel_turns_by_a_notch_a_slot(hand, clock, heard):
    hand.hold(frozenset(("w", "mouse_left", "wheel_up")))
    assert buttons_down() == {"mouse_left"}
    assert x11_keys.keys_down(("w",)) == {"w"}
    hand.hold(frozenset(("mouse_left", "wheel_up")))
    hand.hold(frozenset(("mouse_right",)))
    assert buttons_down() == {"mouse_right"}
    hand.release_all()
    assert buttons_down() == set()
    notches = [(name, down) for name, down in heard.buttons() if name == "wheel_up"]
    assert notches == [("wheel_up", True), ("wheel_up", False)] * 2
    assert heard.buttons().count(("mouse_left", True)) == 1


def test_what_is_never_pressed_holds_for_buttons_too(heard, clock):
    hand = Hand(SPACE, clock, SLOT, never=frozenset(("mouse_left", "wheel_up")))
    heard.hook.down()
    heard.events.clear()
    hand.hold(frozenset(("mouse_left", "mouse_right", "wheel_up")))
    assert heard.buttons() == [("mouse_right", True)]
    with pytest.raises(ValueError, match="never pressed"):
        hand.hold(frozenset(("mouse_4",)))
    hand.close()


def test_what_the_hand_does_is_its_own_and_what_others_do_is_not(clock, xvfb):
    hand, other = Hand(SPACE, clock, SLOT), Hand(SPACE, clock, SLOT)
    events = []
    hook = open_hook(events.append, hand.presser, events.append)
    hook.start()
    for who in (hand, other, hand):
        who.hold(RIGHT | {"w", "mouse_left", "wheel_up"})
        pass_time(who, clock, 0.1)
        who.hold(NO_KEYS)
        hook.down()
    hook.stop()
    assert [own for own, _ in groupby(event.own for event in events)] == [True, False, True]
    assert sum(not event.own for event in events) > 10
    hand.close()
    other.close()


def test_a_killed_process_leaves_no_button_down(xvfb):
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        assert buttons_down() == {"mouse_left", "mouse_right"}
        holder.send_signal(signal.SIGKILL)
    for _ in range(400):
        if not buttons_down() and not x11_keys.keys_down(("w",)):
            return
        time.sleep(0.05)
    pytest.fail("still down after 20 s")


def test_a_process_that_stands_still_has_its_buttons_released(xvfb):
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        # It said that it holds them once, and never again.
        for _ in range(400):
            if not buttons_down():
                break
            time.sleep(0.05)
        assert holder.poll() is None
        assert buttons_down() == set()
        holder.kill()
