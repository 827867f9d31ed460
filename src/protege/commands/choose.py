"""Which game and which window are meant."""

import sys
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from protege.core.actions import KEYBOARD_12
from protege.core.text import one_line

if TYPE_CHECKING:
    from protege.core.actions import ActionSpace
    from protege.games.profile import Game

game_option = click.option(
    "--game", metavar="NAME", help="The game's profile: a name (protege game list) or a file. Default: the twelve keys."
)


def ask_game(name: str | None) -> "Game | None":
    """The game of --game, None without one."""
    if name is None:
        return None
    from protege.games.profile import load_game

    return load_game(name)


arena_game_option = click.option(
    "--game", metavar="NAME", help="What the built-in game is played with: arena, or arena-mouse. Default: arena."
)


def ask_arena(name: str | None) -> "ActionSpace":
    """The action space of the built-in game under --game."""
    from protege.arena.engine import ARENA_MOUSE

    if name == ARENA_MOUSE.name:
        return ARENA_MOUSE
    game = ask_game(name)
    return KEYBOARD_12 if game is None else game.space


def given(option: str, value: Any, of_game: Any) -> Any:
    """The value of an option where the user gave it, else the game's."""
    source = click.get_current_context().get_parameter_source(option)
    return of_game if source is ParameterSource.DEFAULT else value


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
