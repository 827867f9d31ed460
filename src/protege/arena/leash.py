"""Ends what we started when we are killed: a process holds a pipe that only its parent can close, and ends with it.

python -m protege.arena.leash MODULE ARGUMENTS runs a module so: the end of its stdin ends it as SIGTERM does.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

# The engine knows nothing of pipes; a shell waits for ours. It removes the engine's files, too.
_WAIT_AND_KILL: Final = 'read -r _; kill -9 "$0"; rm -rf "$1"'


def leashed(*command: str) -> list[str]:
    """The command line of a Python module that ends when its stdin does."""
    return [sys.executable, "-m", "protege.arena.leash", *command]


class EngineLeash:
    """Kills an engine's process when this one dies, however it dies. Linux only: elsewhere it does nothing."""

    def __init__(self, folder: Path) -> None:
        """folder: the engine's own, named in its command line and in no other; removed with it."""
        self.pid = _process_naming(folder)
        self._shell: subprocess.Popen[bytes] | None = None
        if self.pid is not None:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _WAIT_AND_KILL, str(self.pid), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal must not end it before us
            )

    def let_go(self) -> None:
        """The engine has ended by itself; the shell goes first, since the number may be another process's by now."""
        if self._shell is not None:
            assert self._shell.stdin is not None
            self._shell.kill()
            self._shell.wait()
            self._shell.stdin.close()
            self._shell = None


def _process_naming(folder: Path) -> int | None:
    """The process that has a folder in its command line."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                return int(entry.name)
    return None


def _end_with_stdin() -> None:
    with suppress(OSError):
        while os.read(0, 4096):  # not through sys.stdin: its lock would be held at the interpreter's end
            pass
    signal.raise_signal(signal.SIGTERM)


def main(arguments: list[str]) -> None:
    """Run a module with its arguments as `python -m` would."""
    if sys.platform == "win32":  # untested: what bench.stage sends there instead of SIGINT
        signal.signal(signal.SIGBREAK, signal.default_int_handler)
    threading.Thread(target=_end_with_stdin, name="leash", daemon=True).start()
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
