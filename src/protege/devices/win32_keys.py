"""Keys on Windows by scan code, whatever the layout: pressed with SendInput, heard by a low-level hook.

Scan codes are what many games read, and they name the physical key; virtual keys and texts follow the layout and the
modifiers. Our own presses carry a mark, so that they are told from everybody else's: a person's, and those that a
remote-control program injects for one.
"""

import ctypes
import os
import threading
import time
from collections.abc import Mapping
from ctypes import wintypes
from typing import Final

from protege.devices.keys import KeyEvent, Put
from protege.devices.moving import PutMouse
from protege.devices.places import PLACES, Place
from protege.devices.win32 import HOOKPROC, Input, KeyHeard, KeyInput, kernel32, user32
from protege.devices.win32_moving import Win32MouseEars
from protege.errors import UserError

EXTENDED: Final = 0xE000
"""Added to the scan code of an extended key: the arrows are where the keypad's 8, 4, 6 and 2 are, but for this."""
_MARK: Final = 0x50526000  # "PR", and room for a process number
_LOOK_MS: Final = 100

_KEYBOARD, _KEY_EXTENDED, _KEY_UP, _KEY_SCAN = 1, 1, 2, 8
_WH_KEYBOARD_LL, _LLKHF_EXTENDED, _LLKHF_UP = 13, 0x01, 0x80
_QS_ALLINPUT, _PM_REMOVE, _WM_NULL = 0x04FF, 1, 0
_SCAN_TO_VK, _VK_TO_SCAN = 3, 4
_VK_PACKET: Final = 0xE7
"""Text that a program types without keys."""

_NAVIGATION: Final = (*range(0x21, 0x29), 0x2D, 0x2E)
"""Arrows, Home, Insert, …: the keypad has them too, and not every Windows answers with these."""

_PLACES: Final = {
    **{place.scan | (EXTENDED if place.extended else 0): place for place in PLACES},
    # Windows' hooks report these two as extended, though a keyboard sends no prefix.
    **{place.scan | EXTENDED: place for place in PLACES if place.id in ("shift_r", "num_lock")},
}

_VIRTUAL_KEYS: Final = (*range(0x08, 0x10), *range(0x13, 0x93), *range(0xA0, 0xA6), *range(0xBA, 0xE3))
"""Those of real keys: no mouse buttons, no "either Ctrl", none of the input methods' own."""


class Win32Presser:
    """Implements `Presser`. Use it from one thread."""

    def __init__(self) -> None:
        self.mark = _MARK + os.getpid() % 0x1000
        """On every press of this process; another agent's are not ours."""
        self._owed: set[Place] = set()

    def press(self, place: Place) -> None:
        self._owed.discard(place)
        self._send(place, True)

    def release(self, place: Place) -> None:
        # Refused releases are made up for at the next chance, or the key stays down once the desktop is back.
        for owed in self._owed - {place}:
            if self._send(owed, False):
                self._owed.discard(owed)
        if self._send(place, False):
            self._owed.discard(place)
        else:
            self._owed.add(place)

    def _send(self, place: Place, down: bool) -> bool:
        """Whether Windows took it. It does not while a password prompt or the lock screen has the desktop."""
        flags = _KEY_SCAN | (0 if down else _KEY_UP) | (_KEY_EXTENDED if place.extended else 0)
        event = Input(type=_KEYBOARD)
        event.u.key = KeyInput(_key_of(place), place.scan, flags, 0, self.mark)
        return bool(user32.SendInput(1, ctypes.byref(event), ctypes.sizeof(event)))

    def close(self) -> None:
        """Nothing is held open."""


