"""The mouse on Windows: what moves, what is pressed, what is heard of it, and who did it."""

import ctypes
import time
from itertools import groupby

import pytest

from protege.core.actions import NO_KEYS, ActionSpace
from protege.core.devices import MonotonicClock
from protege.core.looking import look
from protege.devices.guard import Guard
from protege.devices.hand import Hand
from protege.devices.watchdog import Watchdog
from protege.devices.win32 import user32
from protege.devices.win32_keys import Win32Hook
from protege.devices.win32_moving import Win32Mover
from tests.windows.conftest import until

SPACE = ActionSpace("MOUSE", ("w", "mouse_left", "mouse_4", "wheel_up", "none"), look=look())
GET_MOUSE, SET_MOUSE = 3, 4
VIRTUAL = {"mouse_left": 1, "mouse_right": 2, "mouse_4": 5}
TURN = frozenset(("w", "mouse_left", "yaw3", "pitch1"))


def buttons_down():
    return {name for name, key in VIRTUAL.items() if user32.GetAsyncKeyState(key) & 0x8000}


@pytest.fixture
def hand(target):
    user32.SetCursorPos(200, 200)
    before, plain = (ctypes.c_int * 3)(), (ctypes.c_int * 3)()
    # Windows makes the pointer faster where the user has it so; what games hear as raw input stays.
    user32.SystemParametersInfoW(GET_MOUSE, 0, before, 0)
    user32.SystemParametersInfoW(SET_MOUSE, 0, plain, 0)
    made = Hand(SPACE, MonotonicClock(), 100_000_000)
    yield made
    made.close()
    user32.SystemParametersInfoW(SET_MOUSE, 0, before, 0)


def test_the_mouse_moves_in_steps_and_its_buttons_are_held(hand):
    events = []
    hook = Win32Hook(lambda event: None, hand.presser, events.append)
    hook.start()
    with Watchdog(SPACE) as watchdog:
        guard = Guard(hand, watchdog, MonotonicClock())
        guard.hold(TURN | {"mouse_4", "wheel_up"})
        assert buttons_down() == {"mouse_left", "mouse_4"}
        guard.sleep_until(guard.now_ns() + 120_000_000)
        guard.hold(NO_KEYS)
        moved = guard.moved()
        guard.release_all()
    until(lambda: len([event for event in events if not event.button]) >= len(moved))
    hook.stop()
    assert buttons_down() == set()
    assert len(moved) >= 5
    assert sum(m.dx for m in moved) == int(SPACE.counts(TURN)[0])
    assert sum(event.dx for event in events) == sum(m.dx for m in moved)
    assert all(event.own for event in events if event.down or not event.button)
    assert [event.button for event in events if event.down] == ["mouse_4", "mouse_left", "wheel_up"]


def test_somebody_elses_mouse_is_not_our_own(hand):
    events = []
    hook = Win32Hook(lambda event: None, hand.presser, events.append)
    hook.start()
    other, ours = Win32Mover(hand.presser.mark + 1), Win32Mover(hand.presser.mark)
    for who in (ours, other, ours):
        who.move(5, 5)
        time.sleep(0.05)
    until(lambda: len(events) >= 3)
    hook.stop()
    assert [own for own, _ in groupby(event.own for event in events)] == [True, False, True]
