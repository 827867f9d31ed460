"""Raw events of the mouse on an X server (XInput 2): counts as the device sends them, before the server makes them
faster and before the pointer stops at an edge of the screen. python-xlib leaves such events undecoded.
"""

import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from Xlib.display import Display

NUMBERS: Final = {
    **{"mouse_left": 1, "mouse_middle": 2, "mouse_right": 3, "wheel_up": 4, "wheel_down": 5},
    **{"mouse_4": 8, "mouse_5": 9},
}
"""X11's numbers of buttons; 6 and 7 turn the wheel sideways."""
NAMES: Final = {number: name for name, number in NUMBERS.items()}
PART: Final = 1 << 32
"""Parts of a count: raw values are 32 bits before the point and 32 behind it."""
HEAD: Final = struct.Struct("=HIIHHI")
"""device, the server's time in ms, detail, source, number of 4-byte words of the mask, flags."""
_HEAD_BYTES: Final = HEAD.size + 4
_VALUE: Final = struct.Struct("=iI")


def buttons_of(display: "Display") -> frozenset[str]:
    """The buttons that are down in the X server now, whoever pressed them; it tells of the first three alone."""
    mask = display.screen().root.query_pointer().mask
    # It has the first five buttons, of which two are the wheel.
    return frozenset(name for number, name in NAMES.items() if number < 4 and mask & 1 << number + 7)


class RawMotion:
    """Reads how far the mouse moved from the data of raw events."""

    def __init__(self, display: "Display") -> None:
        """Asks the server which devices tell places instead of motion."""
        from Xlib.ext import xinput

        self._absolute: dict[tuple[int, int], float] = {}
        """Pixels a unit of the axes (of a device, and its number) that tell places: of a tablet, or in a virtual
        machine.
        """
        self._places: dict[tuple[int, int], int] = {}
        size = display.screen().width_in_pixels, display.screen().height_in_pixels
        for device in display.xinput_query_device(xinput.AllDevices).devices:
            for axis in device.classes:
                if device.use == xinput.SlavePointer and _is_absolute(axis) and axis.max > axis.min:
                    scale = size[axis.number] / (axis.max - axis.min)
                    self._absolute[device.deviceid, axis.number] = scale

    def parts(self, data: bytes) -> tuple[int, int]:
        """Parts of a count right and down."""
        _, _, _, source, words, _ = HEAD.unpack_from(data)
        mask = int.from_bytes(data[_HEAD_BYTES : _HEAD_BYTES + 4 * words], "little")
        # Behind the mask come the values of its axes after acceleration, then those before it.
        at = _HEAD_BYTES + 4 * words + 8 * mask.bit_count()
        counts = [0, 0]
        for axis in (0, 1):  # others are a wheel that turns smoothly, pressure …
            if mask >> axis & 1:
                whole, part = _VALUE.unpack_from(data, at)
                counts[axis] = self._relative(source, axis, whole * PART + part)
                at += _VALUE.size
        return counts[0], counts[1]

    def _relative(self, source: int, axis: int, value: int) -> int:
        if (scale := self._absolute.get((source, axis))) is None:
            return value
        before, self._places[source, axis] = self._places.get((source, axis), value), value
        return round((value - before) * scale)


def _is_absolute(axis: Any) -> bool:
    from Xlib.ext import xinput

    return axis.type == xinput.ValuatorClass and axis.number < 2 and axis.mode == xinput.ModeAbsolute
