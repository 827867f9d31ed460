"""`protege replay`."""

from pathlib import Path

import click

from protege.commands.choose import ask_game, ask_window, game_option
from protege.commands.types import Number, examples
from protege.core.text import printable


@click.command(
    "replay",
    epilog=examples('protege replay level1 --window "Chocolate Doom"', "protege replay level1 --game chocolate-doom"),
)
@click.argument("session", type=click.Path(path_type=Path))
@click.option(
    "--window",
    metavar="TITLE",
    help="The window's title, a part of it, or a /pattern/. Default: the window that has the focus.",
)
@click.option("--countdown", type=Number(0, 60), default=3.0, show_default=True, help="Seconds before it starts.")
@click.option("--max-minutes", type=Number(0, 600, min_open=True), default=10.0, show_default=True)
@game_option
def command(session: Path, window: str | None, countdown: float, max_minutes: float, game: str | None) -> int:
    """Press a recording's keys, and move its mouse, again with its timing.

    The recording says which keys; a game's profile its window, and what is never pressed.
    """
    from protege.agent.run import replay_game
    from protege.commands.sessions_ import find
    from protege.core.actions import NO_KEYS
    from protege.core.session import Session

    recorded = find(session)
    profile = ask_game(game)
    never = NO_KEYS
    if profile is not None:
        profile.require_keys_of(Session.open(recorded).info.space, f"the recording {printable(recorded.name)}")
        window, never = window or profile.profile.window, profile.never
    window = ask_window(window, "the one that has the focus when the countdown ends")

    def say(text: str) -> None:
        click.echo(printable(text), err=True)

    ending = replay_game(recorded, window, countdown, max_minutes, say, never)
    click.echo(f"ended: {ending}")
    return 0
