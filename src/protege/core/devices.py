"""What the program touches in the real world, as protocols; fakes for tests implement the same ones."""

import time
from dataclasses import dataclass
from typing import Protocol

from protege.core.actions import Action
from protege.core.frame import Frame


@dataclass(frozen=True)
class Rect:
    """A rectangle of the screen in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class WindowState:
    """rect: the window's client area on the screen; focused: whether it gets the keyboard now, and can be seen;
    obstacle: what keeps it from that although it has the focus, in words, such as "another window covers the game".
    """

    rect: Rect
    focused: bool
    obstacle: str = ""


class Window(Protocol):
    """A game's window."""

    title: str

    def state(self) -> WindowState:
        """Where it is now and whether it has the focus; raises `WindowGone` once it is closed."""
        ...

    def close(self) -> None:
        """Stop watching it; the window itself stays."""
        ...


class Screen(Protocol):
    """Takes pictures of the game."""

    def grab(self) -> Frame: ...

    def close(self) -> None: ...


class Keys(Protocol):
    """Presses keys of one action space."""

    def hold(self, action: Action) -> None:
        """Hold exactly these keys: presses what is new, releases what is gone, leaves the rest alone."""
        ...

    def release_all(self) -> None:
        """Release every key of the space, held by us or not."""
        ...


class Clock(Protocol):
    """Monotonic time in nanoseconds."""

    def now_ns(self) -> int: ...

    def sleep_until(self, t_ns: int) -> None: ...


class MonotonicClock:
    """The machine's monotonic clock, the one that every recording is stamped with."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, t_ns: int) -> None:
        """Sleeps to an absolute deadline; returns at once when it has passed."""
        if (left := t_ns - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
