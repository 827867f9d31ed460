"""A person's hands: physical keys on an X server, by keycode; and programs that get in a game's way."""

import time

from protege.devices import x11


def until(condition, seconds=20):
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.02)


class Hands:
    """Presses keys through a connection of its own; device: another keyboard than XTEST's."""

    def __init__(self):
        self.display = x11.open_display()

    def press(self, *codes, device=None):
        for code in codes:
            self._send(True, code, device)

    def release(self, *codes, device=None):
        for code in codes:
            self._send(False, code, device)

    def _send(self, down, code, device):
        from Xlib import X
        from Xlib.ext import xtest
        from Xlib.protocol import rq

        if device is None:
            xtest.fake_input(self.display, X.KeyPress if down else X.KeyRelease, code)
        else:

            class DeviceInput(rq.Request):
                _request = rq.Struct(
                    *(rq.Card8("opcode"), rq.Opcode(2), rq.RequestLength(), rq.Card8("kind"), rq.Card8("code")),
                    *(rq.Pad(29), rq.Card8("device")),
                )

            self._open(device)
            inner = self.display.display
            first = self.display.query_extension("XInputExtension").first_event
            DeviceInput(
                display=inner,
                opcode=inner.get_extension_major("XTEST"),
                kind=first + (1 if down else 2),
                code=code,
                device=self._number(device),
            )
        self.display.sync()

    def _number(self, device):
        found = self.display.xinput_query_device(0).devices
        return next(each.deviceid for each in found if each.name == device)

    def _open(self, device):
        """The old extension, by which XTEST names devices, wants them opened."""
        from Xlib.protocol import rq

        class OpenDevice(rq.ReplyRequest):
            _request = rq.Struct(
                rq.Card8("opcode"), rq.Opcode(3), rq.RequestLength(), rq.Card8("device"), rq.Pad(3)
            )  # fmt: skip
            _reply = rq.Struct(
                *(rq.ReplyCode(), rq.Pad(1), rq.Card16("sequence_number"), rq.ReplyLength(), rq.Card8("classes")),
                rq.Pad(23),
            )

        OpenDevice(
            display=self.display.display,
            opcode=self.display.query_extension("XInputExtension").major_opcode,
            device=self._number(device),
        )

    def keep(self, code):
        """Grab one key for ourselves, as a program with a hot key does, until closed."""
        from Xlib import X

        root = self.display.screen().root
        root.grab_key(code, X.AnyModifier, False, X.GrabModeAsync, X.GrabModeAsync)
        self.display.sync()

    def close(self):
        self.display.close()
