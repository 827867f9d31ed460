"""The arena as a window that is played with the keyboard: python -m protege.arena.window --seed 5000 --episodes 3.

The goal stands in the window's title and not in its picture: a recording must not show a learner the answer.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from protege.arena.engine import BUTTONS, Engine
from protege.arena.log import Ended, Opened, Started, Tic, write_line
from protege.arena.rooms import Layout, layout
from protege.arena.state import MAX_DECISIONS, TICS_HZ, ArenaState, Judge, tics_of
from protege.arena.tasks import Goal, find_goal
from protege.errors import ProtegeError, UserError

TITLE: Final = "Protege Arena"
ENGINE_TITLE: Final = "VIZDOOM"
AFTERGLOW_S: Final = 1.0
"""How long the player stands at the goal before the next episode begins."""

_BINDINGS: Final = {
    "w": "+forward",
    "s": "+back",
    "a": "+moveleft",
    "d": "+moveright",
    "uparrow": "+lookup",
    "downarrow": "+lookdown",
    "leftarrow": "+left",
    "rightarrow": "+right",
    "c": "+crouch",
    "space": "+jump",
    "enter": "+use",
}


class Closed(Exception):
    """The window was closed, or the process was asked to end."""


def open_window(
    seed: int,
    episodes: int,
    size: tuple[int, int],
    log: IO[str],
    goal: Goal | None = None,
    noted: Callable[[str], None] = lambda text: None,
    max_decisions: int = MAX_DECISIONS,
) -> int:
    """Plays `episodes` seeds one after another (0: until closed); returns the number of episodes that succeeded.

    log gets a line per tic and episode as they happen; noted, the goal and the end of every episode in words.
    """
    won = 0
    with Engine(size, window=True) as engine, _closing():
        number = 0
        while not episodes or number < episodes:
            made = layout(seed + number, goal)
            engine.load(made)
            if number == 0:
                _bind(engine)
            _entitle(f"{TITLE} - {made.goal.sentence}", focus=number == 0)
            if number == 0:
                _write(log, Opened(time.monotonic_ns(), f"{TITLE} - {made.goal.sentence}", size))
            noted(f"{made.goal.sentence} (seed {made.seed})")
            judge = _episode(engine, made, number, log, max_decisions)
            noted(str(judge.end))
            won += judge.success
            number += 1
    return won


def _episode(engine: Engine, made: Layout, number: int, log: IO[str], max_decisions: int) -> Judge:
    """One episode, tic by tic; its keys are judged in decisions of 3 and 4 tics, as in the environment."""
    _write(
        log,
        Started(time.monotonic_ns(), number, made.seed, made.goal.sentence, made.goal.name, str(made.goal.task)),
    )
    judge = Judge(made, max_decisions)
    held: frozenset[str] = frozenset()
    left = tics_of(0)
    afterglow = round(AFTERGLOW_S * TICS_HZ)
    while judge.end is None or afterglow > 0:
        state, buttons = _tic(engine)
        pose = state.pose
        place = (pose.x, pose.y, pose.z, pose.angle_deg, pose.pitch_deg, state.door_gap)
        _write(log, Tic(time.monotonic_ns(), buttons, *(round(value, 3) for value in place)))
        held |= {key for key, down in buttons.items() if down}
        afterglow -= judge.end is not None
        left -= 1
        if left == 0:
            if judge.end is None and judge.observe(state, held) is not None:
                report = judge.report()
                ended = (str(judge.end), report["first_object"], report["wrong_object"])
                _write(log, Ended(time.monotonic_ns(), number, made.seed, *ended))
            held, left = frozenset(), tics_of(judge.decisions)
    return judge


def _tic(engine: Engine) -> tuple[ArenaState, dict[str, bool]]:
    """Waits for the engine's next tic; the state after it and the buttons it saw."""
    import vizdoom

    broken = (vizdoom.ViZDoomUnexpectedExitException, vizdoom.ViZDoomErrorException)
    try:
        engine.game.advance_action(1)
        if not engine.game.is_running():
            raise Closed("the window was closed")
        buttons = {key: bool(value) for key, value in zip(BUTTONS, engine.game.get_last_action(), strict=True)}
        return engine.state(), buttons
    except broken as error:
        raise Closed("the window was closed") from error


def _write(log: IO[str], line: Opened | Started | Tic | Ended) -> None:
    log.write(write_line(line))
    log.flush()


def _bind(engine: Engine) -> None:
    """Keys can be bound only once the engine runs; Doom's own are taken away, so that none leaves the game."""
    engine.game.send_game_command("unbindall")
    for key, command in _BINDINGS.items():
        engine.game.send_game_command(f"bind {key} {command}")


def _entitle(title: str, focus: bool) -> None:
    """Names the engine's window, and the first time gives it the keyboard. Elsewhere than on X11 it keeps its name."""
    if sys.platform != "linux":
        return
    from protege.devices import x11

    display = x11.open_display()
    try:
        for window in x11.windows():
            # The first part of the engine's own title names the instance; afterwards it is ours.
            if window.title.startswith((ENGINE_TITLE, TITLE)):
                there = display.create_resource_object("window", window.id)
                there.set_wm_name(title)
                utf8 = display.intern_atom("UTF8_STRING")
                there.change_property(display.intern_atom("_NET_WM_NAME"), utf8, 8, title.encode())
                display.sync()
                if focus:
                    window.raise_and_focus()
                window.close()
                break
    finally:
        display.close()


@contextmanager
def _closing() -> Iterator[None]:
    """Turns SIGTERM into `Closed`, so that everything opened is closed on the way out."""

    def closed(*_: Any) -> None:
        raise Closed("asked to end")

    before = signal.signal(signal.SIGTERM, closed)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "640x480"."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UserError(f"expected a size such as 640x480, got {text!r}")
    return int(width), int(height)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0 also where the window was closed before the last episode."""
    parser = argparse.ArgumentParser(prog="python -m protege.arena.window", description=__doc__)
    parser.add_argument("--seed", type=int, default=5_000, help="the first layout")
    parser.add_argument("--episodes", type=int, default=0, help="how many layouts; 0: until the window is closed")
    parser.add_argument("--size", default="640x480", help="of the window")
    parser.add_argument("--goal", help="ask for this goal in every episode")
    parser.add_argument("--seconds", type=float, default=15.0, help="game time of an episode until it is over")
    parser.add_argument("--log", default="", help="a file for the engine's own record of every tic, or - for stdout")
    options = parser.parse_args(arguments)
    try:
        goal = find_goal(options.goal) if options.goal else None
        with _log(options.log) as log:
            open_window(
                options.seed,
                options.episodes,
                parse_size(options.size),
                log,
                goal,
                noted=lambda text: print(text, file=sys.stderr, flush=True),
                max_decisions=max(1, round(options.seconds * 10)),
            )
    except (Closed, KeyboardInterrupt, BrokenPipeError):
        return 0
    except (ProtegeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    return 0


@contextmanager
def _log(name: str) -> Iterator[IO[str]]:
    if name == "-":
        yield sys.stdout
        return
    with Path(name or "/dev/null").open("w", encoding="utf-8") as file:
        yield file


if __name__ == "__main__":
    # The engine's destructor would run after Python's own end; everything is closed by now.
    sys.exit(main())
