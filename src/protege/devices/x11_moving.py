"""The mouse on an X server: moved and pressed through XTest, on the keyboard's connection so that `XHook` knows it."""

import struct
from typing import TYPE_CHECKING, Final

from protege.core.looking import WHEEL
from protege.devices.moving import MouseEvent

if TYPE_CHECKING:
    from protege.devices.x11_keys import XKeyboard

NUMBERS: Final = {
    **{"mouse_left": 1, "mouse_middle": 2, "mouse_right": 3, "wheel_up": 4, "wheel_down": 5},
    **{"mouse_4": 8, "mouse_5": 9},
}
"""X11's numbers of the buttons."""
NAMES: Final = {number: name for name, number in NUMBERS.items()}
RAW_PRESS, RAW_RELEASE, RAW_MOTION = 15, 16, 17
"""Kinds of raw events of XInput 2."""
RAW_MASK: Final = 1 << RAW_PRESS | 1 << RAW_RELEASE | 1 << RAW_MOTION
_HEAD: Final = struct.Struct("=HIIHHI4x")
"""Of a raw event: device, time, detail, source, words of the mask, flags."""


class XMover:
    """Implements `Mover`."""

    def __init__(self, keyboard: "XKeyboard") -> None:
        self._keyboard = keyboard

    def move(self, right: int, down: int) -> None:
        from Xlib import X

        if right or down:
            self._keyboard.fake(X.MotionNotify, 1, (RAW_MOTION, 0), right, down)

    def press(self, button: str) -> None:
        from Xlib import X

        number = NUMBERS[button]
        self._keyboard.fake(X.ButtonPress, number, (RAW_PRESS, number))
        if button in WHEEL:
            self._keyboard.fake(X.ButtonRelease, number, (RAW_RELEASE, number))

    def release(self, button: str) -> None:
        from Xlib import X

        if button not in WHEEL:
            number = NUMBERS[button]
            self._keyboard.fake(X.ButtonRelease, number, (RAW_RELEASE, number))


def buttons_down() -> set[str]:
    """The buttons that are down in the X server now, whoever pressed them; it tells of the first three alone."""
    from protege.devices.x11 import open_display

    display = open_display()
    try:
        mask = display.screen().root.query_pointer().mask
        return {name for name, number in NUMBERS.items() if number < 4 and mask >> (7 + number) & 1}
    finally:
        display.close()


class Rest:
    """Whole counts of motion that comes in fractions of them; what is left over is part of the next."""

    def __init__(self) -> None:
        self._right = self._down = 0.0

    def whole(self, right: float, down: float) -> tuple[int, int]:
        self._right += right
        self._down += down
        counts = int(self._right), int(self._down)
        self._right -= counts[0]
        self._down -= counts[1]
        return counts


def read_raw(kind: int, data: bytes, own: bool, t_ns: int, rest: Rest) -> MouseEvent | None:
    """The event of a raw one of XInput 2 that python-xlib leaves undecoded; None for what is of no interest.

    The counts are those before the server accelerates them, as games read them.
    """
    _device, _time, detail, _source, words, _flags = _HEAD.unpack_from(data)
    if kind != RAW_MOTION:
        name = NAMES.get(detail)
        return MouseEvent(0, 0, name, kind == RAW_PRESS, own, t_ns) if name else None
    mask = int.from_bytes(data[_HEAD.size : _HEAD.size + 4 * words], "little")
    axes = [axis for axis in range(32 * words) if mask >> axis & 1]
    # One 32.32 number for each axis as it is used, then all of them again as they came from the device.
    at = _HEAD.size + 4 * words + 8 * len(axes)
    moved = [0.0, 0.0]
    for place, axis in enumerate(axes):
        if axis < 2:
            whole, part = struct.unpack_from("=iI", data, at + 8 * place)
            moved[axis] = whole + part / 2**32
    right, down = rest.whole(*moved)
    return MouseEvent(right, down, "", False, own, t_ns) if right or down else None
