"""A window of our own on Windows that gets the keys which `key_check` presses."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import wintypes
from typing import Final

from protege.devices.win32 import WNDPROC, WindowClass, kernel32, user32
from protege.devices.win32_keys import EXTENDED
from protege.errors import UserError

_CLASS: Final = "ProtegeTrial"
_SHOWN_OVERLAPPED: Final = 0x10CF0000
_KEYS: Final = {0x100: True, 0x104: True, 0x101: False, 0x105: False}
"""WM_KEYDOWN, WM_SYSKEYDOWN and their opposites."""


class Win32Trial:
    """Implements `key_check.TrialWindow`. For the thread that made it, which has its messages."""

    def __init__(self, title: str) -> None:
        self._codes: list[tuple[int, bool]] = []
        self._before = user32.GetForegroundWindow()
        instance = kernel32.GetModuleHandleW(None)
        # Kept in a field: ctypes frees a callback that nobody holds, and Windows would call into freed memory.
        self._class = WindowClass(procedure=WNDPROC(self._handle), instance=instance, name=_CLASS)
        user32.RegisterClassW(ctypes.byref(self._class))
        self._window = user32.CreateWindowExW(
            0, _CLASS, title, _SHOWN_OVERLAPPED, 0, 0, 360, 80, None, None, instance, None
        )
        user32.SetForegroundWindow(self._window)
        self.codes()

    def focused(self) -> bool:
        return user32.GetForegroundWindow() == self._window

    def codes(self) -> list[tuple[int, bool]]:
        message = wintypes.MSG()
        while user32.PeekMessageW(ctypes.byref(message), None, 0, 0, 1):
            user32.DispatchMessageW(ctypes.byref(message))
        found, self._codes = self._codes, []
        return found

    def close(self) -> None:
        """Gives the focus back."""
        user32.SetForegroundWindow(self._before)
        user32.DestroyWindow(self._window)
        self.codes()
        user32.UnregisterClassW(_CLASS, self._class.instance)

    def _handle(self, window: int, message: int, first: int, second: int) -> int:
        if (down := _KEYS.get(message)) is not None:
            # lParam holds the scan code in bits 16 to 23 and the extended flag in bit 24.
            self._codes.append((second >> 16 & 0xFF | (EXTENDED if second >> 24 & 1 else 0), down))
            return 0
        return user32.DefWindowProcW(window, message, first, second)


@contextmanager
def trial_window(title: str) -> Iterator[Win32Trial]:
    """UserError if it does not get the keyboard."""
    window = Win32Trial(title)
    try:
        if not window.focused():
            raise UserError("a window of our own did not get the keyboard, so no key was tried; run it again")
        yield window
    finally:
        window.close()
