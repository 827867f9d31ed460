"""A window of our own that logs what a game would get: run as a program, `game.py TITLE LOG [LEFT TOP WIDTH HEIGHT]`.

A JSON line for each key message, {"vk", "scan", "extended", "down", "repeat", "t_ns"}, and for {"focus": true} changes.
The picture changes ten times a second. It ends when its window is closed.
"""

import json
import sys
import time
from ctypes import POINTER, byref, c_uint, c_void_p, wintypes
from pathlib import Path

from protege.devices.win32 import WNDPROC, WindowClass, library, user32

gdi32 = library("gdi32")
DESTROY, SETFOCUS, KILLFOCUS, TIMER = 0x02, 0x07, 0x08, 0x113
KEYS = {0x100: True, 0x104: True, 0x101: False, 0x105: False}
VISIBLE_OVERLAPPED = 0x10CF0000

user32.SetTimer.argtypes = (wintypes.HWND, c_void_p, c_uint, c_void_p)
user32.GetDC.argtypes, user32.GetDC.restype = (wintypes.HWND,), c_void_p
user32.ReleaseDC.argtypes = (wintypes.HWND, c_void_p)
user32.FillRect.argtypes = (c_void_p, POINTER(wintypes.RECT), c_void_p)
gdi32.CreateSolidBrush.restype = c_void_p
gdi32.DeleteObject.argtypes = (c_void_p,)


class Game:
    """One window and its log."""

    def __init__(self, title, log, left=100, top=80, width=336, height=279):
        self.log = log.open("a", encoding="utf-8", buffering=1)
        self.ticks = 0
        self.kept = WindowClass(procedure=WNDPROC(self.handle), name="ProtegeGame")
        user32.RegisterClassW(byref(self.kept))
        place = (left, top, width, height)
        self.window = user32.CreateWindowExW(
            0, "ProtegeGame", title, VISIBLE_OVERLAPPED, *place, None, None, None, None
        )
        user32.SetTimer(self.window, 1, 100, None)
        user32.SetForegroundWindow(self.window)
        self.write(ready=True)

    def write(self, **line):
        self.log.write(json.dumps(line) + "\n")

    def handle(self, window, message, first, second):
        t_ns = time.perf_counter_ns()
        if message in KEYS:
            down = KEYS[message]
            repeat = down and bool(second >> 30 & 1)
            scan, extended = second >> 16 & 0xFF, bool(second >> 24 & 1)
            self.write(vk=first, scan=scan, extended=extended, down=down, repeat=repeat, t_ns=t_ns)
            return 0
        if message in (SETFOCUS, KILLFOCUS):
            self.write(focus=message == SETFOCUS)
        elif message == TIMER:
            self.paint(window)
        elif message == DESTROY:
            self.log.close()
            user32.PostQuitMessage(0)
        return user32.DefWindowProcW(window, message, first, second)

    def paint(self, window):
        self.ticks += 1
        context = user32.GetDC(window)
        for number in range(8):
            brush = gdi32.CreateSolidBrush((self.ticks * 20 + number * 30) % 256 + 256 * (number * 31) + 0x600000)
            user32.FillRect(context, byref(wintypes.RECT(40 * number, 0, 40 * number + 40, 240)), brush)
            gdi32.DeleteObject(brush)
        user32.ReleaseDC(window, context)

    def run(self):
        message = wintypes.MSG()
        while user32.GetMessageW(byref(message), None, 0, 0) > 0:
            user32.DispatchMessageW(byref(message))


if __name__ == "__main__":
    Game(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])).run()
