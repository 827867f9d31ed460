"""The mouse on a real X server; and that a killed program leaves no button down."""

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from protege.devices import x11
from protege.devices.pointer import open_pointer
from protege.errors import UserError

HOLDER = """
import time
from protege.devices.pointer import open_pointer
from protege.devices.watchdog import Watchdog
from protege.core import KEYBOARD_12
with Watchdog(KEYBOARD_12, mouse=True):
    open_pointer().hold(frozenset(("left", "right")))
    print("holding", flush=True)
    time.sleep(60)
"""


def seen():
    """Where the pointer is, and the bits of the buttons that are down."""
    display = x11.open_display()
    at = display.screen().root.query_pointer()
    display.close()
    return at.root_x, at.root_y, at.mask >> 8 & 7


@pytest.fixture
def pointer(xvfb):
    made = open_pointer()
    yield made
    made.release_all()
    made.close()
    gc.collect()


def test_it_moves_by_pixels_and_to_places(pointer):
    pointer.place(300, 200)
    pointer.move(15, -7)
    assert seen() == (315, 193, 0)
    pointer.move(0, 0)
    assert seen() == (315, 193, 0)


def test_buttons_are_held_and_let_go_of(pointer):
    pointer.hold(frozenset(("left",)))
    assert seen()[2] == 0b001
    pointer.hold(frozenset(("right", "middle")))
    assert seen()[2] == 0b110
    with pytest.raises(ValueError, match="no such mouse button"):
        pointer.hold(frozenset(("fourth",)))
    other = open_pointer()  # somebody new lets go of what was left down
    assert seen()[2] == 0
    other.close()


def test_without_a_display_there_is_no_mouse(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UserError, match="DISPLAY"):
        open_pointer()


def test_a_killed_process_leaves_no_button_down(xvfb):
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        assert seen()[2] == 0b101
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    for _ in range(400):
        if seen()[2] == 0:
            break
        time.sleep(0.05)
    assert seen()[2] == 0
