"""`protege game`: new, check, list."""

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from protege.commands.choose import ask_window
from protege.commands.types import GoalText, Number, examples
from protege.core.paths import shown
from protege.core.text import one_line, printable

if TYPE_CHECKING:
    from protege.core.devices import Clock, Window
    from protege.games.profile import Game, Mouse
    from protege.games.trial import Played

WAIT_FOCUS_S = 60.0
LOOKED_COUNTS = 300
"""A mouse that was moved so far in the game's window is taken to turn the view, until that is tried."""


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
    """Check a profile: its file, its window, and whether this machine presses and hears its keys and mouse."""
    from protege import doctor
    from protege.commands.doctor_ import tell
    from protege.games.profile import load_game

    game = load_game(name)
    click.echo(printable(summary(game)))
    checks = [doctor.check_window(game), doctor.check_keyboard(os.environ, game.space)]
    return tell([*checks, *doctor.check_mouse(os.environ, game.space)])


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
    if (look := game.space.look) is not None:
        counts = look.counts_per_turn
        guessed = "" if profile.mouse and profile.mouse.counts_per_turn else ", which nobody measured"
        rows.append(("mouse", f"turns the view, {counts:g} counts for a whole turn{guessed}"))
    elif profile.mouse is not None:
        rows.append(("mouse", "buttons only, does not turn the view"))
    return "\n".join(f"{title:<12}  {text}" for title, text in rows)


def _listed(game: "Game", keys: frozenset[str]) -> str:
    return " ".join(key for key in game.space.pressable if key in keys) or "-"


@command.command(
    "new", epilog=examples("protege game new", 'protege game new pong --window Pong --keys "up down" --yes')
)
@click.argument("name", required=False)
@click.option("--window", metavar="TITLE", help="The window's title, a part of it, or a /pattern/. Default: a list.")
@click.option("--keys", help='The keys, as in "w a s d space". Default: those you press.')
@click.option("--mouse", help='Of it, as in "look left right wheel"; "" for none. Default: what you use.')
@click.option("--seconds", type=Number(0, 600, min_open=True), default=10.0, show_default=True, help="For your keys.")
@click.option("--never", default="esc", show_default=True, help="Keys that are never stored and never pressed.")
@click.option("--action", "actions", multiple=True, metavar="KEY=WORDS", help="What a key does; repeatable.")
@click.option("--goal", "goals", type=GoalText(), multiple=True, help="What may be asked for; repeatable.")
@click.option("--try/--no-try", "try_", default=True, help="Try whether the game obeys keys and mouse.")
@click.option("--force", is_flag=True, help="Replace a profile of this name.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def new(
    name: str | None,
    window: str | None,
    keys: str | None,
    mouse: str | None,
    seconds: float,
    never: str,
    actions: tuple[str, ...],
    goals: tuple[str, ...],
    try_: bool,
    force: bool,
    yes: bool,
) -> int:
    """Describe your game once: choose its window, press the keys you play with, and every later step follows.

    Keys and the mouse are heard in the game's window only. Then each key is pressed once by protege, to see whether the
    game obeys, and where the mouse turns the view it is moved until the view has turned once round.
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
    of_mouse = None if mouse is None else _mouse_named(mouse)
    told = _actions(actions)
    with ExitStack() as stack:
        found = find_window(title)
        stack.callback(found.close)
        used = named
        if used is None:
            played = _played(found, seconds)
            used = played.keys
            of_mouse = _mouse_used(played) if mouse is None else of_mouse
        if left_out := [key for key in used if key in apart]:
            _say(f"left out, since they are never stored and never pressed: {' '.join(left_out)}")
        used = tuple(key for key in used if key not in apart)
        _say(f"keys: {' '.join(used)}")
        if try_ and (not asks or click.confirm(f"press each of them once in {title!r}?", default=True, err=True)):
            _try(found, used)
            of_mouse = _turn(found, of_mouse, mouse is not None)
    if asks:
        told = _ask_actions((*used, *(of_mouse.keys if of_mouse is not None else ())), told)
    write_profile(path, Profile(title, used, of_mouse, told, apart, goals=goals))
    click.echo(printable(summary(load_game(str(path)))))
    if "p" in used:
        _say("p is one of the keys, and starts and pauses a recording: give another with --toggle-key f9")
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


def _played(window: "Window", seconds: float) -> "Played":
    from protege.core.devices import MonotonicClock
    from protege.devices.keyboard import KeyListener
    from protege.devices.places import NAMES
    from protege.games.trial import ON_THE_MOUSE, hear

    _say(
        f"click into {window.title!r}, press each key and button you play with, and look around if you do so with the "
        f"mouse; {seconds:g} s from the first key"
    )
    names = NAMES | ON_THE_MOUSE
    return hear(window, MonotonicClock(), lambda heard: KeyListener(names, heard, motion=True), seconds)


def _mouse_named(text: str) -> "Mouse | None":
    """The mouse of --mouse; None for none."""
    from protege.errors import UserError
    from protege.games.profile import BUTTONS, Mouse

    words = text.replace(",", " ").lower().split()
    if unknown := [word for word in words if word not in ("look", "wheel", *BUTTONS)]:
        raise UserError(f"--mouse: {one_line(unknown[0], 40)!r} is none of look, left, middle, right, wheel")
    buttons = tuple(dict.fromkeys(word for word in words if word in BUTTONS))
    return Mouse("look" in words, buttons, wheel="wheel" in words) if words else None


def _mouse_used(played: "Played") -> "Mouse | None":
    """The mouse as somebody used it; None where it lay still."""
    from protege.games.profile import BUTTONS, Mouse

    buttons = tuple(button for button in BUTTONS if f"mouse_{button}" in played.buttons)
    wheel = any(name.startswith("wheel") for name in played.buttons)
    look = played.counts >= LOOKED_COUNTS
    if used := [*played.buttons, *(["look"] if look else [])]:
        _say(f"mouse: {' '.join(used)}")
    return Mouse(look, buttons, wheel=wheel) if look or buttons or wheel else None


def _turn(window: "Window", mouse: "Mouse | None", named: bool) -> "Mouse | None":
    """Turn the view once round with the mouse. named: somebody said that it does, so it stays if nothing is seen."""
    from dataclasses import replace

    from protege.core.devices import MonotonicClock
    from protege.devices.pointer import open_pointer
    from protege.devices.screen import MssScreen
    from protege.errors import ProtegeError
    from protege.games.turning import measure_turn

    if mouse is None or not mouse.look:
        return mouse
    clock = MonotonicClock()
    _wait_for_focus(window, clock)
    _say("turning the view once round; leave the mouse alone")
    with ExitStack() as stack:
        pointer, screen = open_pointer(), MssScreen(window.state().rect)
        stack.callback(pointer.close)
        stack.callback(screen.close)
        try:
            turn = measure_turn(window, pointer.move, screen.grab, clock)
        except ProtegeError as error:
            _say(f"the mouse was not tried to the end: {error}")
            return mouse
    if turn is None:
        kept = "kept, since you named it" if named else "left out; name it with --mouse look if it does"
        _say(
            f"the picture did not follow the mouse: either the game is in a menu, or it does not turn the view; {kept}"
        )
        if not named and not mouse.keys:
            return None
        return mouse if named else replace(mouse, look=False)
    how = "" if turn.whole else ", if it sees 90 degrees at once (the first picture did not come back)"
    _say(f"the game obeys: the picture followed the mouse, {turn.counts:.0f} counts are a whole turn{how}")
    return replace(mouse, counts_per_turn=float(round(turn.counts)))


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
