"""Long work that the studio starts: one command at a time, each in a process of its own that outlives the studio."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Final

from protege.core.text import printable
from protege.errors import UserError

TAIL: Final = 4000
"""Bytes of what a command printed that are looked at."""


@dataclass(frozen=True)
class Progress:
    """Of the latest work. command: as one would type it; line: the last that it printed; code: None while it runs."""

    command: str
    line: str
    seconds: float
    code: int | None

    @property
    def words(self) -> str:
        if self.code is None:
            return f"running for {self.seconds:.0f} s"
        return "done" if self.code == 0 else f"stopped with exit code {self.code}"


@dataclass
class Work:
    """Starts commands in the project's folder `root`, and tells how far the latest is."""

    root: Path
    _process: subprocess.Popen[bytes] | None = None
    _said: IO[bytes] | None = None
    _name: str = ""
    _since: float = 0.0
    _until: float = 0.0
    _waiting: list[Sequence[str]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def start(self, commands: Sequence[Sequence[str]]) -> None:
        """Begin the first command, given by its words without "protege"; each of the others follows one that ends well.

        UserError while other work is not done.
        """
        with self._lock:
            if self._process is not None and (self._process.poll() is None or self._waiting):
                raise UserError(f"protege {self._name} is still running; wait for it, or stop it")
            self._waiting = list(commands[1:])
            self._begin(commands[0])
        if len(commands) > 1:
            Thread(target=self._follow, name="work", daemon=True).start()

    def _begin(self, words: Sequence[str]) -> None:
        if self._said is not None:
            self._said.close()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the work)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "protege.cli", *words],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._name, self._since, self._until = shlex.join(words), time.monotonic(), 0.0

    def _follow(self) -> None:
        """Begin what waits, one after the other, until one does not end well."""
        while self._process is not None:
            code = self._process.wait()
            with self._lock:
                if code or not self._waiting:
                    self._waiting = []
                    return
                self._begin(self._waiting.pop(0))

    def stop(self) -> None:
        """As Ctrl-C does; what it has finished is kept."""
        with self._lock:
            self._waiting = []
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()

    def progress(self) -> Progress | None:
        """None where nothing was started yet."""
        with self._lock:
            if self._process is None or self._said is None:
                return None
            code = self._process.poll()
            if code is not None and not self._until:
                self._until = time.monotonic()
            seconds = (self._until or time.monotonic()) - self._since
            if code == 0 and self._waiting:
                code = None
            return Progress(f"protege {self._name}", _last_line(self._said), seconds, code)


def _last_line(said: IO[bytes]) -> str:
    """The last line that is not empty; a bar that is written over counts as it stands now."""
    size = os.fstat(said.fileno()).st_size
    # Read at a place: the process writes through the same open file, whose position must stay its own.
    data = os.pread(said.fileno(), TAIL, max(0, size - TAIL)) if hasattr(os, "pread") else b""
    lines = [line.strip() for line in data.decode(errors="replace").replace("\r", "\n").splitlines()]
    kept = [line for line in lines if line and not line.startswith("next: ")]
    return printable(kept[-1], 300) if kept else ""
