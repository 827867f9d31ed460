"""The mouse on macOS through pynput's event tap: the motion that Quartz reports. Not tested: we have no Mac."""

import time
from collections import deque
from typing import Final

from protege.core.actions import Action
from protege.core.events import Motion
from protege.core.looking import WHEEL
from protege.devices.keys import KeyEvent, Put
from protege.devices.mac_keys import quartz
from protege.devices.mouse import CODES, PLACES, Whole, summed
from protege.errors import MissingExtra

_NAMES: Final = ("mouse_left", "mouse_right", "mouse_middle", "mouse_4", "mouse_5")
"""By Quartz' numbers of buttons, from 0."""


class MacMouseHook:
    """Implements `MouseHook`. macOS tells motion with its own acceleration, as it does to games that do not ask the
    device itself.
    """

    def __init__(self, put: Put, motion: bool) -> None:
        try:
            from pynput import mouse
        except ImportError:
            raise MissingExtra("pynput", "record") from None
        self._quartz = quartz()
        self._put = put
        self._motion = motion
        self._whole = Whole()
        self._moves: deque[tuple[int, int, int]] = deque()
        self._listener = mouse.Listener(darwin_intercept=self._take)

    @property
    def alive(self) -> bool:
        return self._listener.is_alive()

    def start(self) -> Action:
        self._listener.start()
        self._listener.wait()
        return self.down()

    def down(self) -> Action:
        state = self._quartz.kCGEventSourceStateCombinedSessionState
        pressed = self._quartz.CGEventSourceButtonState
        return frozenset(name for number, name in enumerate(_NAMES) if pressed(state, number))

    def motion(self) -> list[Motion]:
        # One at a time, since the other thread goes on adding.
        return summed([self._moves.popleft() for _ in range(len(self._moves))], self._whole)

    def stop(self) -> None:
        self._listener.stop()

    def _take(self, kind: int, event: object) -> object:
        q, t_ns = self._quartz, time.perf_counter_ns()

        def field(name: str) -> int:
            return int(q.CGEventGetIntegerValueField(event, getattr(q, name)))

        dragged = (q.kCGEventLeftMouseDragged, q.kCGEventRightMouseDragged, q.kCGEventOtherMouseDragged)
        pressed = (q.kCGEventLeftMouseDown, q.kCGEventRightMouseDown, q.kCGEventOtherMouseDown)
        released = (q.kCGEventLeftMouseUp, q.kCGEventRightMouseUp, q.kCGEventOtherMouseUp)
        if kind == q.kCGEventMouseMoved or kind in dragged:
            if self._motion:
                self._moves.append((t_ns, field("kCGMouseEventDeltaX"), field("kCGMouseEventDeltaY")))
        elif kind in pressed or kind in released:
            if (number := field("kCGMouseEventButtonNumber")) < len(_NAMES):
                self._tell(_NAMES[number], kind in pressed, t_ns)
        elif kind == q.kCGEventScrollWheel:
            notches = field("kCGScrollWheelEventDeltaAxis1")
            for _ in range(abs(notches)):
                for down in (True, False):
                    self._tell(WHEEL[0] if notches > 0 else WHEEL[1], down, t_ns)
        # The event goes back unchanged: a tap that returns nothing swallows it.
        return event

    def _tell(self, name: str, down: bool, t_ns: int) -> None:
        self._put(KeyEvent(PLACES[name], CODES[name], down, False, t_ns))
