"""The scripted player: follows a window's log and presses the expert's keys, as a person at the keyboard would."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from protege.arena.expert import Expert
from protege.arena.log import Ended, Line, Started, Tic, read_lines
from protege.arena.rooms import Layout
from protege.arena.state import DECISION_HZ, ArenaState
from protege.play.actions import NO_KEYS, Action
from protege.play.devices import Clock, Keys

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
            presses += [(t_ns, key, key in action) for key in _in_order(held, action)]
            held = action
            deadline += PERIOD_NS
            clock.sleep_until(deadline)
    finally:
        t_ns = clock.now_ns()
        keys.hold(NO_KEYS)
        presses += [(t_ns, key, False) for key in sorted(held)]
        keys.release_all()
    if follower.error is not None:
        raise follower.error
    return presses


def _in_order(held: Action, action: Action) -> list[str]:
    """The keys that change, in the order in which a keyboard does it: releases first."""
    return sorted(held - action) + sorted(action - held)
