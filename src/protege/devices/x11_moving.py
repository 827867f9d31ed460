"""The mouse on an X server: moved and pressed through XTest, on the keyboard's connection so that `XHook` knows it."""

from typing import TYPE_CHECKING, Final

from protege.core.looking import WHEEL
from protege.devices.mouse import Whole
from protege.devices.moving import MouseEvent
from protege.devices.x11_raw import HEAD, NAMES, NUMBERS, RawMotion, buttons_of

if TYPE_CHECKING:
    from protege.devices.x11_keys import XKeyboard

RAW_PRESS, RAW_RELEASE, RAW_MOTION = 15, 16, 17
"""Kinds of raw events of XInput 2."""
RAW: Final = (RAW_PRESS, RAW_RELEASE, RAW_MOTION)
RAW_MASK: Final = 1 << RAW_PRESS | 1 << RAW_RELEASE | 1 << RAW_MOTION


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


def buttons_down() -> frozenset[str]:
    """`buttons_of` the X server that DISPLAY names."""
    from protege.devices.x11 import open_display

    display = open_display()
    try:
        return buttons_of(display)
    finally:
        display.close()


def read_raw(kind: int, data: bytes, own: bool, t_ns: int, motion: RawMotion, rest: Whole) -> MouseEvent | None:
    """The event of a raw one of XInput 2; None for what is of no interest. rest: fractions of counts from before."""
    if kind != RAW_MOTION:
        name = NAMES.get(HEAD.unpack_from(data)[2])
        return MouseEvent(0, 0, name, kind == RAW_PRESS, own, t_ns) if name else None
    rest.add(*motion.parts(data))
    right, down = rest.take()
    return MouseEvent(right, down, "", False, own, t_ns) if right or down else None
