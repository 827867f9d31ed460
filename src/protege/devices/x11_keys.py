"""Keys on an X server by keycode, whatever the layout: pressed through XTEST, heard as raw events of XInput 2.

A raw event is sent for every device, even while another program grabs the keyboard, and is never repeated. The server
handles a request of ours to press a key at once, so the event it causes carries that request's number: that is how our
own keys are told from everybody else's, who may use XTEST too. Hence pressing and hearing share one connection.
"""

import os
import select
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from protege.devices import x11_moving
from protege.devices.ending import uninterrupted
from protege.devices.errors import DisplayGone
from protege.devices.keys import KeyEvent, Put
from protege.devices.mouse import Whole
from protege.devices.moving import PutMouse
from protege.devices.places import PLACES, Place
from protege.devices.x11 import open_display
from protege.devices.x11_raw import PART, RawMotion
from protege.errors import ProtegeError, UserError

if TYPE_CHECKING:
    from Xlib.display import Display
    from Xlib.protocol.rq import Event

EVDEV_OFFSET: Final = 8
"""An X server's keycode is Linux's number of the key and this."""
_SEQUENCES: Final = 0x10000
"""Numbers of requests have 16 bits in an event, and begin anew."""
_CORE_KEYBOARD: Final = 0x100  # XkbUseCoreKbd
_KEY_NAMES: Final = 1 << 9  # XkbKeyNamesMask


class XKeyboard:
    """One connection that presses keys; implements `Presser`. An `XHook` may listen on it."""

    def __init__(self) -> None:
        """UserError without a display, or if it cannot be told to press keys."""
        self.display = open_display()
        self.lock = threading.Lock()
        """Everything on the connection happens under it: python-xlib's own threading loses wake-ups."""
        self.pump: Callable[[], None] | None = None
        """The hook's, which takes what a request's answer brought along. Under the lock."""
        self._pressed: deque[tuple[int, int, int]] = deque()
        """Requests of ours that the hook has not heard of yet: serial number, kind of the raw event and its detail."""
        if not self.display.has_extension("XTEST"):
            self.display.close()
            raise UserError("the display has no XTEST, so no key can be pressed; use another X server")
        self.places = keymap(self.display)
        self._codes = {place.id: code for code, place in self.places.items()}

    def press(self, place: Place) -> None:
        self._send(place, True)

    def release(self, place: Place) -> None:
        self._send(place, False)

    def has(self, place: Place) -> bool:
        """Whether this server's keyboard has the key."""
        return place.id in self._codes

    def _send(self, place: Place, down: bool) -> None:
        from Xlib import X
        from Xlib.ext import xinput

        if (code := self._codes.get(place.id)) is None:
            if down:
                raise ProtegeError(f"the X server's keyboard has no key {place.id!r}")
            return
        kind = X.KeyPress if down else X.KeyRelease
        self.fake(kind, code, (xinput.RawKeyPress if down else xinput.RawKeyRelease, code))

    def fake(self, kind: int, detail: int, raw: tuple[int, int], x: int = 0, y: int = 0) -> None:
        """Have the server act as if a device did this; raw: kind and detail of the raw event that follows."""
        from Xlib import X
        from Xlib.ext import xtest

        inner = self.display.display
        try:
            with uninterrupted(), self.lock:
                # What xtest.fake_input does, but it throws the request away, and its serial number is needed.
                request: Any = xtest.FakeInput(
                    display=inner,
                    opcode=inner.get_extension_major(xtest.extname),
                    event_type=kind,
                    detail=detail,
                    time=X.CurrentTime,
                    root=X.NONE,
                    x=x,
                    y=y,
                )
                if self.pump is not None:
                    # Before `sync`, which may read the event that it causes.
                    self._pressed.append((request._serial, *raw))
                self.display.sync()
                if self.pump is not None:
                    self.pump()
        except connection_errors() as error:
            raise DisplayGone(f"the display is gone ({type(error).__name__})") from None

    def is_own(self, sequence: int, kind: int, detail: int) -> bool:
        """Whether a raw event with this sequence number comes of a press or motion of ours. In the order of events,
        under lock.
        """
        while self._pressed:
            serial, *raw = self._pressed[0]
            behind = (sequence - serial) % _SEQUENCES
            if behind >= _SEQUENCES // 2:  # of a request after the event
                return False
            if behind == 0:
                if raw == [kind, detail]:
                    self._pressed.popleft()
                    return True
                return False
            self._pressed.popleft()  # never echoed: the key was down, or up, already
        return False

    def close(self) -> None:
        with suppress(*connection_errors()):
            self.display.close()

    def __del__(self) -> None:
        if hasattr(self, "display") and not sys.is_finalizing():
            self.close()


