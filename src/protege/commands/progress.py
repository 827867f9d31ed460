"""A progress bar on stderr that appears with the first progress: a mistake is one line, and nothing before it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


EVERY_S: Final = 10.0
"""Between the lines that stand for the bar where nobody watches a terminal."""


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function that is told how much is done, and of how much."""
    with ExitStack() as stack:
        shown: ProgressBar[int] | None = None
        lines = Lines(label, lambda text: click.echo(text, err=True))

        def progress(done: int, total: int) -> None:
            nonlocal shown
            if not sys.stderr.isatty():
                lines(done, total)
                return
            if shown is None:
                shown = stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr))
            shown.update(done - shown.pos)

        yield progress


@dataclass
class Lines:
    """Says how much is done and how long the rest will take, at most every ten seconds and not before."""

    label: str
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _said: float = field(init=False)
    _first: int | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """What is told next is of new work."""
        self._began = self._said = self.clock()
        self._first = None

    def __call__(self, done: int, total: int) -> None:
        now = self.clock()
        if self._first is None:
            self._first, self._began, self._said = done, now, now
        if now - self._said < EVERY_S or done >= total:
            return
        self._said = now
        new = done - self._first
        left = f", about {_spoken((now - self._began) / new * (total - done))} left" if new > 0 else ""
        self.say(f"{self.label}: {done:,} of {total:,}{left}")


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
