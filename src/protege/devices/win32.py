"""Windows' own functions with their types (without them ctypes cuts 64-bit handles to 32), and DPI awareness.

Importable everywhere; the libraries are None on other systems.
"""

import ctypes
import sys
from ctypes import POINTER, Structure, Union, c_int, c_long, c_size_t, c_uint, c_void_p, wintypes
from typing import Any, Final

LRESULT: Final = ctypes.c_ssize_t
ULONG_PTR: Final = c_size_t


class KeyInput(Structure):
    """KEYBDINPUT."""

    _fields_ = (
        ("vk", wintypes.WORD),
        ("scan", wintypes.WORD),
        ("flags", wintypes.DWORD),
        ("time", wintypes.DWORD),
        ("extra", ULONG_PTR),
    )


class MouseInput(Structure):
    """MOUSEINPUT."""

    _fields_ = (
        ("x", c_long),
        ("y", c_long),
        ("data", wintypes.DWORD),
        ("flags", wintypes.DWORD),
        ("time", wintypes.DWORD),
        ("extra", ULONG_PTR),
    )


class _Inputs(Union):
    _fields_ = (("key", KeyInput), ("mouse", MouseInput))


class Input(Structure):
    """INPUT."""

    _fields_ = (("type", wintypes.DWORD), ("u", _Inputs))


class KeyHeard(Structure):
    """KBDLLHOOKSTRUCT, what a low-level keyboard hook is given."""

    _fields_ = (
        ("vk", wintypes.DWORD),
        ("scan", wintypes.DWORD),
        ("flags", wintypes.DWORD),
        ("time", wintypes.DWORD),
        ("extra", ULONG_PTR),
    )


def library(name: str) -> Any:
    """A system library; None elsewhere."""
    return ctypes.WinDLL(name, use_last_error=True) if sys.platform == "win32" else None


def _callback(*types: type) -> Any:
    return ctypes.WINFUNCTYPE(*types) if sys.platform == "win32" else c_void_p


user32 = library("user32")
kernel32 = library("kernel32")
dwmapi = library("dwmapi")
HOOKPROC = _callback(LRESULT, c_int, wintypes.WPARAM, wintypes.LPARAM)
WNDPROC = _callback(LRESULT, wintypes.HWND, c_uint, wintypes.WPARAM, wintypes.LPARAM)
WNDENUMPROC = _callback(wintypes.BOOL, wintypes.HWND, wintypes.LPARAM)
CTRLPROC = _callback(wintypes.BOOL, wintypes.DWORD)


class WindowClass(Structure):
    """WNDCLASSW."""

    _fields_ = (
        ("style", c_uint),
        ("procedure", WNDPROC),
        ("class_extra", c_int),
        ("window_extra", c_int),
        ("instance", c_void_p),
        ("icon", c_void_p),
        ("cursor", c_void_p),
        ("background", c_void_p),
        ("menu", wintypes.LPCWSTR),
        ("name", wintypes.LPCWSTR),
    )


class RawDevice(Structure):
    """RAWINPUTDEVICE."""

    _fields_ = (
        ("page", wintypes.USHORT),
        ("usage", wintypes.USHORT),
        ("flags", wintypes.DWORD),
        ("window", wintypes.HWND),
    )


class RawHeader(Structure):
    """RAWINPUTHEADER."""

    _fields_ = (
        ("type", wintypes.DWORD),
        ("size", wintypes.DWORD),
        ("device", wintypes.HANDLE),
        ("wparam", wintypes.WPARAM),
    )


class _RawButtons(Structure):
    _fields_ = (("buttons", wintypes.USHORT), ("data", wintypes.USHORT))


class RawMouse(Structure):
    """RAWINPUT of a mouse: the header and RAWMOUSE."""

    _anonymous_ = ("pressed",)
    _fields_ = (
        ("header", RawHeader),
        ("flags", wintypes.USHORT),
        ("_aligned", wintypes.USHORT),
        ("pressed", _RawButtons),
        ("raw_buttons", wintypes.ULONG),
        ("x", c_long),
        ("y", c_long),
        ("extra", wintypes.ULONG),
    )


class MouseHeard(Structure):
    """MSLLHOOKSTRUCT, what a low-level mouse hook is given."""

    _fields_ = (
        ("x", c_long),
        ("y", c_long),
        ("data", wintypes.DWORD),
        ("flags", wintypes.DWORD),
        ("time", wintypes.DWORD),
        ("extra", ULONG_PTR),
    )


