"""The scripted player: follows a window's log and presses the expert's keys, as a person at the keyboard would."""

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from protege.arena.expert import Expert
from protege.arena.log import Ended, Line, Started, Tic, read_lines
from protege.arena.rooms import Layout
from protege.arena.state import DECISION_HZ, ArenaState
from protege.play.actions import KEYBOARD_12, NO_KEYS, Action
from protege.play.devices import Clock, Keys, MonotonicClock

PERIOD_NS: Final = 1_000_000_000 // DECISION_HZ

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
        except (ValueError, OSError) as error:
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
) -> list[Press]:
    """Plays the window whose log is read from the stream, 10 decisions a second; returns what was pressed.

    Ends after `seconds`, after `episodes` have ended, or with the stream, and then holds no key.
    """
    expert = expert or Expert()
    follower = Follower(window_process_stream)
    follower.start()
    presses: list[Press] = []
    held: Action = NO_KEYS
    start = deadline = clock.now_ns()
    try:
        while not follower.finished and (episodes is None or len(follower.ended) < episodes):
            if seconds is not None and clock.now_ns() - start >= seconds * 1e9:
                break
            state = follower.state
            action = NO_KEYS if state is None else expert.act(state)
            t_ns = clock.now_ns()
            keys.hold(action)
            changed = [(t_ns, key, key in action) for key in _in_order(held, action)]
            for press in changed:
                noted(press)
            presses += changed
            held = action
            deadline += PERIOD_NS
            clock.sleep_until(deadline)
    finally:
        t_ns = clock.now_ns()
        keys.hold(NO_KEYS)
        released = [(t_ns, key, False) for key in sorted(held)]
        for press in released:
            noted(press)
        presses += released
        keys.release_all()
    if follower.error is not None:
        raise follower.error
    return presses


def _in_order(held: Action, action: Action) -> list[str]:
    """The keys that change, in the order in which a keyboard does it: releases first."""
    return sorted(held - action) + sorted(action - held)


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
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "protege.arena.window", "--log", "-"]
    command += ["--seed", str(options.seed), "--size", options.size]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from protege.devices.keyboard import PynputKeys

    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as window,
        (options.out / "log.jsonl").open("w", encoding="utf-8", buffering=1) as log,
        (options.out / "presses.jsonl").open("w", encoding="utf-8", buffering=1) as pressed,
    ):
        assert window.stdout is not None
        try:
            play_window(
                _copied(window.stdout, log),
                PynputKeys(KEYBOARD_12),
                MonotonicClock(),
                options.seconds,
                options.episodes,
                noted=lambda press: print(json.dumps(press), file=pressed),
            )
        except KeyboardInterrupt:
            pass
        finally:
            window.terminate()
            window.stdout.close()
    return 0


def _copied(lines: Iterable[str], log: IO[str]) -> Iterator[str]:
    """The lines, each written to the log as it passes."""
    for line in lines:
        log.write(line)
        yield line


if __name__ == "__main__":
    sys.exit(main())
