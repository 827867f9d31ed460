"""A window of our own that logs what a game would get: run as a program, `game.py TITLE LOG [LEFT TOP WIDTH HEIGHT]`.

A JSON line for each key message, {"vk", "scan", "extended", "down", "repeat", "t_ns"}, and for {"focus": true} changes.
The picture changes ten times a second. It ends when its window is closed.
"""

import ctypes
import json
import sys
import time
from ctypes import POINTER, WINFUNCTYPE, Structure, byref, c_int, c_ssize_t, c_uint, c_void_p, wintypes
from pathlib import Path

user32 = ctypes.WinDLL("user32")
gdi32 = ctypes.WinDLL("gdi32")
WNDPROC = WINFUNCTYPE(c_ssize_t, wintypes.HWND, c_uint, wintypes.WPARAM, wintypes.LPARAM)
DESTROY, SETFOCUS, KILLFOCUS, TIMER, PAINT = 0x02, 0x07, 0x08, 0x113, 0x0F
KEYS = {0x100: True, 0x104: True, 0x101: False, 0x105: False}
VISIBLE_OVERLAPPED = 0x10CF0000


class WindowClass(Structure):
    _fields_ = (
        *(("style", c_uint), ("procedure", WNDPROC), ("class_extra", c_int), ("window_extra", c_int)),
        *(("instance", c_void_p), ("icon", c_void_p), ("cursor", c_void_p), ("background", c_void_p)),
        *(("menu", wintypes.LPCWSTR), ("name", wintypes.LPCWSTR)),
    )


user32.DefWindowProcW.argtypes = (wintypes.HWND, c_uint, wintypes.WPARAM, wintypes.LPARAM)
user32.DefWindowProcW.restype = c_ssize_t
user32.CreateWindowExW.restype = wintypes.HWND
user32.CreateWindowExW.argtypes = (
    *(wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD, c_int, c_int, c_int, c_int),
    *(wintypes.HWND, c_void_p, c_void_p, c_void_p),
)
user32.SetTimer.argtypes = (wintypes.HWND, c_void_p, c_uint, c_void_p)
user32.InvalidateRect.argtypes = (wintypes.HWND, c_void_p, wintypes.BOOL)
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
        user32.SetForegroundWindow(wintypes.HWND(self.window))

    def write(self, **line):
        self.log.write(json.dumps(line) + "\n")

    def handle(self, window, message, w, l):  # noqa: E741
        t_ns = time.perf_counter_ns()
        if message in KEYS:
            down = KEYS[message]
            repeat = down and bool(l >> 30 & 1)
            self.write(vk=w, scan=l >> 16 & 0xFF, extended=bool(l >> 24 & 1), down=down, repeat=repeat, t_ns=t_ns)
            return 0
        if message in (SETFOCUS, KILLFOCUS):
            self.write(focus=message == SETFOCUS)
        elif message == TIMER:
            self.paint(window)
        elif message == DESTROY:
            self.log.close()
            user32.PostQuitMessage(0)
        return user32.DefWindowProcW(window, message, w, l)

    def paint(self, window):
        self.ticks += 1
        context = user32.GetDC(window)
        for number in range(8):
            brush = gdi32.CreateSolidBrush((self.ticks * 20 + number * 30) % 256 + 256 * (number * 31) + 0x600000)
            user32.FillRect(context, byref(wintypes.RECT(40 * number, 0, 40 * number + 40, 240)), c_void_p(brush))
            gdi32.DeleteObject(brush)
        user32.ReleaseDC(window, context)

    def run(self):
        message = wintypes.MSG()
        while user32.GetMessageW(byref(message), None, 0, 0) > 0:
            user32.DispatchMessageW(byref(message))


if __name__ == "__main__":
    Game(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])).run()
