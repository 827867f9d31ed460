"""The mouse on an X server, heard as raw events of XInput 2."""

import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from protege.core.actions import Action
from protege.core.events import Motion
from protege.devices.errors import DisplayGone
from protege.devices.keys import KeyEvent, Put
from protege.devices.mouse import CODES, PLACES, Whole, summed
from protege.devices.x11 import open_display
from protege.devices.x11_keys import connection_errors
from protege.devices.x11_raw import HEAD, NAMES, PART, RawMotion, buttons_of
from protege.errors import UserError

if TYPE_CHECKING:
    from Xlib.display import Display
    from Xlib.protocol.rq import Event

_MS: Final = 1_000_000
_SERVER_MS: Final = 1 << 32
"""Milliseconds after which the server's clock begins anew."""
_SAME_CLOCK_NS: Final = 10_000_000_000
"""Another machine's clock is further off; an event waits for us less long."""


class XMouseHook:
    """Implements `MouseHook` on an X server: a thread hears buttons, motion waits until it is asked for."""

    def __init__(self, put: Put, motion: bool) -> None:
        """motion: whether it is heard, too. UserError without a display or without XInput 2."""
        self._put = put
        self._moves = motion
        self._display, self._opcode = _connected()
        self._motion = _XMotion()
        self._thread = threading.Thread(target=self._work, name="mouse heard", daemon=True)
        self._pipe = os.pipe()
        self._stopping = False

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> Action:
        from Xlib.ext import xinput

        try:
            mask = xinput.RawButtonPressMask | xinput.RawButtonReleaseMask
            self._display.screen().root.xinput_select_events([(xinput.AllMasterDevices, mask)])
            self._display.sync()
            if self._moves:
                self._motion.start()
        except connection_errors() as error:
            raise DisplayGone(f"the display is gone ({type(error).__name__})") from None
        self._thread.start()
        return self.down()

    def down(self) -> Action:
        return self._motion.down()

    def motion(self) -> list[Motion]:
        return self._motion.take()

    def stop(self) -> None:
        self._stopping = True
        if self._thread.is_alive():
            os.write(self._pipe[1], b".")
            self._thread.join()
        for end in self._pipe:
            os.close(end)
        self._motion.close()
        with suppress(*connection_errors()):
            self._display.close()

    def _work(self) -> None:
        with suppress(*connection_errors()):
            while not self._stopping:
                select.select([self._display.fileno(), self._pipe[0]], [], [])
                for event in _raw_events(self._display, self._opcode):
                    self._take(event)

    def _take(self, event: "Event") -> None:
        from Xlib.ext import xinput

        t_ns = time.perf_counter_ns()
        if name := NAMES.get(HEAD.unpack_from(event.data)[2]):
            down = event.evtype == xinput.RawButtonPress
            self._put(KeyEvent(PLACES[name], CODES[name], down, False, t_ns))


class _XMotion:
    """A connection on which the server's events of motion wait. Any thread may use it."""

    def __init__(self) -> None:
        self._display, self._opcode = _connected()
        self._lock = threading.Lock()
        self._whole = Whole(PART)
        self._raw: RawMotion | None = None
        self._ahead_ns: int | None = None

    def start(self) -> None:
        from Xlib.ext import xinput

        display = self._display
        self._raw = RawMotion(display)
        display.screen().root.xinput_select_events([(xinput.AllMasterDevices, xinput.RawMotionMask)])
        display.sync()

    def down(self) -> Action:
        with self._connection() as display:
            return buttons_of(display)

    def take(self) -> list[Motion]:
        with self._connection() as display:
            if self._raw is None:
                return []
            found = [event.data for event in _raw_events(display, self._opcode)]
            return summed([(self._time(HEAD.unpack_from(d)[1]), *self._raw.parts(d)) for d in found], self._whole)

    def close(self) -> None:
        with suppress(*connection_errors()):
            self._display.close()

    @contextmanager
    def _connection(self) -> "Iterator[Display]":
        try:
            with self._lock:
                yield self._display
        except connection_errors() as error:
            raise DisplayGone(f"the display is gone ({type(error).__name__})") from None

    def _time(self, server_ms: int) -> int:
        """The server's time on our clock: they are one on this machine; elsewhere the event that was heard soonest
        tells by how much the server is behind.
        """
        now = time.perf_counter_ns()
        # In both the low 32 bits count milliseconds, if the clock is the same.
        behind_ns = (now // _MS - server_ms) % _SERVER_MS * _MS
        if self._ahead_ns is None:
            self._ahead_ns = 0 if behind_ns < _SAME_CLOCK_NS else behind_ns
        self._ahead_ns = min(self._ahead_ns, behind_ns)
        return now // _MS * _MS - (behind_ns - self._ahead_ns)


def _connected() -> "tuple[Display, int]":
    """A connection of its own that may select events of XInput 2, and the number of that extension."""
    from Xlib.ext import xinput

    display = open_display()
    found = display.query_extension(xinput.extname)
    if found is None or not found.present:
        display.close()
        raise UserError("the display has no XInput 2, so the mouse cannot be heard; use another X server")
    # From 2.2 on an event says which device it comes from.
    xinput.XIQueryVersion(display=display.display, opcode=found.major_opcode, major_version=2, minor_version=2)
    return display, found.major_opcode


def _raw_events(display: "Display", opcode: int) -> "Iterator[Event]":
    """What the server has sent so far; python-xlib leaves the data of such events undecoded."""
    from Xlib.ext import ge

    while count := display.pending_events():
        for _ in range(count):
            event = display.next_event()
            if event.type == ge.GenericEventCode and event.extension == opcode:
                yield event
