"""The watchdog: keys are up again when the process that pressed them is gone, however it went."""

import os
import signal
import subprocess
import sys
import time

import pytest

from protege.core import KEYBOARD_12, NO_KEYS
from protege.devices import x11_keys
from protege.devices.keyboard import RealKeys
from protege.devices.watchdog import Watchdog

KEYS = KEYBOARD_12.pressable
HOLDER = """
import sys, time
from protege.devices.keyboard import RealKeys
from protege.devices.watchdog import Watchdog
from protege.core import KEYBOARD_12
with Watchdog(KEYBOARD_12):
    RealKeys(KEYBOARD_12).hold(frozenset(("w", "left", "space")))
    print("holding", flush=True)
    time.sleep(60)
"""


def wait_until(condition):
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("did not happen within 20 s")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_leaves_no_key_down(xvfb, sent):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so do theirs
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        assert x11_keys.keys_down(KEYS) == {"w", "left", "space"}
        os.kill(holder.pid, sent)
        holder.wait()
    wait_until(lambda: not x11_keys.keys_down(KEYS))


def test_the_watchdog_leaves_keys_alone_while_its_process_lives_and_ends_with_the_block(xvfb):
    keys = RealKeys(KEYBOARD_12)
    with Watchdog(KEYBOARD_12) as watchdog:
        assert watchdog.alive
        keys.hold(frozenset("w"))
        time.sleep(0.3)
        assert x11_keys.keys_down(KEYS) == {"w"}
        keys.hold(NO_KEYS)
    assert not watchdog.alive


def test_a_watchdog_that_died_is_noticed(xvfb):
    with Watchdog(KEYBOARD_12) as watchdog:
        assert watchdog.alive
        os.kill(watchdog.pid, signal.SIGKILL)
        wait_until(lambda: not watchdog.alive)
        assert not watchdog.alive


def test_a_watchdog_that_cannot_start_says_so(xvfb, monkeypatch):
    from protege.errors import ProtegeError

    monkeypatch.setenv("DISPLAY", ":54321")
    with pytest.raises(ProtegeError, match="watchdog"), Watchdog(KEYBOARD_12):
        pytest.fail("never entered")
