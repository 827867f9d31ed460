"""Releases every key when the program that pressed them is killed or stands still: the system keeps its keys down.

A small process of its own, in a session of its own and nobody's child. The program tells it many times a second which
keys it holds, and is answered. When it falls silent with keys held, they are released at once; when its end of the
pipe closes, for whatever reason, everything is released and the watchdog ends.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.core.devices import MonotonicClock
from protege.errors import ProtegeError

if TYPE_CHECKING:
    from protege.devices.hand import Hand
    from protege.devices.keyboard import RealKeys

READY: Final = b"ready"
MOUSE: Final = "--mouse"
SILENCE_S: Final = 0.12
"""A program that holds keys and says nothing for so long has its keys released: six beats of `guard.BEAT_NS`, and with
the release itself well within the 200 ms that are promised."""
ANSWER_S: Final = 0.15
"""A watchdog that does not answer for so long is not there."""
END_S: Final = 3.0
APART: Final = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
"""Windows: a console of its own that nobody sees, so that closing ours, Ctrl-C and Ctrl-Break do not reach it."""


class Watchdog:
    """A watchdog process for one action space; a context manager around the time in which keys are pressed.

    mouse: whether mouse buttons are pressed too, and must be released. Until the first `beat` only the program's end
    releases keys, from then on also its silence.
    """

    def __init__(self, space: ActionSpace, mouse: bool = False) -> None:
        self._space = space
        self._mouse = mouse
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self.pid = 0
        self._sent = self._answered = 0
        self._waiting_ns: int | None = None
        self._released = False

    def __enter__(self) -> Self:
        # A new interpreter and no fork: a fork would share our connection to the display, and locks that other threads
        # hold at that moment would stay locked in it.
        command = [sys.executable, "-m", "protege.devices.watchdog", *self._space.pressable]
        command += [MOUSE] if self._mouse else []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # what is sent to our terminal, group or session must not end it before us
            creationflags=APART,
        )
        assert self._process.stdout is not None
        # it says when it is ready; from here on a kill releases the keys
        ready, _, pid = self._process.stdout.readline().strip().partition(b" ")
        if ready != READY:
            self._close()
            raise ProtegeError("the watchdog that would release the keys cannot start; nothing was pressed")
        self.pid = int(pid)
        if sys.platform != "win32" and self.pid != self._process.pid:
            self._process.wait()  # it has left a child of its own behind, which is the watchdog
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        return self

    @property
    def alive(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    @property
    def answers(self) -> bool:
        """Whether what it was told was answered in time."""
        waiting_ns = self._waiting_ns
        return self.alive and (waiting_ns is None or time.perf_counter_ns() - waiting_ns < ANSWER_S * 1e9)

    def beat(self, held: Action) -> None:
        """Say that the acting thread is well and holds these keys, or is about to. From that thread, often."""
        assert self._process is not None
        assert self._process.stdin is not None
        if self._waiting_ns is None:
            self._waiting_ns = time.perf_counter_ns()
        elif not self.answers:
            return  # what nobody reads would fill the pipe, and then we would wait
        self._sent += 1
        with suppress(OSError):  # `alive` tells
            self._process.stdin.write(" ".join(sorted(held)).encode() + b"\n")
            self._process.stdin.flush()

    def released(self) -> bool:
        """Whether it has released keys since this was last asked, because nothing was heard from us."""
        released, self._released = self._released, False
        return released

    def _read(self, answers: IO[bytes]) -> None:
        while byte := answers.read(1):
            if byte == b"R":
                self._released = True
                continue
            self._answered += 1
            # Any answer shows that it lives. What is still open then has waited since now, not since it was sent.
            self._waiting_ns = None if self._answered >= self._sent else time.perf_counter_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            # The end of its input is what makes it release everything and end.
            self._process.stdin.close()
        if self._reader is not None:
            self._reader.join(END_S)
            if self._reader.is_alive():  # stopped by somebody, or its display does not answer
                with suppress(OSError):
                    os.kill(self.pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
                self._reader.join()
        self._process.wait()
        self._process.stdout.close()


def main(names: list[str]) -> None:
    """Release the named keys when the parent ends, or falls silent while it holds some."""
    from protege.devices.errors import DisplayGone
    from protege.devices.hand import Hand, has_mouse
    from protege.devices.keyboard import RealKeys

    _leave_the_family()
    space = ActionSpace("WATCHED", (*(name for name in names if name != MOUSE), "none"))
    keys = Hand(space, MonotonicClock(), 1) if has_mouse(space) else RealKeys(space)
    told: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    with suppress(DisplayGone):  # with the display its keys are gone
        # Said only when it could release: until then the program presses nothing.
        _say(READY + f" {os.getpid()}\n".encode())
        _watch(told, keys)
        keys.release_all()
        if MOUSE in names:
            from protege.devices.pointer import open_pointer

            open_pointer().release_all()
        keys.close()


def _leave_the_family() -> None:
    """Be found by nobody who ends the parent with all that belongs to it; only the pipe's end ends us."""
    if sys.platform != "win32":
        # Whoever ends a program with all of its children finds them by their parent: an orphan is in nobody's list.
        # `_exit`, since what the interpreter does at its end must happen once, in the child.
        if os.fork():
            os._exit(0)
        # The terminal's signals do not reach its session, but a service manager or a container sends SIGTERM to all.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    from protege.devices.turns import short_turns

    short_turns()


def _listen(told: "queue.Queue[bytes]") -> None:
    # In a thread of its own, because on Windows no pipe can be read with a timeout.
    for line in sys.stdin.buffer:
        told.put(line)
    told.put(b"")


def _watch(told: "queue.Queue[bytes]", keys: "RealKeys | Hand") -> None:
    """Until the pipe ends."""
    held: Action = NO_KEYS
    while True:
        try:
            # Silence is dangerous only while keys are held; a program that holds none may think for as long as it
            # likes.
            line = told.get(timeout=SILENCE_S if held else None)
        except queue.Empty:
            # Those alone: a release of ours would also let go of a key that the person holds.
            keys.release(held)
            held = NO_KEYS
            _say(b"R")
            continue
        if not line:
            return
        held = frozenset(line.decode().split())
        _say(b".")


def _say(answer: bytes) -> None:
    with suppress(OSError):  # the parent has just gone; the other pipe tells
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
