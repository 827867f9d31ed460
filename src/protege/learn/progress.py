"""How far long work is: one form for all learners."""

import logging
import time
from collections.abc import Callable
from typing import Final

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

EVERY_S: Final = 5.0


class LoggedProgress:
    """Writes a line when a piece of work lasts, at most one every five seconds; nothing of what is done at once."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._what, self._told_at = "", 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = self._clock()
        if what != self._what:
            self._what, self._told_at = what, now
        elif now - self._told_at >= EVERY_S:
            self._told_at = now
            self._log.info("scoring: %s, %d of %d", what, done, of)
