"""Progress of long work: one callback type for all learners."""

import logging
import time
from collections.abc import Callable
from typing import Final

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


Steps = Callable[[int, int], None]
"""The same for one piece of work, without its name: `partial(progress, "thresholds")`."""


def silent(*_: object) -> None:
    """No-op progress callback."""


EVERY_S: Final = 5.0


class LoggedProgress:
    """Logs long work, one line every five seconds at most; nothing about work that is shorter."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._what, self._told_at = "", 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._told_at = what, now
        elif now - self._told_at >= EVERY_S:
            self._told_at = now
            self._log.info("scoring: %s, %d of %d", what, done, of)