class XHook:
    """Implements `Hook` on an X server."""

    def __init__(self, put: Put, own: XKeyboard | None = None, mouse: PutMouse | None = None) -> None:
        """own: whose presses are reported as own; mouse: gets what the mouse does, which is not heard without.
        UserError without a display or without XInput 2.
        """
        self._put = put
        self._mouse = mouse
        self._motion: RawMotion | None = None
        self._rest = Whole(PART)
        self._keyboard = own or XKeyboard()
        self._mine = own is None
        self._thread = threading.Thread(target=self._work, name="keys heard", daemon=True)
        self._stopping = False
        self._pipe: tuple[int, int] | None = None
        self._opcode = 0

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> Mapping[int, Place | None]:
        display = self._keyboard.display
        try:
            with self._keyboard.lock:
                self._select(display)
                self._pipe = os.pipe()
                self._keyboard.pump = self._pump
        except connection_errors() as error:
            raise DisplayGone(f"the display is gone ({type(error).__name__})") from None
        self._thread.start()
        return self.down()

    def down(self) -> Mapping[int, Place | None]:
        try:
            with self._keyboard.lock:
                # Waiting for an answer also reads events into python-xlib's queue, where `select` on the socket no
                # longer sees them: each such wait ends with `_pump`.
                bits = self._keyboard.display.query_keymap()
                self._pump()
        except connection_errors() as error:
            raise DisplayGone(f"the display is gone ({type(error).__name__})") from None
        codes = [code for code in range(256) if bits[code // 8] >> (code % 8) & 1]
        return {code: self._keyboard.places.get(code) for code in codes}

    def stop(self) -> None:
        self._stopping = True
        if self._pipe is not None:
            # Closing the connection would not wake a thread that waits in `select` on it.
            os.write(self._pipe[1], b".")
            self._thread.join()
            self._keyboard.pump = None
            for end in self._pipe:
                os.close(end)
            self._pipe = None
        if self._mine:
            self._keyboard.close()

    def _select(self, display: "Display") -> None:
        from Xlib.ext import xinput

        found = display.query_extension(xinput.extname)
        if found is None or not found.present:
            raise UserError("the display has no XInput 2, so keys cannot be heard; use another X server")
        self._opcode = found.major_opcode
        # from 2.1 on keys are told even while another program grabs them, from 2.2 on also who sent them
        xinput.XIQueryVersion(display=display.display, opcode=self._opcode, major_version=2, minor_version=2)
        mask = xinput.RawKeyPressMask | xinput.RawKeyReleaseMask
        if self._mouse is not None:
            mask |= x11_moving.RAW_MASK
            self._motion = RawMotion(display)
        display.screen().root.xinput_select_events([(xinput.AllMasterDevices, mask)])
        display.sync()

    def _work(self) -> None:
        assert self._pipe is not None
        display = self._keyboard.display
        woken = self._pipe[0]
        with suppress(*connection_errors()):
            while not self._stopping:
                select.select([display.fileno(), woken], [], [])
                with self._keyboard.lock:
                    self._pump()

    def _pump(self) -> None:
        display = self._keyboard.display
        while display.pending_events():
            self._take(display.next_event())

    def _take(self, event: "Event") -> None:
        from Xlib.ext import ge, xinput

        t_ns = time.perf_counter_ns()
        if event.type != ge.GenericEventCode or event.extension != self._opcode:
            return
        # python-xlib leaves raw events undecoded. The server's time is not ours: it counts milliseconds since its
        # start.
        _device, _time, code = struct.unpack_from("=HII", event.data)
        # Asked for every event, in their order: `is_own` forgets the requests that it has passed.
        own = not self._mine and self._keyboard.is_own(event.sequence_number, event.evtype, code)
        if event.evtype in (xinput.RawKeyPress, xinput.RawKeyRelease):
            down = event.evtype == xinput.RawKeyPress
            self._put(KeyEvent(self._keyboard.places.get(code), code, down, own, t_ns))
        elif self._mouse is not None and self._motion is not None and event.evtype in x11_moving.RAW:
            # Of what we move ourselves no fraction may be left over for a person's motion.
            rest = Whole(PART) if own else self._rest
            heard = x11_moving.read_raw(event.evtype, event.data, own, t_ns, self._motion, rest)
            if heard is not None:
                self._mouse(heard)


def keymap(display: "Display") -> dict[int, Place]:
    """The place of each keycode, by the names that the server's keymap gives to physical keys (they stay when the
    layout changes); by Linux's numbers where it has no such names.
    """
    named = {place.xkb: place for place in PLACES}
    found = {code: named[name] for code, name in _xkb_names(display).items() if name in named}
    return found or {place.evdev + EVDEV_OFFSET: place for place in PLACES}


def keys_down(names: Collection[str]) -> set[str]:
    """Which of the named keys are down in the X server now, whoever pressed them."""
    display = open_display()
    try:
        bits = display.query_keymap()
        down = {place.name for code, place in keymap(display).items() if bits[code // 8] >> (code % 8) & 1}
        return down & set(names)
    finally:
        display.close()


def _xkb_names(display: "Display") -> dict[int, str]:
    """The XKB names of the keycodes, {25: "AD02"}; empty without the extension. python-xlib does not have it."""
    from Xlib.protocol import rq

    class UseExtension(rq.ReplyRequest):
        _request = rq.Struct(
            rq.Card8("opcode"), rq.Opcode(0), rq.RequestLength(), rq.Card16("major"), rq.Card16("minor")
        )
        _reply = rq.Struct(
            rq.ReplyCode(), rq.Card8("supported"), rq.Card16("sequence_number"), rq.ReplyLength(), rq.Pad(24)
        )  # fmt: skip

    class GetNames(rq.ReplyRequest):
        _request = rq.Struct(
            rq.Card8("opcode"), rq.Opcode(17), rq.RequestLength(), rq.Card16("device"), rq.Pad(2), rq.Card32("which")
        )  # fmt: skip
        _reply = rq.Struct(
            *(rq.ReplyCode(), rq.Card8("device"), rq.Card16("sequence_number"), rq.ReplyLength(), rq.Card32("which")),
            *(rq.Card8("lowest"), rq.Card8("highest"), rq.Card8("types"), rq.Card8("groups"), rq.Card16("modifiers")),
            *(rq.Card8("first"), rq.LengthOf("names", 1), rq.Card32("indicators"), rq.Card8("radio")),
            *(rq.Card8("aliases"), rq.Card16("levels"), rq.Pad(4), rq.List("names", rq.Card32Obj, pad=0)),
        )

    extension = display.query_extension("XKEYBOARD")
    if extension is None or not extension.present:
        return {}
    inner, opcode = display.display, extension.major_opcode
    if not UseExtension(display=inner, opcode=opcode, major=1, minor=0).supported:
        return {}
    told = GetNames(display=inner, opcode=opcode, device=_CORE_KEYBOARD, which=_KEY_NAMES)
    # Four bytes each, filled up with zeros; python-xlib read them as numbers.
    names = [struct.pack("=I", name).rstrip(b"\0").decode("latin-1") for name in told.names]
    return {told.first + number: name for number, name in enumerate(names) if name}


def connection_errors() -> tuple[type[Exception], ...]:
    """What python-xlib raises when the X server has gone."""
    from Xlib import error

    return (error.ConnectionClosedError, error.XError, OSError)
