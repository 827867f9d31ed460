"""The mouse on Windows: moved by relative counts and pressed with SendInput, heard by a low-level hook.

What is moved so is what games hear as raw input; of the pointer on the desktop Windows makes more or less of it, as the
user has set. As with keys our own carries a mark.
"""

import ctypes
import threading
import time
from ctypes import wintypes
from typing import Final

from protege.core.looking import WHEEL
from protege.devices.moving import MouseEvent, PutMouse
from protege.devices.win32 import HOOKPROC, Input, MouseHeard, MouseInput, kernel32, user32
from protege.errors import UserError

_MOUSE: Final = 0
_MOVE, _WHEEL, _XBUTTON = 0x0001, 0x0800, 0x0080
_PRESS: Final = {
    **{"mouse_left": (0x0002, 0), "mouse_right": (0x0008, 0), "mouse_middle": (0x0020, 0)},
    **{"mouse_4": (_XBUTTON, 1), "mouse_5": (_XBUTTON, 2)},
}
"""The flag that presses a button, whose double releases it, and its data."""
_NOTCH: Final = {"wheel_up": 120, "wheel_down": -120}
_WH_MOUSE_LL: Final = 14
_HEARD: Final = {
    **{0x0201: ("mouse_left", True), 0x0202: ("mouse_left", False)},
    **{0x0204: ("mouse_right", True), 0x0205: ("mouse_right", False)},
    **{0x0207: ("mouse_middle", True), 0x0208: ("mouse_middle", False)},
}
_WM_MOVE, _WM_WHEEL, _WM_XDOWN, _WM_XUP, _WM_NULL = 0x0200, 0x020A, 0x020B, 0x020C, 0
_QS_ALLINPUT, _PM_REMOVE, _NAP_MS = 0x04FF, 1, 100


class Win32Mover:
    """Implements `Mover`."""

    def __init__(self, mark: int) -> None:
        """mark: the one of this process's keys."""
        self._mark = mark

    def move(self, right: int, down: int) -> None:
        if right or down:
            self._send(_MOVE, 0, right, down)

    def press(self, button: str) -> None:
        if button in WHEEL:
            self._send(_WHEEL, _NOTCH[button])
        else:
            self._send(*_PRESS[button])

    def release(self, button: str) -> None:
        if button not in WHEEL:
            flag, data = _PRESS[button]
            self._send(flag * 2, data)

    def _send(self, flags: int, data: int, x: int = 0, y: int = 0) -> None:
        event = Input(type=_MOUSE)
        event.u.mouse = MouseInput(x, y, data & 0xFFFFFFFF, flags, 0, self._mark)
        user32.SendInput(1, ctypes.byref(event), ctypes.sizeof(event))


class Win32MouseEars:
    """Hears the mouse in a thread that has the hook and does nothing else."""

    def __init__(self, put: PutMouse, mark: int | None) -> None:
        """mark: of the events that are our own."""
        self._put, self._mark = put, mark
        self._procedure = HOOKPROC(self._hear)  # kept here: Windows calls it for as long as the hook is set
        self._thread = threading.Thread(target=self._work, name="mouse heard", daemon=True)
        self._ready = threading.Event()
        self._stopping = False
        self._thread_id = 0
        self._handle: int | None = None

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self._handle is not None

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()
        if self._handle is None:
            raise UserError(
                "Windows does not let this program hear the mouse (SetWindowsHookEx); run it on your desktop"
            )

    def stop(self) -> None:
        self._stopping = True
        if self._thread.is_alive():
            user32.PostThreadMessageW(self._thread_id, _WM_NULL, 0, 0)
            self._thread.join()

    def _work(self) -> None:
        self._thread_id = kernel32.GetCurrentThreadId()
        self._handle = user32.SetWindowsHookExW(_WH_MOUSE_LL, self._procedure, None, 0)
        message = wintypes.MSG()
        user32.PeekMessageW(ctypes.byref(message), None, 0, 0, 0)  # makes the queue that `stop` posts to
        self._ready.set()
        while not self._stopping and self._handle is not None:
            user32.MsgWaitForMultipleObjects(0, None, False, _NAP_MS, _QS_ALLINPUT)
            while user32.PeekMessageW(ctypes.byref(message), None, 0, 0, _PM_REMOVE):  # calls `_hear`
                pass
        user32.UnhookWindowsHookEx(self._handle)

    def _hear(self, number: int, message: int, pointer: int) -> int:
        t_ns = time.perf_counter_ns()
        if number >= 0:
            heard = MouseHeard.from_address(pointer)
            own = self._mark is not None and heard.extra == self._mark
            if (event := self._read(heard, message, own, t_ns)) is not None:
                self._put(event)
        return user32.CallNextHookEx(None, number, message, pointer)

    def _read(self, heard: MouseHeard, message: int, own: bool, t_ns: int) -> MouseEvent | None:
        high = ctypes.c_short(heard.data >> 16).value
        if message == _WM_MOVE:
            # Where the pointer is about to be; it still stands where it was.
            at = wintypes.POINT()
            user32.GetCursorPos(ctypes.byref(at))
            return MouseEvent(heard.x - at.x, heard.y - at.y, "", False, own, t_ns)
        if message == _WM_WHEEL:
            return MouseEvent(0, 0, "wheel_up" if high > 0 else "wheel_down", True, own, t_ns)
        if message in (_WM_XDOWN, _WM_XUP):
            return MouseEvent(0, 0, "mouse_4" if high == 1 else "mouse_5", message == _WM_XDOWN, own, t_ns)
        if message in _HEARD:
            return MouseEvent(0, 0, *_HEARD[message], own, t_ns)
        return None
