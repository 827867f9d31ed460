"""The mouse on an X server, heard as raw events of XInput 2: counts as the device sends them, before the server makes
them faster and before the pointer stops at an edge of the screen.
"""

import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from protege.core.actions import NO_KEYS, Action
from protege.devices.errors import DisplayGone
from protege.devices.keys import KeyEvent, Put
from protege.devices.mouse import CODES, PLACES, SUMMED_NS, Moved, Whole
from protege.devices.x11 import open_display
from protege.devices.x11_keys import connection_errors
from protege.errors import UserError

if TYPE_CHECKING:
    from Xlib.protocol.rq import Event

_NAMES: Final = {
    **{1: "mouse_left", 2: "mouse_middle", 3: "mouse_right", 4: "wheel_up", 5: "wheel_down"},
    **{8: "mouse_4", 9: "mouse_5"},
}
"""By X11's numbers of buttons; 6 and 7 turn the wheel sideways."""
_PART: Final = 1 << 32
"""Raw values are 32 bits before the point and 32 behind it."""
_HEAD: Final = struct.Struct("=HIIHHI")
"""device, the server's time in ms, detail, source, number of 4-byte words of the mask, flags."""
_HEAD_BYTES: Final = _HEAD.size + 4
_ABSOLUTE: Final = 1
_SLAVE_POINTER: Final = 3
_SERVER_MS: Final = 1 << 32


class XMouseHook:
    """Implements `MouseHook` on an X server."""

    def __init__(self, put: Put, moved: Moved) -> None:
        """UserError without a display or without XInput 2."""
        self._put = put
        self._moved = moved
        self._whole = Whole(_PART)
        self._heard_ns = 0
        self._display = open_display()
        self._asked = open_display()
        """A connection of its own for `down`: an answer on the first would take its events along."""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="mouse heard", daemon=True)
        self._pipe = os.pipe()
        self._stopping = False
        self._opcode = 0
        self._absolute: dict[tuple[int, int], float] = {}
        """Pixels a unit of the axes (of a device, and its number) that tell places: of a tablet, or in a virtual
        machine."""
        self._places: dict[tuple[int, int], int] = {}

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> Action:
        try:
            self._select()
        except connection_errors() as error:
            raise DisplayGone(f"the display is gone ({type(error).__name__})") from None
        self._thread.start()
        return self.down()

    def down(self) -> Action:
        try:
            with self._lock:
                mask = self._asked.screen().root.query_pointer().mask
        except connection_errors() as error:
            raise DisplayGone(f"the display is gone ({type(error).__name__})") from None
        # The mask has the first five buttons, of which two are the wheel.
        held = [name for number, name in _NAMES.items() if number < 4 and mask & 1 << number + 7]
        return frozenset(held) or NO_KEYS

    def stop(self) -> None:
        self._stopping = True
        if self._thread.is_alive():
            os.write(self._pipe[1], b".")
            self._thread.join()
        for end in self._pipe:
            os.close(end)
        for display in (self._display, self._asked):
            with suppress(*connection_errors()):
                display.close()

    def _select(self) -> None:
        from Xlib.ext import xinput

        display = self._display
        found = display.query_extension(xinput.extname)
        if found is None or not found.present:
            raise UserError("the display has no XInput 2, so the mouse cannot be heard; use another X server")
        self._opcode = found.major_opcode
        # From 2.2 on an event says which device it comes from.
        xinput.XIQueryVersion(display=display.display, opcode=self._opcode, major_version=2, minor_version=2)
        size = display.screen().width_in_pixels, display.screen().height_in_pixels
        for device in display.xinput_query_device(xinput.AllDevices).devices:
            for axis in device.classes:
                if device.use == _SLAVE_POINTER and _is_absolute(axis) and axis.max > axis.min:
                    scale = size[axis.number] / (axis.max - axis.min)
                    self._absolute[device.deviceid, axis.number] = scale
        mask = xinput.RawMotionMask | xinput.RawButtonPressMask | xinput.RawButtonReleaseMask
        display.screen().root.xinput_select_events([(xinput.AllMasterDevices, mask)])
        display.sync()

    def _work(self) -> None:
        woken = self._pipe[0]
        with suppress(*connection_errors()):
            while not self._stopping:
                select.select([self._display.fileno(), woken], [], [])
                self._pump()
                # A mouse tells up to a thousand times a second: what comes in the next moment is taken with it.
                if not self._stopping:
                    select.select([woken], [], [], SUMMED_NS / 1e9)
            self._pump()

    def _pump(self) -> None:
        """Take every event that is there. The last came just now, the others before it, by the server's clock."""
        from Xlib.ext import ge

        events: list[Event] = []
        while self._display.pending_events():
            event = self._display.next_event()
            if event.type == ge.GenericEventCode and event.extension == self._opcode:
                events.append(event)
        if not events:
            return
        now = time.perf_counter_ns()
        heads = [_HEAD.unpack_from(event.data) for event in events]
        for event, head in zip(events, heads, strict=True):
            before_ms = min((heads[-1][1] - head[1]) % _SERVER_MS, SUMMED_NS // 1_000_000)
            # Always after what was told last: the two clocks do not run alike, and the server's has milliseconds.
            self._heard_ns = max(self._heard_ns + 1, now - before_ms * 1_000_000)
            self._take(event, head[2], head[3])
        self._tell()

    def _take(self, event: "Event", detail: int, source: int) -> None:
        from Xlib.ext import xinput

        if event.evtype == xinput.RawMotion:
            self._move(source, event.data)
        elif name := _NAMES.get(detail):
            self._tell()  # what was moved before the press comes before it
            down = event.evtype == xinput.RawButtonPress
            self._put(KeyEvent(PLACES[name], CODES[name], down, False, self._heard_ns))

    def _move(self, source: int, data: bytes) -> None:
        counts = [0, 0]
        for axis, value in _raw_values(data):
            if axis > 1:  # a wheel that turns smoothly, pressure …
                continue
            if (scale := self._absolute.get((source, axis))) is not None:
                before = self._places.setdefault((source, axis), value)
                self._places[source, axis] = value
                value = round((value - before) * scale)
            counts[axis] = value
        self._whole.add(counts[0], counts[1])

    def _tell(self) -> None:
        dx, dy = self._whole.take()
        if dx or dy:
            self._moved(dx, dy, self._heard_ns)


def _is_absolute(axis: Any) -> bool:
    from Xlib.ext import xinput

    return axis.type == xinput.ValuatorClass and axis.number < 2 and axis.mode == _ABSOLUTE


def _raw_values(data: bytes) -> Iterator[tuple[int, int]]:
    """(number of the axis, value in parts of a count) of a raw event, as the device told them.

    python-xlib leaves raw events undecoded: a mask of the axes, their values after acceleration, and those before it.
    """
    words = _HEAD.unpack_from(data)[4]
    mask = int.from_bytes(data[_HEAD_BYTES : _HEAD_BYTES + 4 * words], "little")
    axes = [axis for axis in range(32 * words) if mask >> axis & 1]
    start = _HEAD_BYTES + 4 * words + 8 * len(axes)
    for number, axis in enumerate(axes):
        whole, part = struct.unpack_from("=iI", data, start + 8 * number)
        yield axis, whole * _PART + part
