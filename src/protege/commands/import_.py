"""`protege import`."""

import sys
from pathlib import Path
from typing import Final

import click

from protege.commands.choose import ask_game, game_option
from protege.commands.types import Number, Size, examples
from protege.core.paths import raw_playthrough, shown
from protege.core.text import one_line, printable

SHOWN_BREAKS: Final = 10


@click.command(
    "import",
    epilog=examples(
        "protege import session.mcap              an OWAMcap recording (with its .mkv beside it)",
        "protege import old_dataset/              everything in a folder",
        "protege import doom.mcap --game chocolate-doom          with the keys of that game's profile",
        "protege import gameplay.mp4              a video without keys: goals can be asked, nothing can be learned",
    ),
)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for sessions. Default: dataset/raw_playthrough.")
@click.option(
    "--fps",
    type=Number(0, min_open=True),
    help="Frames a second. Default: 10, or the recording's own rate where it has one.",
)
@click.option("--size", type=Size(), default="640x480", show_default=True, help="Size of the stored frames.")
@game_option
def command(source: Path, out: Path | None, fps: float | None, size: tuple[int, int], game: str | None) -> int:
    """Turn recordings made by other tools into sessions.

    The kind is found out: OWAMcap (.mcap and .mkv), the layout of the first recorder (a .jpg beside a .json with
    action_sequence), or a plain video. Only keys of the action space are kept; the rest is counted.
    """
    from protege.core.actions import KEYBOARD_12
    from protege.core.quality import verdict_text
    from protege.recorder.importers import import_each

    def progress(name: str, frames: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{printable(name)}: {frames} frames", nl=False, err=True)

    profile = ask_game(game)
    space = KEYBOARD_12 if profile is None else profile.space
    for done in import_each(source, out or raw_playthrough(), fps=fps, size=size, space=space, progress=progress):
        counts = one_line(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in done.counts.items()))
        click.echo(f"{shown(done.folder)}: {done.frames} frames; {counts}; {verdict_text(done.quality.reasons)}")
        for reason in done.quality.reasons:
            click.echo(f"  {reason}")
        for left_out in done.left_out[:SHOWN_BREAKS]:
            click.echo(f"  {one_line(left_out)}")
        if (more := len(done.left_out) - SHOWN_BREAKS) > 0:
            click.echo(f"  and {more} more")
    return 0
