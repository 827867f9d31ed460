"""Every polite way to end a program (Ctrl-C, a kill, a terminal that is closed) is a KeyboardInterrupt."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ENDING_SIGNALS: Final = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
"""SIGBREAK is Windows' Ctrl-Break."""

CLOSING_S: Final = 4.5
"""Windows ends a program 5 s after its console was closed."""
_BREAK: Final = 1
_CLOSED: Final = (2, 5, 6)
"""Console closed, user logs off, system shuts down."""


class _Held:
    """How deep the main thread is in `uninterrupted`, and whether a signal has come meanwhile."""

    depth = 0
    waiting = False


def _interrupt(*_: object) -> None:
    if _Held.depth:
        _Held.waiting = True
    else:
        raise KeyboardInterrupt


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A polite end that comes inside the block waits for the block's end.

    For what must not be left half-way: python-xlib, interrupted while it waits for an answer, waits for ever when it is
    asked for the next one, so that keys could not be let go of. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Held.depth += 1
    try:
        yield
    finally:
        _Held.depth -= 1
    if _Held.waiting and not _Held.depth:
        _Held.waiting = False
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside the block every polite end is a KeyboardInterrupt. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in ENDING_SIGNALS}
    try:
        with _closed_console():
            yield
    finally:
        _Held.waiting = False
        for number, handler in before.items():
            signal.signal(number, handler)


def hold_off() -> None:
    """To the end of `interruptible` nothing interrupts any more: closing takes a moment, and must not be cut short."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _closed_console() -> Iterator[None]:
    """Windows ends a program as soon as its handler for a closed console returns: ours waits for the block's end."""
    if sys.platform != "win32":
        yield
        return
    import _thread

    from protege.devices.win32 import CTRLPROC, kernel32

    ended = threading.Event()

    def handle(what: int) -> bool:
        if what != _BREAK and what not in _CLOSED:
            return False  # Python's own handler makes a KeyboardInterrupt of Ctrl-C
        # This runs in a thread of Windows', where raising would end nothing.
        _thread.interrupt_main(signal.SIGINT)
        if what in _CLOSED:
            ended.wait(CLOSING_S)
        return True

    # In a variable, since Windows calls it from a thread of its own for as long as it is set.
    procedure = CTRLPROC(handle)
    kernel32.SetConsoleCtrlHandler(procedure, True)
    try:
        yield
    finally:
        ended.set()
        kernel32.SetConsoleCtrlHandler(procedure, False)
