"""`protege replay`."""

from pathlib import Path

import click

from protege.commands.choose import ask_window
from protege.commands.types import examples


@click.command("replay", epilog=examples('protege replay level1 --window "Chocolate Doom"'))
@click.argument("session", type=click.Path(path_type=Path))
@click.option(
    "--window",
    metavar="TITLE",
    help="The window's title, a part of it, or a /pattern/. Default: the window that has the focus.",
)
@click.option(
    "--countdown", type=click.FloatRange(0, 60), default=3.0, show_default=True, help="Seconds before it starts."
)
@click.option("--max-minutes", type=click.FloatRange(0, 600, min_open=True), default=10.0, show_default=True)
def command(session: Path, window: str | None, countdown: float, max_minutes: float) -> int:
    """Press a recording's keys again, with its timing."""
    from protege.agent.run import replay_game
    from protege.commands.sessions_ import find

    recorded = find(session)
    window = ask_window(window, "the one that has the focus when the countdown ends")
    ending = replay_game(recorded, window, countdown, max_minutes, lambda text: click.echo(text, err=True))
    click.echo(f"ended: {ending}")
    return 0
