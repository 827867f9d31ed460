"""Lines that say what goes on and how long it will still take."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

Say = Callable[[str], None]

EVERY_S: Final = 5.0
"""At most one line in so long."""


@dataclass
class Progress:
    """Counts up to `total` things and says, now and then, how many are left and for how long."""

    what: str
    total: int
    say: Say
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    _began: float = field(init=False)
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()

    def step(self, count: int = 1) -> None:
        self.done += count
        now = self.clock()
        if self.done < self.total and now - self._said >= EVERY_S:
            self._said = now
            left = (now - self._began) / self.done * (self.total - self.done)
            self.say(f"{self.what}: {self.done} of {self.total}, {spoken(left)} left")


def spoken(seconds: float) -> str:
    """A duration as people say it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@contextmanager
def lines_of(logger: str, say: Say) -> Iterator[None]:
    """Within, what a logger tells goes to `say` and nowhere else."""
    log = logging.getLogger(logger)
    before = (log.level, log.propagate)
    handler = _Lines(say)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before


class _Lines(logging.Handler):
    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())
