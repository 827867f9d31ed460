"""Which window is meant by a title."""

import os
import pty
import subprocess
import sys

import pytest

from protege.devices.windows import find_window, list_windows
from protege.devices.x11 import XWindow, open_display
from protege.errors import UserError
from tests.devices.hands import GameWindow, until


class Windows:
    """Windows by their titles."""

    def __init__(self):
        self.display = open_display()
        self.opened = []

    def open(self, title, parent=None, pid=0):
        screen = self.display.screen()
        window = (parent or screen.root).create_window(10, 10, 60, 40, 0, screen.root_depth)
        window.set_wm_name(title)
        if pid:
            from Xlib import Xatom

            window.change_property(self.display.intern_atom("_NET_WM_PID"), Xatom.CARDINAL, 32, [pid])
        window.map()
        self.display.sync()
        self.opened.append(window)
        return window

    def close_one(self, window):
        self.opened.remove(window)
        window.destroy()

    def close(self):
        for window in reversed(self.opened):
            window.destroy()
        self.display.sync()
        self.display.close()


def found(title):
    window = find_window(title)
    assert isinstance(window, XWindow)
    return window.id


@pytest.fixture
def windows(xvfb):
    made = Windows()
    yield made
    made.close()


def test_a_title_that_fits_exactly_wins_over_those_that_contain_it(windows):
    windows.open("Doom - a guide")
    wanted = windows.open("Doom")
    windows.open("Chocolate Doom 3")
    assert found("Doom") == wanted.id


def test_the_only_title_that_contains_it_is_meant_whatever_its_case_and_wherever_its_inner_windows(windows):
    outer = windows.open("Chocolate Doom")
    windows.open("Chocolate Doom", parent=outer)
    windows.open("Chess")
    assert found("doom") == outer.id
    assert found("Chocolate Doom") == outer.id


def test_several_that_match_are_listed_and_none_is_taken(windows):
    windows.open("Doom II")
    windows.open("Doom wiki")
    with pytest.raises(UserError, match="2 windows match: 'Doom II', 'Doom wiki'; give a whole title") as caught:
        find_window("doom")
    assert caught.value.exit_code == 2
    with pytest.raises(UserError, match="no window has this in its title; open windows: 'Doom II', 'Doom wiki'"):
        find_window("Quake")


def test_two_windows_of_one_title_are_not_told_apart_by_guessing(windows):
    windows.open("Doom")
    windows.open("Doom")
    with pytest.raises(UserError, match="2 windows match: 'Doom', 'Doom'; close the others"):
        find_window("Doom")


def test_a_pattern_may_be_given(windows):
    windows.open("Doom wiki")
    wanted = windows.open("Doom II")
    windows.open("/odd/")
    assert found("/^doom i+$/") == wanted.id
    assert find_window("/odd/").title == "/odd/"
    with pytest.raises(UserError, match="not a pattern"):
        find_window("/[/")


@pytest.mark.parametrize("how", ["process", "WINDOWID", "command"])
def test_our_own_terminal_is_not_meant_by_a_part_of_its_title(windows, monkeypatch, how):
    title = "protege record --window Doom" if how == "command" else "Doom in a terminal"
    terminal = windows.open(title, pid=os.getpid() if how == "process" else 0)
    if how == "WINDOWID":
        monkeypatch.setenv("WINDOWID", str(terminal.id))
    game = windows.open("Chocolate Doom")
    assert found("Doom") == game.id
    windows.close_one(game)
    windows.display.sync()
    with pytest.raises(UserError, match="no window"):
        find_window("Doom")
    assert found(title) == terminal.id  # by its whole title it may be


def test_record_on_a_terminal_offers_a_numbered_list_and_says_which_window_it_waits_for(windows, tmp_path):
    windows.open("Chess")
    game = GameWindow("Chocolate Doom")
    other = windows.open("Elsewhere")
    until(lambda: len(list_windows()) == 3)
    from Xlib import X

    windows.display.set_input_focus(other, X.RevertToParent, X.CurrentTime)
    windows.display.sync()
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "protege.cli",
        "record",
        "--start-now",
        "--stop-after",
        "1",
        "--out",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True) as process:
        os.close(theirs)
        said = ""

        def reads(wanted):
            nonlocal said
            said += os.read(ours, 4096).decode()
            return wanted in said

        until(lambda: reads("which window"))
        number = next(line.split()[0] for line in said.splitlines() if "Chocolate Doom" in line)
        os.write(ours, f"{number}\n".encode())
        until(lambda: reads("waits for 'Chocolate Doom' to have the focus; click into it"))
        game.focus()
        until(lambda: reads("recording: "), 40)
        assert process.wait(timeout=20) == 0
    os.close(ours)
    game.close()
