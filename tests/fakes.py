"""Fakes of the devices: a screen, a window and a clock that do what a test says."""

import numpy as np

from protege.core import Rect, WindowState
from protege.devices.errors import WindowGone


class FakeClock:
    """Time passes only when somebody sleeps, or a test says so."""

    def __init__(self, now_ns=1_000_000_000):
        self.time_ns = now_ns

    def now_ns(self):
        return self.time_ns

    def sleep_until(self, t_ns):
        self.time_ns = max(self.time_ns, t_ns)

    def advance(self, seconds):
        self.time_ns += round(seconds * 1e9)


class FakeWindow:
    title = "Fake Game"

    def __init__(self, rect=None):
        self.rect = rect or Rect(0, 0, 64, 48)
        self.focused = True
        self.open = True

    def state(self):
        if not self.open:
            raise WindowGone("the window 'Fake Game' was closed")
        return WindowState(self.rect, self.focused)

    def close(self):
        pass


class FakeCapture:
    """A screen whose picture changes with every grab."""

    def __init__(self, clock):
        self.rect = Rect(0, 0, 64, 48)
        self.outside = 0.0
        self.clock = clock
        self.grabs = 0
        self.takes_s = 0.0
        self.error: Exception | None = None

    def grab_bgra(self):
        if self.error is not None:
            raise self.error
        self.grabs += 1
        self.clock.time_ns += 1000 + round(self.takes_s * 1e9)
        picture = np.full((self.rect.height, self.rect.width, 4), self.grabs % 256, np.uint8)
        return picture, self.clock.time_ns
