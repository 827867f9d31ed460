"""Releases every key when the program that pressed them is killed: an X server keeps a dead program's keys down.

A small process of its own: it waits for the end of a pipe that only its parent holds open. When the parent exits, for
whatever reason, the pipe ends, and the watchdog releases the keys of the action space and ends too.
"""

import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from protege.core.actions import ActionSpace
from protege.errors import ProtegeError

READY: Final = b"ready"
MOUSE: Final = "--mouse"


class Watchdog:
    """A watchdog process for one action space; a context manager around the time in which keys are pressed.

    mouse: whether mouse buttons are pressed too, and must be released.
    """

    def __init__(self, space: ActionSpace, mouse: bool = False) -> None:
        self._space = space
        self._mouse = mouse
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "protege.devices.watchdog", *self._space.pressable]
        command += [MOUSE] if self._mouse else []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal must not end it before us
        )
        assert self._process.stdout is not None
        # it says when it is ready; from here on a kill releases the keys
        if self._process.stdout.readline().strip() != READY:
            self.__exit__(None, None, None)
            raise ProtegeError("the watchdog that would release the keys cannot start; nothing was pressed")
        return self

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def main(names: list[str]) -> None:
    """Wait for the parent's end, then release the named keys."""
    from protege.devices.keyboard import RealKeys

    keys = RealKeys(ActionSpace("WATCHED", (*(name for name in names if name != MOUSE), "none")))
    sys.stdout.write(READY.decode() + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    keys.release_all()
    if MOUSE in names:
        from protege.devices.pointer import open_pointer

        open_pointer().release_all()


if __name__ == "__main__":
    main(sys.argv[1:])
