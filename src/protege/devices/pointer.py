"""Moving the mouse and pressing its buttons: through XTest on X11, so that games see it move, elsewhere with pynput."""

import sys
from typing import Final, Protocol

from protege.errors import MissingExtra, UserError

BUTTONS: Final = {"left": 1, "middle": 2, "right": 3}
"""Names of buttons and X11's numbers of them."""

NO_BUTTONS: Final[frozenset[str]] = frozenset()


class Pointer(Protocol):
    """Moves the mouse and presses its buttons."""

    def move(self, right: int, down: int) -> None:
        """By so many pixels, as a hand does."""
        ...

    def place(self, x: int, y: int) -> None:
        """To a place on the screen."""
        ...

    def hold(self, buttons: frozenset[str]) -> None:
        """Hold exactly these buttons: presses what is new, releases what is gone."""
        ...

    def release_all(self) -> None:
        """Release every button, held by us or not."""
        ...

    def close(self) -> None: ...


class XPointer:
    """Implements `Pointer` on an X server. Use it from one thread."""

    def __init__(self) -> None:
        """UserError without a display, or if it cannot be told to move the mouse."""
        from protege.devices.x11 import open_display

        self._display = open_display()
        if not self._display.has_extension("XTEST"):
            raise UserError("the display has no XTEST, so the mouse cannot be moved; use another X server")
        self.held = NO_BUTTONS
        self.release_all()  # a button whose presser was killed stays down

    def move(self, right: int, down: int) -> None:
        from Xlib import X

        # A motion by nothing would be an event all the same.
        if right or down:
            self._send(X.MotionNotify, True, right, down)
            self._display.sync()

    def place(self, x: int, y: int) -> None:
        from Xlib import X

        self._send(X.MotionNotify, False, x, y)
        self._display.sync()

    def hold(self, buttons: frozenset[str]) -> None:
        from Xlib import X

        if unknown := buttons - BUTTONS.keys():
            raise ValueError(f"no such mouse button: {sorted(unknown)}")
        for name in sorted(self.held - buttons):
            self._send(X.ButtonRelease, BUTTONS[name])
        for name in sorted(buttons - self.held):
            self._send(X.ButtonPress, BUTTONS[name])
        self._display.sync()
        self.held = buttons

    def release_all(self) -> None:
        from Xlib import X

        for number in BUTTONS.values():
            self._send(X.ButtonRelease, number)
        self._display.sync()
        self.held = NO_BUTTONS

    def close(self) -> None:
        self._display.close()

    def _send(self, kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        from Xlib.ext import xtest

        xtest.fake_input(self._display, kind, detail, x=x, y=y)


class PynputPointer:
    """Implements `Pointer` on Windows and macOS."""

    def __init__(self) -> None:
        try:
            from pynput import mouse
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError):
                raise MissingExtra("pynput", "record") from None
            raise UserError("cannot reach the mouse; run inside a graphical session") from None
        self._mouse = mouse.Controller()
        self._buttons = {name: mouse.Button[name] for name in BUTTONS}
        self.held = NO_BUTTONS

    def move(self, right: int, down: int) -> None:
        self._mouse.move(right, down)

    def place(self, x: int, y: int) -> None:
        self._mouse.position = (x, y)

    def hold(self, buttons: frozenset[str]) -> None:
        for name in sorted(self.held - buttons):
            self._mouse.release(self._buttons[name])
        for name in sorted(buttons - self.held):
            self._mouse.press(self._buttons[name])
        self.held = buttons

    def release_all(self) -> None:
        for button in self._buttons.values():
            self._mouse.release(button)
        self.held = NO_BUTTONS

    def close(self) -> None:
        """Nothing is held open."""


def open_pointer() -> Pointer:
    """This machine's mouse. UserError without a display."""
    return XPointer() if sys.platform == "linux" else PynputPointer()