class Win32Hook:
    """Implements `Hook` with a thread that has the hook and does nothing else.

    Windows removes a hook that is slow to answer, without a word. So the thread compares what it heard with the state
    of the keyboard: a key that is down and was not heard means that the hook is gone, and it is set again; one that
    was heard and is up (let go on the lock screen) is reported as released.
    """

    def __init__(self, put: Put, own: Win32Presser | None = None, mouse: PutMouse | None = None) -> None:
        self._put = put
        self._mouse = None if mouse is None else Win32MouseEars(mouse, own.mark if own is not None else None)
        self._mark = own.mark if own is not None else None
        self._thread = threading.Thread(target=self._work, name="keys heard", daemon=True)
        self._thread_id = 0
        self._ready = threading.Event()
        self._stopping = False
        self._procedure = HOOKPROC(self._hear)  # kept here: Windows calls it for as long as the hook is set
        self.handle: int | None = None
        self._down: dict[int, tuple[int, bool]] = {}
        """Keys that are down as far as heard: their code, virtual key, and whether we pressed them."""
        self._odd: set[int] = set()
        """What differed at the last look: codes of keys that are up, negative virtual keys that are down."""
        self._deaf: set[int] = set()
        """Virtual keys that are down and were not heard although the hook was set again."""
        self.set_again = 0

    @property
    def alive(self) -> bool:
        heard = self._thread.is_alive() and self.handle is not None
        return heard and (self._mouse is None or self._mouse.alive)

    def start(self) -> Mapping[int, Place | None]:
        # Before the thread starts, so that the first look finds no key unheard.
        self._down = {code: (key, False) for code, key in _state().items()}
        down = {code: _PLACES.get(code) for code in self._down}
        self._thread.start()
        self._ready.wait()
        if self.handle is None:
            raise UserError("Windows does not let this program hear keys (SetWindowsHookEx); run it on your desktop")
        if self._mouse is not None:
            self._mouse.start()
        return down

    def down(self) -> Mapping[int, Place | None]:
        return {code: _PLACES.get(code) for code in _state()}

    def stop(self) -> None:
        if self._mouse is not None:
            self._mouse.stop()
        self._stopping = True
        if self._thread.is_alive():
            user32.PostThreadMessageW(self._thread_id, _WM_NULL, 0, 0)
            self._thread.join()

    def _work(self) -> None:
        self._thread_id = kernel32.GetCurrentThreadId()
        # By the thread that reads messages: Windows calls the hook from within that, and from nowhere else.
        self._set()
        message = wintypes.MSG()
        user32.PeekMessageW(ctypes.byref(message), None, 0, 0, 0)  # makes the queue that `stop` posts to
        self._ready.set()
        due = time.perf_counter_ns()
        while not self._stopping and self.handle is not None:
            user32.MsgWaitForMultipleObjects(0, None, False, _LOOK_MS, _QS_ALLINPUT)
            while user32.PeekMessageW(ctypes.byref(message), None, 0, 0, _PM_REMOVE):  # calls `_hear`
                pass
            if (now := time.perf_counter_ns()) >= due:
                due = now + _LOOK_MS * 1_000_000
                self._look(now)
        user32.UnhookWindowsHookEx(self.handle)

    def _set(self) -> None:
        self.handle = user32.SetWindowsHookExW(_WH_KEYBOARD_LL, self._procedure, None, 0)

    def _hear(self, number: int, message: int, pointer: int) -> int:
        t_ns = time.perf_counter_ns()
        if number >= 0:
            heard = KeyHeard.from_address(pointer)
            down = not heard.flags & _LLKHF_UP
            own = heard.extra == self._mark
            code = heard.scan | (EXTENDED if heard.flags & _LLKHF_EXTENDED else 0)
            # Its scan code is a character, which may look like any key's.
            if heard.vk == _VK_PACKET:
                code = 0
            elif not heard.scan:  # injected by virtual key alone
                code = _code_of(heard.vk, None)
            if down:
                self._down[code] = (heard.vk, own)
            else:
                self._down.pop(code, None)
            self._put(KeyEvent(_PLACES.get(code), code, down, own, t_ns))
        # Always passed on: to keep an event back would take the key from the game.
        return user32.CallNextHookEx(None, number, message, pointer)

    def _look(self, now: int) -> None:
        """Compare with the keyboard's state; what differs twice in a row is no matter of timing."""
        # Only the high bit: the low one says "pressed since somebody last asked", whichever program that was.
        keys = {key for key in _VIRTUAL_KEYS if user32.GetAsyncKeyState(key) & 0x8000}
        heard = {key for key, _ in self._down.values()}
        released = {code for code, (key, _) in self._down.items() if key not in keys}
        self._deaf &= keys
        unheard = {-key for key in keys - heard - self._deaf}
        odd = released | unheard
        again, self._odd = odd & self._odd, odd - self._odd
        for code in again & released:
            _, own = self._down.pop(code)
            self._put(KeyEvent(_PLACES.get(code), code, False, own, now))
        if again & unheard:
            self._deaf |= {-key for key in again & unheard}  # once for each: it is heard by its repeats, or never
            self.set_again += 1
            user32.UnhookWindowsHookEx(self.handle)
            self._set()


def _state() -> dict[int, int]:
    """The keys that are down by Windows' own word: code to virtual key, under the layout of the front window."""
    layout = _layout()
    down = (key for key in _VIRTUAL_KEYS if user32.GetAsyncKeyState(key) & 0x8000)
    return {code: key for key in down if (code := _code_of(key, layout))}


def _key_of(place: Place) -> int:
    """The virtual key of a place under the layout of the front window. Windows finds it by itself, wine does not."""
    return user32.MapVirtualKeyExW(place.scan | (EXTENDED if place.extended else 0), _SCAN_TO_VK, _layout())


def _layout() -> int | None:
    return user32.GetKeyboardLayout(user32.GetWindowThreadProcessId(user32.GetForegroundWindow(), None))


def _code_of(key: int, layout: int | None) -> int:
    """The scan code of a virtual key under a layout, 0 if it has none."""
    code = user32.MapVirtualKeyExW(key, _VK_TO_SCAN, layout)
    return code & 0xFF | (EXTENDED if code >> 8 == 0xE0 or key in _NAVIGATION else 0)
