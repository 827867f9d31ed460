"""The arena as a window that is played with the keyboard: python -m protege.arena.window --seed 5000 --episodes 3.

The goal stands in the window's title and not in its picture: a recording must not show a learner the answer.
"""

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from protege.arena.engine import ARENA_MOUSE, TURNING, Engine
from protege.arena.gone import WindowWatch
from protege.arena.log import Ended, Opened, Started, Tic, write_line
from protege.arena.rooms import Layout, layout
from protege.arena.state import DECISION_HZ, MAX_DECISIONS, TICS_HZ, ArenaState, Judge, tics_of
from protege.arena.tasks import Goal, find_goal
from protege.core.actions import KEYBOARD_12, Action, ActionSpace
from protege.errors import ProtegeError, UserError

if TYPE_CHECKING:
    from Xlib.display import Display
    from Xlib.xobject.drawable import Window

TITLE: Final = "Protege Arena"
ENGINE_TITLE: Final = "VIZDOOM"
FOUND_AS: Final = TITLE if sys.platform == "linux" else ENGINE_TITLE
"""Part of the window's title to look for: only on an X server can the engine's window be given ours."""
AFTERGLOW_S: Final = 1.0
"""How long the player stands at the goal before the next episode begins."""

_BINDINGS: Final = {
    "w": "+forward",
    "s": "+back",
    "a": "+moveleft",
    "d": "+moveright",
    "up": "+lookup",
    "down": "+lookdown",
    "left": "+left",
    "right": "+right",
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
    space: ActionSpace = KEYBOARD_12,
) -> int:
    """Plays `episodes` seeds one after another (0: until closed); returns the number of episodes that succeeded.

    log gets a line per tic and episode as they happen; noted, the goal and the end of every episode in words.
    """
    if sys.platform == "linux":
        from protege.devices import x11

        x11.open_display().close()  # without a display the engine would crash the whole process
    won = 0
    with _closing(), Engine(size, window=True, space=space) as engine, ExitStack() as watched:
        number = 0
        while not episodes or number < episodes:
            made = layout(seed + number, goal)
            engine.load(made)
            if number == 0:
                _bind(engine)
            title = f"{TITLE} - {made.goal.sentence}"
            window = _entitle(title, engine.pid, focus=number == 0)
            if number == 0:
                _write(log, Opened(time.perf_counter_ns(), title, size, window))
                if window is not None and engine.pid is not None:
                    watched.enter_context(WindowWatch(window, engine.pid))
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
        Started(time.perf_counter_ns(), number, made.seed, made.goal.sentence, made.goal.name, str(made.goal.task)),
    )
    judge = Judge(made, max_decisions)
    held: frozenset[str] = frozenset()
    left = tics_of(0)
    afterglow = round(AFTERGLOW_S * TICS_HZ)
    while judge.end is None or afterglow > 0:
        state, buttons, turned = _tic(engine)
        pose = state.pose
        place = (pose.x, pose.y, pose.z, pose.angle_deg, pose.pitch_deg, state.door_gap)
        _write(log, Tic(time.perf_counter_ns(), buttons, *(round(value, 3) for value in place)))
        held |= {key for key, down in buttons.items() if down} | turned
        afterglow -= judge.end is not None
        left -= 1
        if left == 0:
            if judge.end is None and judge.observe(state, held) is not None:
                ended = (str(judge.end), judge.first_object, judge.wrong_object)
                _write(log, Ended(time.perf_counter_ns(), number, made.seed, *ended))
            held, left = frozenset(), tics_of(judge.decisions)
    return judge


def _tic(engine: Engine) -> tuple[ArenaState, dict[str, bool], Action]:
    """Waits for the engine's next tic; the state after it, the buttons it saw, and the axes the mouse turned by."""
    import vizdoom

    broken = (vizdoom.ViZDoomUnexpectedExitException, vizdoom.ViZDoomErrorException)
    try:
        engine.game.advance_action(1)
        if not engine.game.is_running():
            raise Closed("the window was closed")
        seen = engine.game.get_last_action()
        buttons = {key: bool(value) for key, value in zip(engine.space.pressable, seen, strict=False)}
        turned = zip(TURNING, seen[len(buttons) :], strict=False)
        return engine.state(), buttons, frozenset(axis for axis, degrees in turned if degrees)
    except broken as error:
        raise Closed("the window was closed") from error


def _write(log: IO[str], line: Opened | Started | Tic | Ended) -> None:
    log.write(write_line(line))
    log.flush()


