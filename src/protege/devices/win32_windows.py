"""Windows' windows, through user32."""

import ctypes
from ctypes import wintypes
from typing import Final

from protege.core.devices import Rect, WindowState
from protege.devices.errors import WindowGone
from protege.devices.win32 import WNDENUMPROC, be_dpi_aware, dwmapi, kernel32, user32

_CLOAKED: Final = 14
_GA_ROOT: Final = 2
_UOI_NAME: Final = 2


class Win32Window:
    """One window; implements `core.devices.Window`."""

    def __init__(self, handle: int) -> None:
        self.id = handle
        self.title = _title(handle)
        self.pid = _process(handle)

    def state(self) -> WindowState:
        if not user32.IsWindow(self.id) or _process(self.id) != self.pid:  # handles are used again
            raise WindowGone(f"the window {self.title!r} was closed")
        size, at = wintypes.RECT(), wintypes.POINT()
        user32.GetClientRect(self.id, ctypes.byref(size))
        user32.ClientToScreen(self.id, ctypes.byref(at))
        # A minimised window may stay the foreground one, and the lock screen leaves it so, too.
        focused = not user32.IsIconic(self.id) and _foreground() == self.id and desktop_is_ours()
        return WindowState(Rect(at.x, at.y, size.right, size.bottom), focused)

    def close(self) -> None:
        """Nothing is held."""


def windows() -> list[Win32Window]:
    """Every window on the screen that has a title, the front one first."""
    be_dpi_aware()
    handles: list[int] = []

    def take(handle: int, _: int) -> bool:
        if handle != user32.GetShellWindow() and user32.IsWindowVisible(handle) and not _cloaked(handle):
            handles.append(handle)
        return True

    user32.EnumWindows(WNDENUMPROC(take), 0)
    return [window for window in map(Win32Window, handles) if window.title]


def focused_window() -> Win32Window | None:
    """The window with a title that has the keyboard now, if any."""
    be_dpi_aware()
    handle = _foreground()
    return Win32Window(handle) if handle and desktop_is_ours() and _title(handle) else None


def own_console() -> int | None:
    """The window of the console that this command was given in, if it has one of its own."""
    return kernel32.GetConsoleWindow()


def desktop_is_ours() -> bool:
    """Whether keys go to the desktop that this program runs on: not to a lock screen or a password prompt."""
    active = user32.OpenInputDesktop(0, False, 1)
    if not active:
        return False  # Windows' own, which nobody else may open
    try:
        return _name(active) == _name(user32.GetThreadDesktop(kernel32.GetCurrentThreadId()))
    finally:
        user32.CloseDesktop(active)


def _name(thing: int) -> str:
    text = ctypes.create_unicode_buffer(256)
    user32.GetUserObjectInformationW(thing, _UOI_NAME, text, ctypes.sizeof(text), None)
    return text.value


def _foreground() -> int | None:
    """The top-level window that has the keyboard."""
    handle = user32.GetForegroundWindow()
    return (user32.GetAncestor(handle, _GA_ROOT) or handle) if handle else None


def _cloaked(handle: int) -> bool:
    """Whether the system draws it nowhere: an app that is suspended, or on another virtual desktop."""
    value = wintypes.DWORD()
    failed = dwmapi.DwmGetWindowAttribute(handle, _CLOAKED, ctypes.byref(value), ctypes.sizeof(value))
    return not failed and value.value != 0


def _title(handle: int) -> str:
    text = ctypes.create_unicode_buffer(user32.GetWindowTextLengthW(handle) + 1)
    user32.GetWindowTextW(handle, text, len(text))
    return text.value


def _process(handle: int) -> int:
    number = wintypes.DWORD()
    user32.GetWindowThreadProcessId(handle, ctypes.byref(number))
    return number.value
