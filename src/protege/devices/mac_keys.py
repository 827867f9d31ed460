"""Keys on macOS by virtual key code, whatever the layout, through pynput's event tap. Not tested: we have no Mac."""

import os
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from protege.devices.keys import KeyEvent, Presser, Put
from protege.devices.moving import MouseEvent, PutMouse
from protege.devices.places import PLACES, Place
from protege.errors import MissingExtra

MODIFIER_BITS: Final = {54: 0x10, 55: 0x08, 56: 0x02, 57: 0x10000, 58: 0x20, 59: 0x01, 60: 0x04, 61: 0x40, 62: 0x2000}
"""Of a modifier's key code, the bit of an event's flags that says it is down (left and right apart)."""
MOUSE_BUTTONS: Final = ("mouse_left", "mouse_right", "mouse_middle", "mouse_4", "mouse_5")
"""By the system's numbers."""
_BY_CODE: Final = {place.mac: place for place in PLACES if place.mac >= 0}


def quartz() -> ModuleType:
    """The system's own library, which comes with pynput."""
    try:
        import Quartz  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("pyobjc-framework-Quartz", "record") from None
    return Quartz


class MacPresser:
    """Implements `Presser`."""

    def __init__(self) -> None:
        self._quartz = quartz()

    def press(self, place: Place) -> None:
        self._send(place, True)

    def release(self, place: Place) -> None:
        self._send(place, False)

    def _send(self, place: Place, down: bool) -> None:
        if place.mac >= 0:
            event = self._quartz.CGEventCreateKeyboardEvent(None, place.mac, down)
            self._quartz.CGEventPost(self._quartz.kCGHIDEventTap, event)

    def close(self) -> None:
        """Nothing is held open."""


class MacHook:
    """Implements `Hook`: an event says which process made it, which tells our own presses."""

    def __init__(self, put: Put, own: Presser | None = None, mouse: PutMouse | None = None) -> None:
        try:
            from pynput import keyboard
        except ImportError:
            raise MissingExtra("pynput", "record") from None
        self._quartz = quartz()
        self._put = put
        self._own = own is not None
        self._mouse = mouse
        self._listeners = []
        if mouse is not None:
            from pynput import mouse as pynput_mouse

            self._listeners.append(pynput_mouse.Listener(darwin_intercept=self._take_mouse))
        self._listener = keyboard.Listener(darwin_intercept=self._take)

    @property
    def alive(self) -> bool:
        return self._listener.is_alive()

    def start(self) -> Mapping[int, Place | None]:
        for listener in (self._listener, *self._listeners):
            listener.start()
            listener.wait()
        return self.down()

    def down(self) -> Mapping[int, Place | None]:
        state = self._quartz.kCGEventSourceStateCombinedSessionState
        return {code: _BY_CODE[code] for code in _BY_CODE if self._quartz.CGEventSourceKeyState(state, code)}

    def stop(self) -> None:
        for listener in (self._listener, *self._listeners):
            listener.stop()

    def _take(self, kind: int, event: object) -> object:
        t_ns = time.perf_counter_ns()
        q = self._quartz
        if kind not in (q.kCGEventKeyDown, q.kCGEventKeyUp, q.kCGEventFlagsChanged):
            return event
        code = q.CGEventGetIntegerValueField(event, q.kCGKeyboardEventKeycode)
        # A modifier sends neither down nor up, only the flags as they are afterwards.
        if kind == q.kCGEventFlagsChanged:
            down = bool(q.CGEventGetFlags(event) & MODIFIER_BITS.get(code, 0))
        else:
            down = kind == q.kCGEventKeyDown
        maker = q.CGEventGetIntegerValueField(event, q.kCGEventSourceUnixProcessID)
        # The event goes back unchanged: a tap that returns nothing swallows the key.
        self._put(KeyEvent(_BY_CODE.get(code), code, down, self._own and maker == os.getpid(), t_ns))
        return event

    def _take_mouse(self, kind: int, event: object) -> object:
        t_ns = time.perf_counter_ns()
        q = self._quartz

        def value(field: int) -> int:
            return q.CGEventGetIntegerValueField(event, field)

        assert self._mouse is not None
        own = self._own and value(q.kCGEventSourceUnixProcessID) == os.getpid()
        pressed = {q.kCGEventLeftMouseDown: True, q.kCGEventRightMouseDown: True, q.kCGEventOtherMouseDown: True}
        pressed |= {q.kCGEventLeftMouseUp: False, q.kCGEventRightMouseUp: False, q.kCGEventOtherMouseUp: False}
        if kind in pressed:
            number = value(q.kCGMouseEventButtonNumber)
            if number < len(MOUSE_BUTTONS):
                self._mouse(MouseEvent(0, 0, MOUSE_BUTTONS[number], pressed[kind], own, t_ns))
        elif kind == q.kCGEventScrollWheel:
            name = "wheel_up" if value(q.kCGScrollWheelEventDeltaAxis1) > 0 else "wheel_down"
            self._mouse(MouseEvent(0, 0, name, True, own, t_ns))
        elif moved := (value(q.kCGMouseEventDeltaX), value(q.kCGMouseEventDeltaY)):
            self._mouse(MouseEvent(*moved, "", False, own, t_ns))
        return event
