"""A person's hands at the keyboard of an X server, for tests inside wine: what they send to a socket is pressed.

One command a line, answered by "ok": "down CODE" and "up CODE" with Linux's number of the physical key (evdev),
"layout NAME", "move DX DY" for the mouse, and "press N" and "let N" for its buttons, by X11's numbers.
usage: hands.py, with DISPLAY set; prints the port on the loopback that it listens on.
"""

import socketserver
import subprocess
import sys
from typing import Final

from Xlib import X, display
from Xlib.ext import xtest

EVDEV_OFFSET: Final = 8
"""An X server's keycode is Linux's number of the key and this."""


class Hands(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        server = display.Display()
        for line in self.rfile:
            command, value, *more = line.decode().split()
            if command == "layout":
                subprocess.run(["setxkbmap", value], check=True)
            elif command == "move":
                xtest.fake_input(server, X.MotionNotify, True, x=int(value), y=int(more[0]))
                server.sync()
            elif command in ("press", "let"):
                xtest.fake_input(server, X.ButtonPress if command == "press" else X.ButtonRelease, int(value))
                server.sync()
            else:
                kind = {"down": X.KeyPress, "up": X.KeyRelease}[command]
                xtest.fake_input(server, kind, int(value) + EVDEV_OFFSET)
                server.sync()
            self.wfile.write(b"ok\n")
        server.close()


if __name__ == "__main__":
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hands) as listening:
        listening.daemon_threads = True
        sys.stdout.write(f"{listening.server_address[1]}\n")
        sys.stdout.flush()
        listening.serve_forever()
