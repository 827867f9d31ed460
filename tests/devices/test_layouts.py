"""Keys are places: whatever layout the X server has, the same physical keys are pressed, heard, and named alike."""

import subprocess
import time

import pytest

from protege.agent.human import HumanKeys
from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace
from protege.devices.key_check import try_keys
from protege.devices.keyboard import KeyListener, RealKeys
from protege.devices.places import PLACES, places_of
from protege.devices.x11_keys import keymap, keys_down
from protege.errors import UserError
from tests.conftest import need
from tests.devices.hands import Hands, until

LAYOUTS = ("us", "fr", "ru", "ru,us", "de")
CODES = {"w": 25, "s": 39, "a": 38, "d": 40, "up": 111, "down": 116, "left": 113, "right": 114, "c": 54}
CODES |= {"space": 65, "enter": 36, "p": 33, "f12": 96}
"""The keycodes of a PC's keyboard, written down by hand."""


@pytest.fixture
def layout(xvfb):
    def choose(name):
        subprocess.run([need("setxkbmap", "x11-xkb-utils"), name], check=True, timeout=10)

    yield choose
    choose("us")


@pytest.fixture
def hands(xvfb):
    made = Hands()
    yield made
    made.close()


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_key_is_pressed_by_its_place_under_every_layout(layout, name):
    layout(name)
    keys = RealKeys(KEYBOARD_12)
    for key in KEYBOARD_12.pressable:
        keys.hold(frozenset((key,)))
        assert [code for code, bit in pressed_codes() if bit] == [CODES[key]]
    keys.close()


def pressed_codes():
    from protege.devices.x11 import open_display

    display = open_display()
    bits = display.query_keymap()
    display.close()
    return [(code, bits[code // 8] >> (code % 8) & 1) for code in range(256)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_person_is_heard_with_each_key_under_every_layout(layout, hands, name):
    layout(name)
    with HumanKeys(KEYBOARD_12, {"p": "toggle", "f12": "stop"}) as human:
        for code in CODES.values():
            hands.press(code)
            hands.release(code)
        heard = []
        until(lambda: heard.extend(human.heard()) or len(heard) >= 2 * 11 + 2)
    named = {"p": "toggle", "f12": "stop"}
    assert [h.what for h in heard if h.down] == [named.get(key, key) for key in CODES]


def test_a_layout_that_changes_in_the_middle_changes_nothing(layout, hands):
    heard = []
    with KeyListener(frozenset(KEYBOARD_12.pressable), lambda name, down, t_ns: heard.append((name, down))):
        for name in LAYOUTS:
            layout(name)
            for key in "wasd":
                hands.press(CODES[key])
            layout("de")
            for key in "wasd":
                hands.release(CODES[key])
        until(lambda: len(heard) == 8 * len(LAYOUTS))
    assert heard == [(key, down) for _ in LAYOUTS for down in (True, False) for key in "wasd"]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [("left", 113, 83), ("enter", 36, 104), ("ctrl", 37, 105), ("shift", 50, 62), ("right", 114, 85)],
)
def test_two_physical_keys_of_one_name_are_held_until_both_are_up(xvfb, hands, name, one, other):
    heard = []
    with KeyListener(frozenset((name,)), lambda name, down, t_ns: heard.append((name, down))) as listener:
        hands.press(one, other)
        hands.release(one)
        until(lambda: heard)
        time.sleep(0.1)
        assert listener.held == {name}
        assert heard == [(name, True)]
        assert listener.down_now() == {name}
        hands.release(other)
        until(lambda: len(heard) == 2)
        assert listener.held == NO_KEYS


def test_keys_that_are_down_when_listening_begins_are_held_until_let_go_of(xvfb, hands):
    hands.press(25, 105)
    heard = []
    with KeyListener(frozenset("wc"), lambda name, down, t_ns: heard.append((name, down)), {"ctrl": "c"}) as listener:
        assert listener.held == {"w", "c"}
        hands.release(25, 105)
        until(lambda: len(heard) == 2)
    assert heard == [("w", False), ("c", False)]


def test_presses_of_keys_that_are_not_in_the_table_are_counted(xvfb, hands):
    with KeyListener(frozenset("w"), lambda name, down, t_ns: None) as listener:
        hands.press(25, 248)
        hands.release(25, 248)
        until(lambda: listener.presses == 2)
        assert listener.unknown == 1


def test_what_a_hook_hears_is_told_from_what_others_press(xvfb, hands):
    """Another program may press the same keys through XTEST at the same time: only our own are ours."""
    keys = RealKeys(KEYBOARD_12)
    with HumanKeys(KEYBOARD_12, {}, keys.presser) as human:
        for number in range(300):
            keys.hold(frozenset("w") if number % 2 else NO_KEYS)
        keys.hold(frozenset("w"))
        time.sleep(1.2)  # long enough for the server to repeat it
        assert human.heard() == []
        hands.press(25)  # while the agent holds it
        heard = []
        until(lambda: heard.extend(human.heard()) or heard)
        assert [(h.what, h.down) for h in heard] == [("w", True)]
    keys.close()
    hands.release(25)


def test_another_keyboards_press_of_a_held_key_is_a_persons(xvfb, hands):
    """A real keyboard is another device than XTEST's."""
    keys = RealKeys(KEYBOARD_12)
    with HumanKeys(KEYBOARD_12, {}, keys.presser) as human:
        keys.hold(frozenset("w"))
        hands.press(25, device="Xvfb keyboard")
        heard = []
        until(lambda: heard.extend(human.heard()) or heard)
        assert [(h.what, h.down) for h in heard] == [("w", True)]
        hands.release(25, device="Xvfb keyboard")
    keys.close()


@pytest.mark.parametrize("name", ["us", "fr", "ru"])
def test_the_doctor_presses_and_hears_each_key_in_a_window_of_its_own(layout, name):
    layout(name)
    trial = try_keys(KEYBOARD_12)
    assert trial is not None
    assert trial.tried == KEYBOARD_12.pressable
    assert trial.unheard == trial.lost == ()
    assert keys_down(KEYBOARD_12.pressable) == set()


def test_the_doctor_says_which_key_another_program_keeps(xvfb, hands):
    hands.keep(25)
    trial = try_keys(KEYBOARD_12)
    assert trial is not None
    assert (trial.unheard, trial.lost) == ((), ("w",))


def test_places_agree_with_the_servers_own_names(xvfb):
    from protege.devices.x11 import open_display

    display = open_display()
    found = keymap(display)
    display.close()
    assert {
        place.name: code for code, place in found.items() if place is places_of(place.name)[0]
    }.items() >= CODES.items()
    assert len(found) == len(PLACES)


def test_a_key_that_does_not_exist_is_a_mistake_in_words(xvfb):
    with pytest.raises(UserError, match=r"'ф'.*as on a US keyboard"):
        RealKeys(ActionSpace("MINE", ("ф", "none")))
