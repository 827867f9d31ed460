"""What each system must do to hear the mouse: relative motion, buttons and the wheel, whichever window they go to.

A game that turns its view reads the mouse's own counts and hides the pointer, or puts it back again and again, so where
the pointer is says nothing.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from protege.core.actions import Action
from protege.core.events import Motion
from protege.core.looking import BUTTONS, WHEEL
from protege.devices.places import Place

SUMMED_NS: Final = 4_000_000
"""Motion of so long at most is told as one: below the 5 ms of the session format."""

PLACES: Final = {name: Place(name, name, "", 0, 0, False, -1) for name in (*BUTTONS, *WHEEL)}
"""A button, or a turn of the wheel, as what a `KeyEvent` names; only its name counts."""
CODES: Final = {name: -1 - number for number, name in enumerate(PLACES)}
"""Its code in a `KeyEvent`: no key's."""


class MouseHook(Protocol):
    """Hears the mouse of the machine. Buttons are put as `KeyEvent`; a notch of the wheel goes down and up at once."""

    @property
    def alive(self) -> bool:
        """False once it is no longer heard."""
        ...

    def start(self) -> Action:
        """Hear from now on; the buttons that are down already. UserError where the mouse cannot be heard."""
        ...

    def down(self) -> Action:
        """The buttons that are down now, by the system's own word; any thread may ask."""
        ...

    def motion(self) -> list[Motion]:
        """What was moved since the last call, in whole counts; nothing where it is not heard. Any thread may ask, and
        one has to a few times a second. Asked for, not told, since telling each of a thousand motions a second costs
        more than a recording.
        """
        ...

    def stop(self) -> None:
        """Ends its thread. Harmless if the display is gone."""
        ...


class Whole:
    """Sums motion in parts of a count and gives whole counts; the rest is kept for the next time, so none is lost."""

    def __init__(self, parts: int = 1) -> None:
        """parts: of a count, in which motion is told."""
        self._parts = parts
        self._rest = [0, 0]

    def add(self, dx: int, dy: int) -> None:
        """dx, dy: parts right and down."""
        self._rest[0] += dx
        self._rest[1] += dy

    def take(self) -> tuple[int, int]:
        """Whole counts right and down since the last call."""
        # Towards zero, so that a rest of less than a count does not move the mouse to and fro.
        dx, dy = (abs(rest) // self._parts * (1 if rest > 0 else -1) for rest in self._rest)
        self.add(-dx * self._parts, -dy * self._parts)
        return dx, dy


def summed(moves: Iterable[tuple[int, int, int]], whole: Whole) -> list[Motion]:
    """Motions in their order (when in ns, parts right and down) as whole counts, those of `SUMMED_NS` as one."""
    found: list[Motion] = []
    first = last = 0

    def tell() -> None:
        dx, dy = whole.take()
        if dx or dy:
            found.append(Motion(last, dx, dy))

    for t_ns, dx, dy in moves:
        if t_ns - first >= SUMMED_NS:
            tell()
            first = t_ns
        whole.add(dx, dy)
        last = max(last, t_ns)
    tell()
    return found
