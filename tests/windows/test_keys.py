"""Keys by scan code on Windows: what a game gets, and what is heard."""

import time

import pytest

from protege.core import KEYBOARD_12
from protege.devices.key_check import try_keys
from protege.devices.keyboard import KeyListener
from protege.devices.places import PLACES, places_of
from protege.devices.win32 import user32
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
    until(lambda: len(target.presses()) == 2)
    assert target.presses() == [(*code, True), (*code, False)]


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


def test_a_hook_that_windows_has_removed_is_set_again(target, heard, hands):
    found = heard()
    user32.UnhookWindowsHookEx(found.hook.handle)  # what Windows does to a slow one, without a word
    hands.press("w")
    until(lambda: found.changes() == [("w", True, False)])
    hands.release("w")
    until(lambda: len(found.changes()) == 2)
    assert found.hook.set_again == 1
    assert found.hook.alive


def test_a_release_that_was_not_heard_is_noticed(target, heard, hands):
    found = heard()
    hands.press("w")
    until(found.changes)
    user32.UnhookWindowsHookEx(found.hook.handle)
    hands.release("w")
    until(lambda: found.changes() == [("w", True, False), ("w", False, False)])
    assert not found.hook.down()


def test_a_key_that_is_down_at_the_start_is_known(target, heard, hands):
    hands.press("left")
    until(lambda: target.held() == {(0x4B, True)})
    found = heard()
    assert [place.id for place in found.down.values()] == ["left"]
    hands.release("left")
    until(lambda: found.changes() or len(found.events) == 1)


@pytest.mark.parametrize("layout", ["fr", "ru", "de"])
def test_a_layout_changes_nothing_of_what_is_heard_and_pressed(target, heard, hands, layout):
    found = heard()
    hands.layout(layout)
    try:
        hands.tap("w", "q", "y")
        until(lambda: len(found.changes()) == 6)
        assert [key for key, down, _ in found.changes() if down] == ["w", "q", "y"]
        presser = Win32Presser()
        presser.press(BY_ID["w"])
        presser.release(BY_ID["w"])
        until(lambda: len(target.presses()) == 8)
        assert target.presses()[-1] == (BY_ID["w"].scan, False, False)
    finally:
        hands.layout("us")


def test_two_keys_of_one_name_are_one_hold(target, hands):
    changes = []
    with KeyListener(frozenset({"left"}), lambda name, down, t_ns: changes.append((name, down))) as listener:
        hands.press("left", "kp4")
        hands.release("kp4")
        time.sleep(0.2)
        assert listener.held == {"left"}
        hands.release("left")
        until(lambda: not listener.held)
    assert changes == [("left", True), ("left", False)]


def test_keys_that_a_program_injects_by_virtual_key_alone_are_heard(target, heard):
    found = heard()
    user32.keybd_event(ord("W"), 0, 0, 0)
    user32.keybd_event(ord("W"), 0, 2, 0)
    until(lambda: len(found.changes()) == 2)
    assert found.changes() == [("w", True, False), ("w", False, False)]


def test_doctor_presses_and_hears_every_key(target):
    trial = try_keys(KEYBOARD_12)
    assert trial is not None
    assert (trial.tried, trial.unheard, trial.lost) == (KEYBOARD_12.pressable, (), ())
    until(lambda: target.window.state().focused)
    assert not target.held()
