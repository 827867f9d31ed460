"""`protege game`: new, check, list."""

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from protege.commands.choose import NO_MOUSE, ask_window
from protege.commands.types import GoalText, Number, examples
from protege.core.paths import shown
from protege.core.text import one_line, printable

if TYPE_CHECKING:
    from protege.core.devices import Clock, Window
    from protege.games.profile import Game

WAIT_FOCUS_S = 60.0


@click.group(
    "game",
    epilog=examples(
        "protege game new                            choose the window, press your keys, done",
        'protege game new doom --window "/doom/" --keys "w a s d left right ctrl space" --yes',
        "protege game check doom",
        "protege game list",
    ),
)
def command() -> None:
    """The profile of a game: its window, its keys and what they do, in games/NAME.yaml."""


@command.command("list", epilog=examples("protege game list"))
def list_() -> int:
    """List the profiles: yours in games/, and those that come with protege."""
    from protege.errors import UserError
    from protege.games.profile import known_games, load_game

    games = known_games()
    width = max(len(name) for name in games)
    for name, path in sorted(games.items()):
        try:
            game = load_game(str(path))
            said = f"{len(game.space.pressable):>2} keys  {game.profile.window or 'any window'}"
        except UserError as error:
            said = str(error)
        click.echo(one_line(f"{name:<{width}}").ljust(width) + f"  {one_line(said)}  ({shown(path)})")
    return 0


@command.command("check", epilog=examples("protege game check chocolate-doom"))
@click.argument("name")
def check(name: str) -> int:
    """Check a profile: its file, its window, and whether this machine presses and hears its keys."""
    from protege import doctor
    from protege.commands.doctor_ import tell
    from protege.games.profile import load_game

    game = load_game(name)
    click.echo(printable(summary(game)))
    return tell([doctor.check_window(game), doctor.check_keyboard(os.environ, game.space)])


def summary(game: "Game") -> str:
    """What a profile says, a line each."""
    profile = game.profile
    rows = [
        ("file", shown(game.path)),
        ("keys", ", ".join(game.space.told(key) for key in game.space.pressable)),
        ("moves, turns", f"{_listed(game, game.space.movement)}; {_listed(game, game.space.camera)}"),
        ("never", " ".join(profile.never) or "-"),
        ("pictures", f"{profile.size[0]}x{profile.size[1]}, {profile.fps:g} a second"),
        ("goals", "; ".join(profile.goals) or "-"),
    ]
    if profile.mouse is not None:
        rows.append(("mouse", NO_MOUSE))
    return "\n".join(f"{title:<12}  {text}" for title, text in rows)


def _listed(game: "Game", keys: frozenset[str]) -> str:
    return " ".join(key for key in game.space.pressable if key in keys) or "-"


@command.command(
    "new", epilog=examples("protege game new", 'protege game new pong --window Pong --keys "up down" --yes')
)
@click.argument("name", required=False)
@click.option("--window", metavar="TITLE", help="The window's title, a part of it, or a /pattern/. Default: a list.")
@click.option("--keys", help='The keys, as in "w a s d space". Default: those you press.')
@click.option("--seconds", type=Number(0, 600, min_open=True), default=10.0, show_default=True, help="For your keys.")
@click.option("--never", default="esc", show_default=True, help="Keys that are never stored and never pressed.")
@click.option("--action", "actions", multiple=True, metavar="KEY=WORDS", help="What a key does; repeatable.")
@click.option("--goal", "goals", type=GoalText(), multiple=True, help="What may be asked for; repeatable.")
@click.option("--try/--no-try", "try_", default=True, help="Press each key once and see whether the game obeys.")
@click.option("--force", is_flag=True, help="Replace a profile of this name.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def new(
    name: str | None,
    window: str | None,
    keys: str | None,
    seconds: float,
    never: str,
    actions: tuple[str, ...],
    goals: tuple[str, ...],
    try_: bool,
    force: bool,
    yes: bool,
) -> int:
    """Describe your game once: choose its window, press the keys you play with, and every later step follows.

    Keys are heard in the game's window only. Then each is pressed once by protege, to see whether the game obeys.
    """
    from protege.devices.windows import find_window
    from protege.errors import UserError
    from protege.games.profile import Profile, key_names, load_game
    from protege.games.writing import path_of, slug, write_profile

    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    title = window or ask_window(None, "none: end")
    if title is None:
        raise click.UsageError('which window? give --window TITLE; "protege record --list-windows" lists them')
    if name is None:
        name = click.prompt("name of the game", default=slug(title), err=True) if asks else slug(title)
    path = path_of(str(name))
    if path.exists() and not force:
        raise UserError(f"{path} is there already; choose another name, or replace it with --force")
    apart = key_names("--never", never.replace(",", " ").split())
    named = None if keys is None else key_names("--keys", keys.replace(",", " ").split())
    told = _actions(actions)
    with ExitStack() as stack:
        found = find_window(title)
        stack.callback(found.close)
        used = named if named is not None else _pressed(found, seconds)
        if left_out := [key for key in used if key in apart]:
            _say(f"left out, since they are never stored and never pressed: {' '.join(left_out)}")
        used = tuple(key for key in used if key not in apart)
        _say(f"keys: {' '.join(used)}")
        if try_ and (not asks or click.confirm(f"press each of them once in {title!r}?", default=True, err=True)):
            _try(found, used)
    if asks:
        told = _ask_actions(used, told)
    write_profile(path, Profile(title, used, None, told, apart, goals=goals))
    click.echo(printable(summary(load_game(str(path)))))
    if "p" in used:
        _say("p is one of the keys, and starts and pauses a recording: give another with --toggle-key f9")
    _say("the mouse is not recorded and not moved yet; if the game needs it, bind turning to keys")
    click.echo(f"next: protege record --game {path.stem}")
    return 0


