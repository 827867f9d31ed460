"""X servers of a test's own, which it may kill, resize, or give another layout."""

import os
import subprocess
import time
from contextlib import contextmanager

from tests.conftest import need


@contextmanager
def x_server(program, package, *arguments, screen="800x600x24"):
    """Yields (process, name of the display). program: Xvfb, Xephyr or Xvnc."""
    read, write = os.pipe()
    size = ["-screen", "0", screen] if program == "Xvfb" else []
    command = [need(program, package), "-displayfd", str(write), *size, *arguments]
    with subprocess.Popen(command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        os.close(write)
        try:
            with os.fdopen(read) as file:
                number = file.readline().strip()
            assert number, f"{program} did not start"
            with _extensions_apart():
                yield server, f":{number}"
        finally:
            server.kill()


@contextmanager
def _extensions_apart():
    """python-xlib keeps the extensions' numbers of one server for all of them, which is wrong for another kind."""
    from Xlib.protocol import display, event

    numbers: dict[int, object] = vars(display.Display)["event_classes"]
    kept = dict(numbers)
    numbers.clear()
    numbers.update(event.event_class)
    try:
        yield
    finally:
        numbers.clear()
        numbers.update(kept)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.05)
    return found
