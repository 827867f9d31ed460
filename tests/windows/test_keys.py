"""Keys by scan code on Windows: what a game gets, and what is heard."""

import time

import pytest

from protege.core import KEYBOARD_12
from protege.devices.places import PLACES, places_of
from protege.devices.win32_keys import Win32Hook, Win32Presser
from tests.windows.conftest import until

BY_ID = {place.id: place for place in PLACES}


class Heard:
    """A hook and what it heard."""

    def __init__(self, own=None):
        self.events = []
        self.hook = Win32Hook(self.events.append, own)
        self.down = self.hook.start()

    def changes(self):
        """(id, down, own) without auto-repeat."""
        held, found = set(), []
        for event in self.events:
            if event.place is None or (event.code in held) == event.down:
                continue
            (held.add if event.down else held.discard)(event.code)
            found.append((event.place.id, event.down, event.own))
        return found


@pytest.fixture
def heard():
    made = []

    def start(own=None):
        made.append(Heard(own))
        return made[-1]

    yield start
    for one in made:
        one.hook.stop()


@pytest.mark.parametrize("key", KEYBOARD_12.pressable)
def test_a_game_gets_the_scan_code_of_a_key(target, key):
    place = places_of(key)[0]
    presser = Win32Presser()
    presser.press(place)
    presser.release(place)
    code = (place.scan, place.extended)
    until(lambda: len(target.keys()) == 2)
    assert target.keys() == [(*code, True), (*code, False)]


@pytest.mark.parametrize("key", ["w", "left", "kp4", "ctrl_l", "ctrl_r", "shift_r", "enter", "kp_enter", "space", "p"])
def test_a_persons_key_is_heard_by_its_place(target, heard, hands, key):
    found = heard()
    hands.tap(key)
    until(lambda: len(found.changes()) == 2)
    assert found.changes() == [(key, True, False), (key, False, False)]


def test_letters_keep_their_place_while_ctrl_is_held(target, heard, hands):
    found = heard()
    hands.press("w", "ctrl_l")
    hands.tap("d")
    hands.release("w", "ctrl_l")
    until(lambda: len(found.changes()) == 6)
    assert [key for key, *_ in found.changes()] == ["w", "ctrl_l", "d", "d", "w", "ctrl_l"]


def test_our_own_presses_are_marked_and_those_of_others_are_not(target, heard):
    ours, others = Win32Presser(), Win32Presser()
    others.mark = 0
    found = heard(ours)
    for presser in (ours, others):
        presser.press(BY_ID["w"])
        presser.release(BY_ID["w"])
    until(lambda: len(found.changes()) == 4)
    assert [own for *_, own in found.changes()] == [True, True, False, False]