def _say(text: str) -> None:
    click.echo(printable(text), err=True)


def _actions(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        key, equals, words = text.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"--action {one_line(text, 60)!r}: expected KEY=WORDS, for example ctrl=fire")
        found[key.strip()] = words.strip()
    return found


def _ask_actions(keys: tuple[str, ...], told: dict[str, str]) -> dict[str, str]:
    found = dict(told)
    _say("what do the keys do? (such as: turn left, fire, open; return: leave out)")
    for key in keys:
        if key not in found and (words := click.prompt(f"  {key}", default="", show_default=False, err=True).strip()):
            found[key] = words
    return found


def _pressed(window: "Window", seconds: float) -> tuple[str, ...]:
    from protege.core.devices import MonotonicClock
    from protege.devices.keyboard import KeyListener
    from protege.devices.places import NAMES
    from protege.games.trial import hear_keys

    _say(f"click into {window.title!r} and press each key you play with; {seconds:g} s from the first one")
    return hear_keys(window, MonotonicClock(), lambda heard: KeyListener(NAMES, heard), seconds)


def _try(window: "Window", keys: tuple[str, ...]) -> None:
    """Press each key once and say what the picture did."""
    from protege.core.devices import MonotonicClock
    from protege.devices.guard import Guard
    from protege.devices.keyboard import RealKeys
    from protege.devices.screen import MssScreen
    from protege.devices.watchdog import Watchdog
    from protege.errors import ProtegeError
    from protege.games.profile import Profile, space_of
    from protege.games.trial import obeyed

    clock = MonotonicClock()
    _wait_for_focus(window, clock)
    space = space_of("trial", Profile(keys=keys))
    with ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog(space))
        real, screen = RealKeys(space), MssScreen(window.state().rect)
        stack.callback(real.close)
        stack.callback(screen.close)
        guard = Guard(real, watchdog, clock)
        try:
            found = obeyed(keys, window, guard, screen.grab, guard)
        except ProtegeError as error:
            _say(f"not tried to the end: {error}")
            return
    if any(found.values()):
        _say(f"the game obeys: the picture followed {' '.join(key for key, moved in found.items() if moved)}")
        if still := [key for key, moved in found.items() if not moved]:
            _say(f"nothing to be seen of: {' '.join(still)} (it may have nothing to do here)")
    else:
        _say(
            "the picture followed none of the keys: either the game is in a menu, or it takes no keys from programs; "
            "try again while you can walk about in it"
        )


def _wait_for_focus(window: "Window", clock: "Clock") -> None:
    from protege.errors import UserError

    if window.state().focused:
        return
    _say(f"click into {window.title!r}")
    end = clock.now_ns() + round(WAIT_FOCUS_S * 1e9)
    while not window.state().focused:
        if clock.now_ns() > end:
            raise UserError(
                f"{window.title!r} did not get the focus within {WAIT_FOCUS_S:g} s; click into it, or leave the trial "
                "of the keys out with --no-try"
            )
        clock.sleep_until(clock.now_ns() + 100_000_000)
