"""What the live benchmarks and the demo stand on: an X server, the arena's window, a scripted player and a recorder,
each a process of its own.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protege.arena.leash import leashed
from protege.arena.window import FOUND_AS
from protege.errors import MissingExtra, ProtegeError, UserError

TITLE: Final = FOUND_AS
SEED: Final = 5_000
"""The first of the layouts that are neither in the base model nor in an evaluation."""
LONGEST_S: Final = 900.0
"""After this long the scripted player lets go of the keyboard, whatever its caller does."""
SINGLE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@contextmanager
def own_display(size: tuple[int, int] = (1400, 900)) -> Iterator[str]:
    """An X server without a screen, named in DISPLAY meanwhile; yields its name."""
    try:
        from pyvirtualdisplay.abstractdisplay import XStartError
        from pyvirtualdisplay.display import Display
    except ImportError:
        raise MissingExtra("pyvirtualdisplay", "demo") from None
    before = os.environ.get("DISPLAY")
    try:
        # -noreset: without it the server forgets its keys and settings when its last client leaves
        display = Display(backend="xvfb", size=size, color_depth=24, extra_args=["-noreset"])
        display.start()
    except (FileNotFoundError, XStartError) as error:
        raise UserError(f"no screen, and Xvfb cannot be started ({error}); install the package xvfb") from None
    try:
        yield os.environ["DISPLAY"]
    finally:
        display.stop()
        if before is not None:
            os.environ["DISPLAY"] = before


@contextmanager
def any_display() -> Iterator[str]:
    """The real screen if there is one, else an X server without."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        yield os.environ.get("DISPLAY", "the screen")
        return
    with own_display() as name:
        yield name


@contextmanager
def process(*command: str, stderr: int | None = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A Python module in a process of its own, ended at the latest when the block is left or when we are killed."""
    # Not stdin=PIPE: communicate() would close that at once, and its end is what ends the process.
    read_end, write_end = os.pipe()
    child = subprocess.Popen(
        leashed(*command),
        stdin=read_end,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **SINGLE_THREAD},
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows: for `stop`
    )
    os.close(read_end)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        os.close(write_end)


@contextmanager
def arena_player(
    folder: Path, seed: int, size: tuple[int, int] = (640, 480), seconds: float = LONGEST_S
) -> Iterator[subprocess.Popen[str]]:
    """The arena's window, played by the scripted player with real keys for `seconds` at most; its log and presses lie
    in `folder`.
    """
    width, height = size
    command = ["--seed", str(seed), "--size", f"{width}x{height}", "--seconds", f"{seconds:g}", "--out", str(folder)]
    with process("protege.arena.player", *command) as player:
        wait_for(lambda: (folder / "log.jsonl").exists() and '"tic"' in _tail(folder / "log.jsonl"), player)
        yield player


def recorder(out: Path, name: str, *options: str) -> list[str]:
    """The recorder's command line, for `process`."""
    return ["protege.cli", "record", "--window", TITLE, "--start-now", "--out", str(out), "--name", name, *options]


def stop(child: "subprocess.Popen[str]") -> str:
    """End a process as Ctrl-C does; returns what it printed."""
    if child.poll() is None:
        # Windows knows no SIGINT for another process; CTRL_BREAK reaches its group (untested there).
        child.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
    return finished(child, 30)


def finished(child: "subprocess.Popen[str]", seconds: float) -> str:
    """Wait for a process to end by itself; returns what it printed. ProtegeError with its last words if it failed."""
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ProtegeError(f"{child.args}: did not end within {seconds:g} s") from None
    if child.returncode:
        raise ProtegeError(f"{child.args}: {((err or out).strip().splitlines() or ['no message'])[-1]}")
    return out


def wait_for(condition: Callable[[], bool], child: "subprocess.Popen[str]", seconds: float = 30.0) -> None:
    """Wait for something a process does; ProtegeError if it ends first or takes too long."""
    end = time.perf_counter() + seconds
    while not condition():
        if child.poll() is not None or time.perf_counter() > end:
            child.kill()
            _, err = child.communicate()
            raise ProtegeError(f"a part did not start: {(err or 'no message').strip().splitlines()[-1]}")
        time.sleep(0.05)


def _tail(path: Path, size: int = 2000) -> str:
    data = path.read_bytes()
    return data[-size:].decode("utf-8", "replace")
