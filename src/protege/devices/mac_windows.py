"""Windows on macOS by their numbers, through Quartz, which pynput brings: a look costs one call. Not tested."""

from protege.core.devices import Rect, WindowState
from protege.devices.errors import WindowGone
from protege.devices.mac_keys import quartz


def _front_pid() -> int:
    """The program that has the keyboard, 0 if none."""
    from AppKit import NSWorkspace  # pyright: ignore[reportMissingImports]

    front = NSWorkspace.sharedWorkspace().frontmostApplication()
    return 0 if front is None else int(front.processIdentifier())


class MacWindow:
    """Implements `core.devices.Window`. Its title is known only where screen recording is allowed."""

    def __init__(self, number: int, title: str, pid: int) -> None:
        self.id = number
        self.title = title
        self.pid = pid

    def state(self) -> WindowState:
        q = quartz()
        told = q.CGWindowListCopyWindowInfo(q.kCGWindowListOptionIncludingWindow, self.id)
        if not told:
            raise WindowGone(f"the window {self.title!r} was closed")
        bounds = told[0]["kCGWindowBounds"]
        rect = Rect(*(round(bounds[side]) for side in ("X", "Y", "Width", "Height")))
        shown = bool(told[0].get("kCGWindowIsOnscreen", False))
        return WindowState(rect, shown and _front_pid() == self.pid and _first_of(self.pid) == self.id)

    def close(self) -> None:
        """Nothing is held."""


def windows() -> list[MacWindow]:
    """Every ordinary window on the screen that has a title, the front one first."""
    q = quartz()
    options = q.kCGWindowListOptionOnScreenOnly | q.kCGWindowListExcludeDesktopElements
    told = q.CGWindowListCopyWindowInfo(options, q.kCGNullWindowID) or ()
    ordinary = [info for info in told if info.get("kCGWindowLayer") == 0 and info.get("kCGWindowName")]
    return [MacWindow(i["kCGWindowNumber"], str(i["kCGWindowName"]), i["kCGWindowOwnerPID"]) for i in ordinary]


def focused_window() -> MacWindow | None:
    """The front window of the program that has the keyboard."""
    front = _front_pid()
    return next((window for window in windows() if window.pid == front), None)


def _first_of(pid: int) -> int:
    """The number of a program's front window, 0 if it has none with a title."""
    return next((window.id for window in windows() if window.pid == pid), 0)
