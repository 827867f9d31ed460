"""A progress bar on stderr that appears with the first progress: a mistake is one line, and nothing before it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function that is told how much is done, and of how much."""
    with ExitStack() as stack:
        shown: ProgressBar[int] | None = None

        def progress(done: int, total: int) -> None:
            nonlocal shown
            if shown is None:
                shown = stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr))
            shown.update(done - shown.pos)

        yield progress
