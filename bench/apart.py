"""Functions in processes of their own on one core: libraries then use one thread each, and CPU time means work."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from protege.errors import ProtegeError

Turn = Callable[[], dict[str, float]]

_BEGIN: Final = """
import os, sys, json
os.sched_setaffinity(0, {{sorted(os.sched_getaffinity(0))[-1]}})
from {0.__module__} import {0.__name__} as function
found = function(*map(json.loads, sys.argv[1:]))
"""
_ONCE: Final = _BEGIN + "print(json.dumps(found))"
_BY_TURNS: Final = _BEGIN + "for _ in sys.stdin: print(json.dumps(found()), flush=True)"


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a module's function in a process of its own; arguments and result pass as JSON."""
    with _started(_ONCE, function, arguments) as process:
        return process.answer()


def by_turns(functions: Sequence[tuple[Callable[..., Turn], tuple[Any, ...]]], turns: int) -> dict[str, list[float]]:
    """Each function, called with its arguments in a process of its own, makes a turn; the turns are then taken one
    after the other, again and again. Returns all their numbers by name, one a turn.
    """
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(_BY_TURNS, made, given)) for made, given in functions]
        for _ in range(turns):
            for process in processes:
                for name, value in process.answer("go").items():
                    found.setdefault(name, []).append(value)
    return found


@dataclass
class _Process:
    """A running function, and the file of what it says on stderr."""

    running: "subprocess.Popen[str]"
    errors: IO[str]

    def answer(self, asked: str = "") -> Any:
        """What it prints next, or when it is asked; ProtegeError if it ended without an answer."""
        talk, listen = self.running.stdin, self.running.stdout
        assert talk is not None
        assert listen is not None
        with suppress(BrokenPipeError):  # it has ended: its last words say why
            print(asked, file=talk, flush=True)
        line = listen.readline()
        if not line:
            self.running.wait()
            self.errors.seek(0)
            raise ProtegeError(f"the benchmark's process failed: {self.errors.read().strip().splitlines()[-1:]}")
        return json.loads(line)


@contextmanager
def _started(code: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Iterator[_Process]:
    command = [sys.executable, "-c", code.format(function), *map(json.dumps, arguments)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile("w+") as errors:
        running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=environment)
        try:
            yield _Process(running, errors)
        finally:
            running.kill()
            running.communicate()
