"""The scripted player: follows a window's log and presses the expert's keys, as a person at the keyboard would."""

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NoReturn

from protege.arena.engine import ARENA_MOUSE, BUTTONS
from protege.arena.expert import Expert
from protege.arena.leash import leashed
from protege.arena.log import Ended, Line, Opened, Started, Tic, read_line, read_lines
from protege.arena.rooms import Layout
from protege.arena.state import DECISION_HZ, ArenaState
from protege.arena.window import FOUND_AS
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action, ActionSpace
from protege.core.devices import Clock, Keys, MonotonicClock, Window
from protege.devices.errors import WindowGone
from protege.devices.watchdog import Watchdog
from protege.devices.windows import find_window
from protege.errors import ProtegeError

PERIOD_NS: Final = 1_000_000_000 // DECISION_HZ
ENDING: Final = (signal.SIGINT, signal.SIGTERM)
LOOKS: Final = 5
"""How often a decision's keys are let go of if the window has lost the focus: every 20 ms."""

Press = tuple[int, str, bool]
"""(t_ns, key, down): a key that the player pressed or released, and when."""


@dataclass
class Follower:
    """The newest state of a window, kept current by a thread that reads its log."""

    stream: Iterable[str]
    ended: list[Ended] = field(default_factory=list)
    error: Exception | None = None
    finished: bool = False
    _state: ArenaState | None = None
    _layout: Layout | None = None

    def start(self) -> None:
        """Begins to read; the thread ends with the stream."""
        threading.Thread(target=self._read, name="arena-log", daemon=True).start()

    def _read(self) -> None:
        try:
            for line in read_lines(self.stream):
                self._take(line)
        except (ValueError, OSError, ProtegeError) as error:
            self.error = error
        finally:
            self.finished = True

    def _take(self, line: Line) -> None:
        match line:
            case Started():
                self._state, self._layout = None, line.layout
            case Tic() if self._layout is not None:
                self._state = line.state(self._layout)
            case Ended():
                self.ended.append(line)

    @property
    def state(self) -> ArenaState | None:
        """The newest state; None between two episodes."""
        return self._state


def play_window(
    window_process_stream: Iterable[str],
    keys: Keys,
    clock: Clock,
    seconds: float | None = None,
    episodes: int | None = None,
    expert: Expert | None = None,
    noted: Callable[[Press], None] = lambda press: None,
    focused: Callable[[], bool] = lambda: True,
) -> list[Press]:
    """Plays the window whose log is read from the stream, 10 decisions a second; returns what was pressed.

    focused: whether keys go to that window now; while they do not, none is held. Ends after `seconds`, after `episodes`
    have ended, or with the stream, and then holds no key.
    """
    expert = expert or Expert()
    follower = Follower(window_process_stream)
    follower.start()
    held = Noting(keys, clock, noted)
    start = deadline = clock.now_ns()
    try:
        while not follower.finished and (episodes is None or len(follower.ended) < episodes):
            if seconds is not None and clock.now_ns() - start >= seconds * 1e9:
                break
            state = follower.state
            held.hold(NO_KEYS if state is None or not focused() else expert.act(state))
            for look in range(1, LOOKS + 1):
                clock.sleep_until(deadline + PERIOD_NS * look // LOOKS)
                if held.action and not focused():
                    held.hold(NO_KEYS)
            deadline += PERIOD_NS
    finally:
        held.hold(NO_KEYS)
        keys.release_all()
    if follower.error is not None:
        raise follower.error
    return held.presses


@dataclass
class Noting:
    """Holds keys, and remembers and reports every change."""

    keys: Keys
    clock: Clock
    noted: Callable[[Press], None]
    action: Action = NO_KEYS
    presses: list[Press] = field(default_factory=list)

    def hold(self, action: Action) -> None:
        t_ns = self.clock.now_ns()
        self.keys.hold(action)
        # In the order in which a keyboard does it: releases first.
        for key in sorted(self.action - action) + sorted(action - self.action):
            if key not in BUTTONS:  # a bin of the mouse, which is not pressed
                continue
            press = (t_ns, key, key in action)
            self.noted(press)
            self.presses.append(press)
        self.action = action


@dataclass
class Focus:
    """Whether the window that a log tells of has the focus; False until it has opened and once it is closed."""

    _window: Window | None = None

    def opened(self, line: Opened) -> None:
        if line.window is None:
            self._window = find_window(FOUND_AS)
        else:
            from protege.devices.x11 import XWindow

            self._window = XWindow(line.window, line.title)

    def __call__(self) -> bool:
        with suppress(WindowGone):
            return self._window is not None and self._window.state().focused
        return False

    def close(self) -> None:
        if self._window is not None:
            self._window.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Opens a window and plays it with real keys until ended, `--seconds` or `--episodes`; the window's log and what
    was pressed lie in `--out` as log.jsonl and presses.jsonl.
    """
    parser = argparse.ArgumentParser(prog="python -m protege.arena.player", description=__doc__)
    parser.add_argument("--seed", type=int, default=5_000)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--mouse", action="store_true", help="look with the mouse instead of the arrow keys")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    command = ["protege.arena.window", "--log", "-", "--seed", str(options.seed), "--size", options.size]
    for number in ENDING:
        signal.signal(number, _end_once)
    try:
        if options.mouse:
            command.append("--mouse")
        space = ARENA_MOUSE if options.mouse else KEYBOARD_12
        _play(command, options.out, options.seconds, options.episodes, space)
    except KeyboardInterrupt:
        pass
    except ProtegeError as error:
        print(f"protege: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _end_once(*_: object) -> NoReturn:
    """Ends as Ctrl-C does; another signal then does not disturb the releasing of keys."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _play(command: Sequence[str], out: Path, seconds: float | None, episodes: int | None, space: ActionSpace) -> None:
    """Open the window and play it; keys are released and the window is gone afterwards, also if we are killed."""
    from protege.devices.guard import Guard
    from protege.devices.hand import Hand
    from protege.devices.keyboard import RealKeys

    focus, clock = Focus(), MonotonicClock()
    with (
        Watchdog(space) as watchdog,
        subprocess.Popen(leashed(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as window,
        (out / "log.jsonl").open("w", encoding="utf-8", buffering=1) as log,
        (out / "presses.jsonl").open("w", encoding="utf-8", buffering=1) as pressed,
    ):
        assert window.stdout is not None
        keys = RealKeys(space) if space.look is None else Hand(space, clock, PERIOD_NS, allowed=focus)
        guard = Guard(keys, watchdog, clock)
        try:
            play_window(
                _copied(window.stdout, log, focus),
                guard,
                guard,
                seconds,
                episodes,
                Expert(space=space),
                noted=lambda press: print(json.dumps(press), file=pressed),
                focused=focus,
            )
        finally:
            window.terminate()
            window.stdout.close()
            focus.close()


def _copied(lines: Iterable[str], log: IO[str], focus: Focus) -> Iterator[str]:
    """The lines, each written to the log as it passes; the one that says which window opened is told to the focus."""
    for line in lines:
        log.write(line)
        if line.startswith('{"kind": "opened"') and isinstance(opened := read_line(line), Opened):
            focus.opened(opened)
        yield line


if __name__ == "__main__":
    sys.exit(main())
