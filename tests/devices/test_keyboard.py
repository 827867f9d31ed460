"""Hearing keys on a real X server."""

import threading
import time

import pytest

from protege.core import KEYBOARD_12
from protege.devices.keyboard import KeyListener, RealKeys


def test_a_listener_hears_true_changes_and_its_thread_ends_with_the_block(xvfb):
    heard = []
    keys = RealKeys(KEYBOARD_12)
    before = set(threading.enumerate())
    with KeyListener(frozenset("w"), lambda name, down, t_ns: heard.append((name, down))) as listener:
        assert listener.alive
        keys.hold(frozenset("w"))
        time.sleep(1)  # long enough for the server to repeat it
        keys.release_all()
        time.sleep(0.2)
    assert heard == [("w", True), ("w", False)]
    assert not listener.alive
    assert set(threading.enumerate()) <= before


def test_a_key_outside_the_space_cannot_be_pressed(xvfb):
    with pytest.raises(ValueError, match="never pressed"):
        RealKeys(KEYBOARD_12).hold(frozenset(("f5",)))