_HWND: Final = wintypes.HWND
_DWORD: Final = wintypes.DWORD
_TEXT: Final = wintypes.LPCWSTR
_FUNCTIONS: Final[tuple[tuple[object, str, object, tuple[object, ...]], ...]] = (
    (user32, "SendInput", c_uint, (c_uint, POINTER(Input), c_int)),
    (user32, "SetWindowsHookExW", c_void_p, (c_int, HOOKPROC, c_void_p, _DWORD)),
    (user32, "UnhookWindowsHookEx", wintypes.BOOL, (c_void_p,)),
    (user32, "CallNextHookEx", LRESULT, (c_void_p, c_int, wintypes.WPARAM, wintypes.LPARAM)),
    (user32, "PeekMessageW", wintypes.BOOL, (POINTER(wintypes.MSG), _HWND, c_uint, c_uint, c_uint)),
    (
        user32,
        "MsgWaitForMultipleObjects",
        _DWORD,
        (_DWORD, c_void_p, wintypes.BOOL, *[_DWORD] * 2),
    ),
    (user32, "PostThreadMessageW", wintypes.BOOL, (_DWORD, c_uint, wintypes.WPARAM, wintypes.LPARAM)),
    (user32, "GetAsyncKeyState", ctypes.c_short, (c_int,)),
    (user32, "GetCursorPos", wintypes.BOOL, (POINTER(wintypes.POINT),)),
    (user32, "MapVirtualKeyExW", c_uint, (c_uint, c_uint, c_void_p)),
    (user32, "GetKeyboardLayout", c_void_p, (_DWORD,)),
    (user32, "EnumWindows", wintypes.BOOL, (WNDENUMPROC, wintypes.LPARAM)),
    (user32, "IsWindow", wintypes.BOOL, (_HWND,)),
    (user32, "IsWindowVisible", wintypes.BOOL, (_HWND,)),
    (user32, "IsIconic", wintypes.BOOL, (_HWND,)),
    (user32, "GetWindowTextLengthW", c_int, (_HWND,)),
    (user32, "GetWindowTextW", c_int, (_HWND, wintypes.LPWSTR, c_int)),
    (user32, "GetWindowThreadProcessId", _DWORD, (_HWND, POINTER(_DWORD))),
    (user32, "GetClientRect", wintypes.BOOL, (_HWND, POINTER(wintypes.RECT))),
    (user32, "ClientToScreen", wintypes.BOOL, (_HWND, POINTER(wintypes.POINT))),
    (user32, "GetForegroundWindow", _HWND, ()),
    (user32, "SetForegroundWindow", wintypes.BOOL, (_HWND,)),
    (user32, "RegisterClassW", wintypes.ATOM, (POINTER(WindowClass),)),
    (user32, "UnregisterClassW", wintypes.BOOL, (_TEXT, c_void_p)),
    (
        user32,
        "CreateWindowExW",
        _HWND,
        (_DWORD, *[_TEXT] * 2, _DWORD, *[c_int] * 4, *[c_void_p] * 4),
    ),
    (user32, "DestroyWindow", wintypes.BOOL, (_HWND,)),
    (user32, "DefWindowProcW", LRESULT, (_HWND, c_uint, wintypes.WPARAM, wintypes.LPARAM)),
    (user32, "DispatchMessageW", LRESULT, (POINTER(wintypes.MSG),)),
    (user32, "RegisterRawInputDevices", wintypes.BOOL, (POINTER(RawDevice), c_uint, c_uint)),
    (user32, "GetRawInputData", c_uint, (c_void_p, c_uint, c_void_p, POINTER(c_uint), c_uint)),
    (user32, "GetSystemMetrics", c_int, (c_int,)),
    (user32, "GetShellWindow", _HWND, ()),
    (user32, "GetAncestor", _HWND, (_HWND, c_uint)),
    (user32, "OpenInputDesktop", c_void_p, (_DWORD, wintypes.BOOL, _DWORD)),
    (user32, "CloseDesktop", wintypes.BOOL, (c_void_p,)),
    (user32, "GetThreadDesktop", c_void_p, (_DWORD,)),
    (user32, "GetUserObjectInformationW", wintypes.BOOL, (c_void_p, c_int, c_void_p, _DWORD, c_void_p)),
    (kernel32, "GetCurrentThreadId", _DWORD, ()),
    (kernel32, "GetConsoleWindow", _HWND, ()),
    (kernel32, "GetModuleHandleW", c_void_p, (_TEXT,)),
    (kernel32, "SetConsoleCtrlHandler", wintypes.BOOL, (CTRLPROC, wintypes.BOOL)),
    (dwmapi, "DwmGetWindowAttribute", c_long, (_HWND, _DWORD, c_void_p, _DWORD)),
)

if sys.platform == "win32":
    for _dll, _name, _result, _arguments in _FUNCTIONS:
        _function = getattr(_dll, _name)
        _function.restype, _function.argtypes = _result, _arguments


def be_dpi_aware() -> None:
    """Count in real pixels, on every monitor. Windows tells a program that does not ask for this made-up sizes, until
    some library asks, so that windows and screen would not fit. Once a process, before anything is measured.
    """
    if sys.platform == "win32":
        per_monitor_v2 = c_void_p(-4)
        try:
            user32.SetProcessDpiAwarenessContext.argtypes = (c_void_p,)
            user32.SetProcessDpiAwarenessContext(per_monitor_v2)  # refused if it is set already, which is as good
        except AttributeError:  # before Windows 10 1703
            user32.SetProcessDPIAware()
