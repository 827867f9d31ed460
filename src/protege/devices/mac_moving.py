"""The mouse on macOS, moved by relative counts through Quartz. Not tested: we have no Mac."""

from typing import Any, Final

from protege.core.looking import WHEEL
from protege.devices.mac_keys import MOUSE_BUTTONS, quartz

_BUTTONS: Final = {name: number for number, name in enumerate(MOUSE_BUTTONS)}


class MacMover:
    """Implements `Mover`."""

    def __init__(self) -> None:
        self._quartz = quartz()
        self._down: set[str] = set()

    def move(self, right: int, down: int) -> None:
        if not (right or down):
            return
        q = self._quartz
        at = self._at()
        kind, number = q.kCGEventMouseMoved, 0
        if self._down:  # with a button down the system knows dragging alone
            name = min(self._down)
            kind, number = self._kinds(name)[2], _BUTTONS[name]
        event = q.CGEventCreateMouseEvent(None, kind, (at.x + right, at.y + down), number)
        # A game that hides the pointer reads these, and not where it is.
        q.CGEventSetIntegerValueField(event, q.kCGMouseEventDeltaX, right)
        q.CGEventSetIntegerValueField(event, q.kCGMouseEventDeltaY, down)
        q.CGEventPost(q.kCGHIDEventTap, event)

    def press(self, button: str) -> None:
        q = self._quartz
        if button in WHEEL:
            lines = 1 if button == "wheel_up" else -1
            event = q.CGEventCreateScrollWheelEvent(None, q.kCGScrollEventUnitLine, 1, lines)
            q.CGEventPost(q.kCGHIDEventTap, event)
            return
        self._send(self._kinds(button)[0], button)
        self._down.add(button)

    def release(self, button: str) -> None:
        if button not in WHEEL:
            self._send(self._kinds(button)[1], button)
            self._down.discard(button)

    def _send(self, kind: int, button: str) -> None:
        q = self._quartz
        q.CGEventPost(q.kCGHIDEventTap, q.CGEventCreateMouseEvent(None, kind, self._at(), _BUTTONS[button]))

    def _kinds(self, button: str) -> tuple[int, int, int]:
        """What presses, releases and drags a button."""
        q = self._quartz
        if button == "mouse_left":
            return q.kCGEventLeftMouseDown, q.kCGEventLeftMouseUp, q.kCGEventLeftMouseDragged
        if button == "mouse_right":
            return q.kCGEventRightMouseDown, q.kCGEventRightMouseUp, q.kCGEventRightMouseDragged
        return q.kCGEventOtherMouseDown, q.kCGEventOtherMouseUp, q.kCGEventOtherMouseDragged

    def _at(self) -> Any:
        return self._quartz.CGEventGetLocation(self._quartz.CGEventCreate(None))
