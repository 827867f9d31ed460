"""Which window is meant, asked on a terminal."""

import sys

import click

from protege.core.text import one_line


def ask_window(window: str | None, otherwise: str) -> str | None:
    """`window` as it was given; without one, on a terminal, a numbered list to choose from. None for `otherwise`."""
    if window is not None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return window
    from protege.devices.windows import is_own_terminal, list_windows

    titles = list(dict.fromkeys(found.title for found in list_windows() if not is_own_terminal(found)))
    if not titles:
        return None
    for number, title in enumerate(titles, 1):
        click.echo(f"{number:3}  {one_line(title)}", err=True)
    chosen = click.prompt(
        f"which window, 1 to {len(titles)} (return: {otherwise})",
        type=click.IntRange(0, len(titles)),
        default=0,
        show_default=False,
        err=True,
    )
    return titles[chosen - 1] if chosen else None
