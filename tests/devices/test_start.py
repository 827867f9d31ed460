"""How devices begin, on a real X server: nothing stays held from before, and what is held is known."""

import numpy as np
import pytest

from protege.core import KEYBOARD_12, NO_KEYS, Rect
from protege.devices.keyboard import KeyListener, RealKeys
from protege.devices.screen import MssScreen, clip

W_UP = frozenset(("w", "up"))


@pytest.fixture
def left_down(xvfb):
    """Keys that somebody pressed who was killed: they stay down in the X server."""
    killed = RealKeys(KEYBOARD_12)
    killed.hold(W_UP)
    yield W_UP
    killed.release_all()


def down_now():
    """Which keys of the space are down by the server's own word."""
    with KeyListener(frozenset(KEYBOARD_12.pressable), lambda name, down, t_ns: None) as listener:
        return listener.down_now()


def test_a_keyboard_begins_with_nothing_held(left_down):
    assert down_now() == left_down
    keys = RealKeys(KEYBOARD_12)
    assert keys.held == NO_KEYS
    assert down_now() == NO_KEYS


def test_keys_that_are_held_when_a_listener_starts_are_held_for_it(left_down):
    with KeyListener(frozenset(KEYBOARD_12.pressable), lambda name, down, t_ns: None) as listener:
        assert listener.held == left_down


SCREEN = Rect(10, 20, 1400, 900)


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        (Rect(100, 200, 300, 400), Rect(100, 200, 300, 400)),  # all of it is on the screen
        (SCREEN, SCREEN),
        (Rect(0, 0, 110, 120), Rect(10, 20, 100, 100)),  # over the left and the upper edge
        (Rect(1310, 820, 200, 200), Rect(1310, 820, 100, 100)),  # over the right and the lower edge
        (Rect(-50, -60, 5000, 5000), SCREEN),
        (Rect(1409, 919, 9, 9), Rect(1409, 919, 1, 1)),  # the last pixel
        (Rect(1410, 100, 10, 10), None),  # beside it
        (Rect(-500, -500, 510, 520), None),
    ],
)
def test_a_picture_is_exactly_the_part_of_a_window_that_is_on_the_screen(asked, got):
    assert clip(asked, SCREEN) == got


def test_a_window_over_the_edge_is_grabbed_to_the_pixel(xvfb):
    whole = MssScreen()
    pattern(whole.rect)
    picture = whole.grab().rgb
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000
    width, height = whole.rect.width, whole.rect.height
    for left, top in ((40, 30), (-20, -10), (width - 30, height - 20)):
        rows, columns = slice(max(0, top), top + 48), slice(max(0, left), left + 64)
        on = picture[rows, columns]
        expected = np.zeros((48, 64, 3), np.uint8)
        expected[max(0, -top) :, max(0, -left) :][: on.shape[0], : on.shape[1]] = on
        part = MssScreen(Rect(left, top, 64, 48))
        np.testing.assert_array_equal(part.grab().rgb, expected)
        part.close()
    whole.close()


def pattern(rect):
    """Paint the root window so that no two rows and no two columns are alike."""
    from Xlib.display import Display

    display = Display()
    root = display.screen().root
    gc = root.create_gc()
    for x in range(rect.width):
        gc.change(foreground=(x % 256) << 16 | (x // 256 * 40) << 8)
        root.line(gc, x, 0, x, rect.height)
    for y in range(0, rect.height, 2):
        gc.change(foreground=(y // 2 % 256) << 8 | (y // 512 * 60 + 20))
        root.line(gc, 0, y, rect.width, y)
    display.sync()
    display.close()
