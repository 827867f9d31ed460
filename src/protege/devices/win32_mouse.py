"""The mouse on Windows, heard by Raw Input: counts as the device sends them, also while a game keeps the pointer."""

import ctypes
import threading
import time
from collections import deque
from collections.abc import Mapping
from ctypes import wintypes
from typing import Final

from protege.core.actions import Action
from protege.core.events import Motion
from protege.core.looking import WHEEL
from protege.devices.keys import KeyEvent, Put
from protege.devices.mouse import CODES, PLACES, Whole, summed
from protege.devices.win32 import WNDPROC, RawDevice, RawHeader, RawMouse, WindowClass, kernel32, user32
from protege.errors import UserError

_CLASS: Final = "ProtegeMouse"
_LOOK_MS: Final = 100
_MESSAGES_ONLY: Final = wintypes.HWND(-3)
"""HWND_MESSAGE: a window that is never seen."""
_WM_NULL, _WM_INPUT = 0, 0xFF
_QS_ALLINPUT, _PM_REMOVE = 0x04FF, 1
_GENERIC_DESKTOP, _MOUSE = 1, 2
_ALSO_BEHIND, _NO_MORE = 0x100, 1
"""RIDEV_INPUTSINK: hear it also while another window has the focus; RIDEV_REMOVE."""
_RID_INPUT: Final = 0x10000003
_ABSOLUTE, _WHOLE_DESKTOP = 1, 2
_ABSOLUTE_SIDE: Final = 65536
_BUTTONS: Final[Mapping[str, tuple[int, int]]] = {
    **{"mouse_left": (0x1, 0x2), "mouse_right": (0x4, 0x8), "mouse_middle": (0x10, 0x20)},
    **{"mouse_4": (0x40, 0x80), "mouse_5": (0x100, 0x200)},
}
"""Flags of a button's press and release."""
_VIRTUAL_KEYS: Final = {"mouse_left": 1, "mouse_right": 2, "mouse_middle": 4, "mouse_4": 5, "mouse_5": 6}
_WHEEL: Final = 0x400
_NOTCH: Final = 120
_SCREEN: Final = {False: (0, 1), True: (78, 79)}
"""Numbers of width and height for GetSystemMetrics: of the first screen, and of all of them."""


class Win32MouseHook:
    """Implements `MouseHook` with a window that is never seen, which gets the raw input, and a thread for it."""

    def __init__(self, put: Put, motion: bool) -> None:
        self._put = put
        self._motion = motion
        self._whole, self._turned = Whole(), Whole(_NOTCH)
        self._moves: deque[tuple[int, int, int]] = deque()
        self._place: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._work, name="mouse heard", daemon=True)
        self._thread_id = 0
        self._ready = threading.Event()
        self._heard = False
        self._stopping = False
        # Kept in a field: ctypes frees a callback that nobody holds, and Windows would call into freed memory.
        self._class = WindowClass(
            procedure=WNDPROC(self._handle), instance=kernel32.GetModuleHandleW(None), name=f"{_CLASS}{id(self)}"
        )

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self._heard

    def start(self) -> Action:
        self._thread.start()
        self._ready.wait()
        if not self._heard:
            raise UserError("Windows does not let this program hear the mouse (Raw Input); run it on your desktop")
        return self.down()

    def down(self) -> Action:
        return frozenset(name for name, key in _VIRTUAL_KEYS.items() if user32.GetAsyncKeyState(key) & 0x8000)

    def motion(self) -> list[Motion]:
        # One at a time, since the other thread goes on adding.
        return summed([self._moves.popleft() for _ in range(len(self._moves))], self._whole)

    def stop(self) -> None:
        self._stopping = True
        if self._thread.is_alive():
            user32.PostThreadMessageW(self._thread_id, _WM_NULL, 0, 0)
            self._thread.join()

    def _work(self) -> None:
        self._thread_id = kernel32.GetCurrentThreadId()
        instance = self._class.instance
        user32.RegisterClassW(ctypes.byref(self._class))
        # By the thread that reads its messages: they come to nobody else.
        window = user32.CreateWindowExW(0, self._class.name, None, 0, 0, 0, 0, 0, _MESSAGES_ONLY, None, instance, None)
        self._heard = bool(window) and _listen(_ALSO_BEHIND, window)
        message = wintypes.MSG()
        user32.PeekMessageW(ctypes.byref(message), None, 0, 0, 0)  # makes the queue that `stop` posts to
        self._ready.set()
        while self._heard and not self._stopping:
            user32.MsgWaitForMultipleObjects(0, None, False, _LOOK_MS, _QS_ALLINPUT)
            while user32.PeekMessageW(ctypes.byref(message), None, 0, 0, _PM_REMOVE):
                user32.DispatchMessageW(ctypes.byref(message))
        if self._heard:
            _listen(_NO_MORE, None)
        user32.DestroyWindow(window)
        user32.UnregisterClassW(self._class.name, instance)

    def _handle(self, window: int, message: int, first: int, second: int) -> int:
        if message == _WM_INPUT:
            self._take(second)
        return user32.DefWindowProcW(window, message, first, second)

    def _take(self, handle: int) -> None:
        size = wintypes.UINT(ctypes.sizeof(RawMouse))
        found = RawMouse()
        header = ctypes.sizeof(RawHeader)
        told = user32.GetRawInputData(handle, _RID_INPUT, ctypes.byref(found), ctypes.byref(size), header)
        if told != ctypes.sizeof(RawMouse) or found.header.type != 0:
            return
        t_ns = time.perf_counter_ns()
        if self._motion and any(counts := self._counts(found)):
            self._moves.append((t_ns, *counts))
        for name, (pressed, released) in _BUTTONS.items():
            for flag, down in ((pressed, True), (released, False)):
                if found.buttons & flag:
                    self._press(name, down, t_ns)
        if found.buttons & _WHEEL:
            self._turned.add(0, ctypes.c_short(found.data).value)
            notches = self._turned.take()[1]
            for _ in range(abs(notches)):
                name = WHEEL[0] if notches > 0 else WHEEL[1]
                self._press(name, True, t_ns)
                self._press(name, False, t_ns)

    def _counts(self, found: RawMouse) -> tuple[int, int]:
        """Counts right and down; of a device that tells places (a virtual machine's), pixels since the last one."""
        if not found.flags & _ABSOLUTE:
            return found.x, found.y
        across, down = (user32.GetSystemMetrics(number) for number in _SCREEN[bool(found.flags & _WHOLE_DESKTOP)])
        place = found.x * across // _ABSOLUTE_SIDE, found.y * down // _ABSOLUTE_SIDE
        before, self._place = self._place or place, place
        return place[0] - before[0], place[1] - before[1]

    def _press(self, name: str, down: bool, t_ns: int) -> None:
        self._put(KeyEvent(PLACES[name], CODES[name], down, False, t_ns))


def _listen(flags: int, window: int | None) -> bool:
    device = RawDevice(_GENERIC_DESKTOP, _MOUSE, flags, window)
    return bool(user32.RegisterRawInputDevices(ctypes.byref(device), 1, ctypes.sizeof(device)))