def _bind(engine: Engine) -> None:
    """Keys can be bound only once the engine runs; Doom's own are taken away, so that none leaves the game."""
    engine.game.send_game_command("unbindall")
    for key in engine.space.pressable:
        arrow = "arrow" if key in ("up", "down", "left", "right") else ""
        engine.game.send_game_command(f"bind {key}{arrow} {_BINDINGS[key]}")


def _entitle(title: str, pid: int | None, focus: bool) -> int | None:
    """Names the window of the engine with this process, and the first time gives it the keyboard; returns its number.

    Elsewhere than on X11 the window keeps its name.
    """
    if sys.platform != "linux":
        return None
    from protege.devices import x11

    display = x11.open_display()
    try:
        for window in x11.windows():
            there = display.create_resource_object("window", window.id)
            if not _is_of(display, there, window.title, pid):
                continue
            there.set_wm_name(title)
            utf8 = display.intern_atom("UTF8_STRING")
            there.change_property(display.intern_atom("_NET_WM_NAME"), utf8, 8, title.encode())
            display.sync()
            if focus:
                window.raise_and_focus()
            window.close()
            return window.id
        return None
    finally:
        display.close()


def _is_of(display: "Display", window: "Window", title: str, pid: int | None) -> bool:
    """Whether a window is an engine's, and this engine's where the window says whose it is."""
    # The first part of the engine's own title names the instance; afterwards it is ours.
    if not title.startswith((ENGINE_TITLE, TITLE)):
        return False
    said = window.get_full_property(display.intern_atom("_NET_WM_PID"), 0)
    return pid is None or said is None or int(said.value[0]) == pid


@contextmanager
def _closing() -> Iterator[None]:
    """Turns Ctrl-C and SIGTERM into `Closed`, so that everything opened is closed on the way out, undisturbed by a
    second one.
    """

    def closed(*_: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise Closed("asked to end")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, closed)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "640x480"."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UserError(f"expected a size such as 640x480, got {text!r}")
    return int(width), int(height)


def play_until_closed(
    seed: int,
    episodes: int,
    size: tuple[int, int],
    seconds: float,
    goal: str | None = None,
    log: str | None = None,
    space: ActionSpace = KEYBOARD_12,
) -> int:
    """The command, its arguments read already; returns its exit code: 0 also where the window was closed before the
    last episode. seconds: game time of an episode; log: a file, or - for stdout; space: what it is played with.
    UserError for mistakes.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise UserError(f"--seconds {seconds:g}: expected a number of seconds above 0")
    asked = find_goal(goal) if goal else None
    with suppress(Closed, KeyboardInterrupt, BrokenPipeError), _log(log) as file:
        decisions = max(1, round(seconds * DECISION_HZ))
        open_window(
            *(seed, episodes, size, file, asked),
            lambda text: print(text, file=sys.stderr, flush=True),
            decisions,
            space,
        )
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """`play_until_closed` for a process of its own; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m protege.arena.window", description=__doc__)
    parser.add_argument("--seed", type=int, default=5_000, help="the first layout")
    parser.add_argument("--episodes", type=int, default=0, help="how many layouts; 0: until the window is closed")
    parser.add_argument("--size", default="640x480", help="of the window")
    parser.add_argument("--goal", help="ask for this goal in every episode")
    parser.add_argument("--seconds", type=float, default=15.0, help="game time of an episode until it is over")
    parser.add_argument("--log", help="a file for the engine's own record of every tic, or - for stdout")
    parser.add_argument("--mouse", action="store_true", help="look with the mouse instead of the arrow keys")
    options = parser.parse_args(arguments)
    try:
        size = parse_size(options.size)
        space = ARENA_MOUSE if options.mouse else KEYBOARD_12
        return play_until_closed(
            *(options.seed, options.episodes, size, options.seconds, options.goal, options.log), space
        )
    except ProtegeError as error:
        print(f"protege: {error}", file=sys.stderr)
        return error.exit_code


@contextmanager
def _log(name: str | None) -> Iterator[IO[str]]:
    if name == "-":
        yield sys.stdout
        return
    try:
        file = Path(name or os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(
            f"--log {name}: cannot be written ({error.strerror}); name a file in a folder of yours"
        ) from None
    with file:
        yield file


if __name__ == "__main__":
    # The engine's destructor would run after Python's own end; everything is closed by now.
    sys.exit(main())
