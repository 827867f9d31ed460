"""Ends of a console: Ctrl-Break, and a window that is closed, through the routine that Windows calls in the program."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, threading, time
from protege.devices.ending import hold_off, interruptible
end = time.monotonic() + 20
try:
    with interruptible():
        try:
            threading.Thread(target=ctypes.WinDLL("kernelbase").CtrlRoutine, args=(EVENT,), daemon=True).start()
            while time.monotonic() < end:
                time.sleep(0.01)
        except KeyboardInterrupt:
            hold_off()
            time.sleep(1)
            print("kept", flush=True)
finally:
    print("left", flush=True)
"""


@pytest.mark.parametrize(("event", "name"), [(1, "Ctrl-Break"), (2, "closed"), (5, "logged off")])
def test_the_work_is_finished_before_windows_ends_the_program(event, name):
    command = [sys.executable, "-c", PROGRAM.replace("EVENT", str(event))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout.split()[:1] == ["kept"], (name, done)
