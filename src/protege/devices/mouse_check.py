"""Tries the mouse: is it moved, and is that heard? Buttons are not tried, since a click goes to what lies beneath."""

import time
from typing import Final

from protege.devices.backends import open_mouse
from protege.devices.pointer import open_pointer

WAIT_S: Final = 2.0


def try_mouse() -> bool:
    """Whether moving the mouse by a count to and fro was heard. UserError where it can be neither moved nor heard."""
    hook = open_mouse(lambda event: None, motion=True)
    pointer = open_pointer()
    try:
        hook.start()
        for right in (1, -1):
            pointer.move(right, 0)
            end = time.perf_counter() + WAIT_S
            while not (heard := hook.motion()) and time.perf_counter() < end:
                time.sleep(0.005)
            if not heard:
                return False
        return True
    finally:
        pointer.close()
        hook.stop()
