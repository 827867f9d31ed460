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
            first = _xinput(self.display).first_event
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
            opcode=_xinput(self.display).major_opcode,
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


class GameWindow:
    """A window that has the keyboard and keeps which keycodes reached it; its parts have colours.

    Its left quarter is red, the top right green, the bottom right blue, so that a crop or a stretch shows.
    """

    def __init__(self, title, rect=(100, 100, 320, 240), name=None):
        """name: of the display, the environment's unless given."""
        from Xlib import X, display

        self.display = display.Display(name)
        screen = self.display.screen()
        mask = X.KeyPressMask | X.KeyReleaseMask | X.ExposureMask
        self.window = screen.root.create_window(*rect, 0, screen.root_depth, X.InputOutput, event_mask=mask)
        self.window.set_wm_name(title)
        self.window.map()
        self.display.sync()
        self.rect = rect
        self.paint()
        self.focus()

    def focus(self):
        from Xlib import X

        self.window.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self.display.sync()

    def paint(self):
        width, height = self.rect[2:]
        left, top = width // 4, height // 2
        areas = [(0xFF0000, 0, 0, left, height), (0x00FF00, left, 0, width - left, top)]
        for colour, *area in [*areas, (0x0000FF, left, top, width - left, height - top)]:
            context = self.window.create_gc(foreground=colour)
            self.window.fill_rectangle(context, *area)
        self.display.sync()

    def keys(self):
        """(keycode, went down) of every key that reached it since the last call."""
        from Xlib import X

        found = []
        while self.display.pending_events():
            event = self.display.next_event()
            if event.type in (X.KeyPress, X.KeyRelease):
                found.append((event.detail, event.type == X.KeyPress))
        return found

    def close(self):
        self.window.destroy()
        self.display.close()


def _xinput(display):
    found = display.query_extension("XInputExtension")
    assert found is not None
    return found
