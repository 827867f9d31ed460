"""Windows' windows: found, measured, and watched."""

# pyright: reportAttributeAccessIssue=false

import ctypes
from ctypes import wintypes

import pytest

from protege.core.devices import Rect
from protege.devices.errors import WindowGone
from protege.devices.screen import MssScreen
from protege.devices.win32 import be_dpi_aware, library, user32
from protege.devices.win32_windows import desktop_is_ours
from protege.devices.windows import find_window, focused_window, list_windows
from tests.windows.conftest import until

MINIMIZE, RESTORE = 6, 9


def client(window):
    """Its picture's rectangle by a way of its own: two corners mapped to the screen."""
    corners = (wintypes.RECT * 1)()
    user32.GetClientRect(window.id, corners)
    user32.MapWindowPoints(window.id, None, corners, 2)
    found = corners[0]
    return Rect(found.left, found.top, found.right - found.left, found.bottom - found.top)


def test_a_window_is_found_by_its_title_and_measured(game):
    made = game("Игра «Ёж» ゲーム", place=(40, 60, 400, 300))
    found = find_window("ёж")
    assert found.title == "Игра «Ёж» ゲーム"
    rect = found.state().rect
    assert rect == client(made.window)
    assert (rect.left, rect.top) > (40, 60)
    assert 350 < rect.width < 400


def test_its_picture_is_what_is_on_the_screen(target):
    screen = MssScreen(target.window.state().rect)
    until(lambda: len({tuple(p) for p in screen.grab().rgb[100, ::45]}) >= 5)  # the stripes that it paints
    assert screen.grab().size == (target.window.state().rect.width, target.window.state().rect.height)
    screen.close()


def test_only_the_front_window_has_the_focus(game):
    first, second = game("First"), game("Second", place=(500, 80, 300, 200))
    assert [one.window.state().focused for one in (first, second)] == [False, True]
    first.focus()
    assert [one.window.state().focused for one in (first, second)] == [True, False]
    front = focused_window()
    assert front is not None
    assert front.title == "First"


def test_a_minimized_window_has_not(target):
    user32.ShowWindow(target.window.id, MINIMIZE)
    until(lambda: not target.window.state().focused)
    user32.ShowWindow(target.window.id, RESTORE)
    target.focus()
    assert target.window.state().focused


def test_a_window_that_was_closed_is_gone(target):
    target.close()
    with pytest.raises(WindowGone, match="'Protege Target' was closed"):
        target.window.state()
    assert target.title not in [window.title for window in list_windows()]


def test_the_desktop_that_we_run_on_is_the_active_one(target):
    assert desktop_is_ours()


def test_sizes_are_real_pixels_before_anything_is_measured():
    be_dpi_aware()
    awareness = ctypes.c_int(-1)
    library("shcore").GetProcessDpiAwareness(None, ctypes.byref(awareness))
    assert awareness.value == 2  # per monitor


def test_the_list_of_windows_goes_through_a_pipe(game, protege):
    game("Ведьмак 3", place=(40, 60, 400, 300))
    listed = protege("record", "--list-windows", env={"PYTHONIOENCODING": "cp1252"})
    assert listed.join() == 0, listed.err
    line = next(line for line in listed.out.splitlines() if "Ведьмак 3" in line)
    assert line.endswith(" at 44,83") or " at " in line
