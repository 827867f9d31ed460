"""Where goals come from: the command line, a file with one a line, and what is typed while the agent plays."""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TextIO

from protege.core.files import read_bytes
from protege.errors import UserError

MOST_BYTES: Final = 1 << 20
"""Of a file of goals."""


class GoalList:
    """Goals one after another; implements `loop.Goals`."""

    def __init__(self, goals: Iterable[str]) -> None:
        self._waiting = deque(goals)
        self._next = True

    def asked(self) -> str | None:
        if not self._next or not self._waiting:
            return None
        self._next = False
        return self._waiting.popleft()

    def reached(self, goal: str) -> bool:
        self._next = True
        return bool(self._waiting)


class TypedGoals:
    """A list of goals, and whatever is typed meanwhile, which goes first. Empty lines are nothing; the end of the
    input (Ctrl-D) means that no more goals come.
    """

    def __init__(self, goals: Iterable[str], lines: TextIO, say: Callable[[str], None]) -> None:
        self._list = GoalList(goals)
        self._typed: deque[str] = deque()
        self._open = True
        self._say = say
        self._lines = lines
        threading.Thread(target=self._read, name="goals", daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._lines:
                if goal := line.strip():
                    self._typed.append(goal)
        except (ValueError, OSError):  # the input was closed under us
            pass
        self._open = False

    def asked(self) -> str | None:
        return self._typed.popleft() if self._typed else self._list.asked()

    def reached(self, goal: str) -> bool:
        if self._list.reached(goal) or self._typed:
            return True
        if self._open:
            self._say("next goal (Ctrl-D ends): ")
        return self._open


def read_goals(path: Path) -> list[str]:
    """The goals in a file, one a line; empty lines and those that begin with # are left out."""
    try:
        lines = read_bytes(path, MOST_BYTES).decode().splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"--goals {path}: cannot be read ({error}); expected a text file, one goal a line") from None
    goals = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not goals:
        raise UserError(f"--goals {path}: no goal in it; expected one a line, such as: Go to the lantern")
    return goals


def goal_source(goals: list[str], say: Callable[[str], None]) -> GoalList | TypedGoals:
    """Typed goals where somebody can type, else the list."""
    return TypedGoals(goals, sys.stdin, say) if sys.stdin is not None and sys.stdin.isatty() else GoalList(goals)
