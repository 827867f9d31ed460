"""A line of a terminal that is written over while something goes on, and one that says that it still does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

SILENT_S: Final = 10.0
"""Nothing that takes longer is silent for longer."""


class StatusLine:
    """live: whether `out` is a terminal; anywhere else every text is a line of its own."""

    def __init__(self, out: TextIO) -> None:
        self.live = out.isatty()
        self._out = out
        self._width = 0

    def show(self, text: str) -> None:
        """Put `text` in the line's place."""
        # Filled up with blanks, or the end of a longer text before it would stay.
        self._out.write("\r" + text.ljust(self._width) if self.live else text + "\n")
        self._width = len(text) if self.live else 0
        self._out.flush()

    def say(self, text: str) -> None:
        """A line that stays, above the one that is written over."""
        self._out.write(("\r" + " " * self._width + "\r" if self._width else "") + text + "\n")
        self._width = 0
        self._out.flush()

    def close(self) -> None:
        """What is printed next begins on a line of its own."""
        if self._width:
            self._out.write("\n")
            self._out.flush()
            self._width = 0


@contextmanager
def heartbeat(out: TextIO, *others: TextIO, silent_s: float = SILENT_S) -> Iterator[None]:
    """Within, whenever nothing was written to any of the streams for so long, a line in `out` says for how long the
    work goes on. What progress lines cannot know (a model is loading, a file is being read) is not silent then either.
    """
    began = latest = time.perf_counter()
    over = threading.Event()

    def noted(write: Callable[[str], int]) -> Callable[[str], int]:
        def noting(text: str) -> int:
            nonlocal latest
            latest = time.perf_counter()
            return write(text)

        return noting

    def beat() -> None:
        while not over.wait(max(0.01, latest + silent_s - time.perf_counter())):
            if time.perf_counter() - latest >= silent_s:
                print(f"still at work, after {time.perf_counter() - began:.0f} s", file=out, flush=True)

    streams = {id(stream): stream for stream in (out, *others)}.values()
    for stream in streams:
        vars(stream)["write"] = noted(stream.write)
    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for stream in streams:
            vars(stream).pop("write", None)
