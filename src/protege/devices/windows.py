"""Finding the game's window: X11 through python-xlib, Windows through user32, macOS through pywinctl."""

import sys
from typing import Any

from protege.core.devices import Rect, Window, WindowState
from protege.devices.errors import WindowGone
from protege.errors import MissingExtra, UserError


class DesktopWindow:
    """A window on macOS; implements `core.devices.Window`."""

    def __init__(self, window: Any) -> None:
        self._window = window
        self.title: str = window.title

    def state(self) -> WindowState:
        if not self._window.isAlive:
            raise WindowGone(f"the window {self.title!r} was closed")
        frame = self._window.getClientFrame()
        rect = Rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top)
        return WindowState(rect, bool(self._window.isActive))

    def close(self) -> None:
        """Nothing is held."""


def list_windows() -> list[Window]:
    """Every window on the screen that has a title. UserError without a display."""
    if sys.platform == "linux":
        from protege.devices import x11

        return list(x11.windows())
    if sys.platform == "win32":
        from protege.devices import win32_windows

        return list(win32_windows.windows())
    return [DesktopWindow(window) for window in _pywinctl().getAllWindows() if window.title]


def find_window(title: str) -> Window:
    """The first window whose title contains `title`, upper or lower case; UserError lists the titles there are."""
    found = list_windows()
    for window in found:
        if title.lower() in window.title.lower():
            return window
    titles = ", ".join(repr(window.title) for window in found[:8]) or "none"
    raise UserError(f"--window {title!r}: no window has this in its title; open windows: {titles}")


def focused_window() -> Window | None:
    """The window that has the keyboard now, if it has a title."""
    if sys.platform == "linux":
        from protege.devices import x11

        return x11.focused_window()
    if sys.platform == "win32":
        from protege.devices import win32_windows

        return win32_windows.focused_window()
    window = _pywinctl().getActiveWindow()
    return DesktopWindow(window) if window is not None and window.title else None


def _pywinctl() -> Any:
    try:
        import pywinctl  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("pywinctl", "record") from None
    return pywinctl
