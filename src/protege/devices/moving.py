"""What each system must do for the mouse of an action space, as protocols: move it by counts, press, and report."""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class MouseEvent(NamedTuple):
    """What a hook reports of the mouse: counts right and down, or a button or notch of the wheel by its name in an
    action space ("mouse_left", "wheel_up") that went down or up. own, t_ns: as of a `KeyEvent`.
    """

    dx: int
    dy: int
    button: str
    down: bool
    own: bool
    t_ns: int


PutMouse = Callable[[MouseEvent], None]
"""Called in the system's thread for every event; it queues and does nothing else."""


class Mover(Protocol):
    """Moves the mouse by counts and presses its buttons, for the whole system. For one thread at a time."""

    def move(self, right: int, down: int) -> None:
        """By so many counts, as a hand does; no event for none. DisplayGone if the system no longer takes them."""
        ...

    def press(self, button: str) -> None:
        """A button goes down; one notch of the wheel. DisplayGone as above."""
        ...

    def release(self, button: str) -> None:
        """Harmless if the button is up, and for the wheel. DisplayGone as above."""
        ...
