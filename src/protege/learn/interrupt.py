"""Ctrl-C in training: the first ends it after the step in progress, with everything saved; the second at once."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Stopped(Exception):
    """Raised while something is scored, once somebody asked to stop; what was learned is saved, or will be."""


class Asked:
    """Whether somebody asked to stop the run: false, then true for good."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked

    def check(self) -> None:
        """Raise Stopped once somebody asked to stop. For long work that can be done again, such as scoring."""
        if self.asked:
            raise Stopped


@contextmanager
def ctrl_c(say: Callable[[str], None] = log.warning) -> Iterator[Asked]:
    """Yield the flag that the first Ctrl-C sets; the second one raises KeyboardInterrupt."""
    asked, owner = Asked(), os.getpid()

    def handle(*_: object) -> None:
        if os.getpid() != owner:  # a terminal's Ctrl-C also reaches forked workers, which end with their owner
            return
        if asked:
            raise KeyboardInterrupt
        asked.asked = True
        say("stopping after this step and saving; press Ctrl-C again to stop at once")

    try:
        before = signal.signal(signal.SIGINT, handle)
    except ValueError:  # only the main thread may set handlers; whoever runs us in another handles its own signals
        yield asked
        return
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
