"""A sitting with labeled segments: what was decided, in order, so that all of it can be taken back."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from protege.core.labeled import LabeledSegment
from protege.core.session import Session
from protege.labeling.edit import Edit, accept, move_edge, recording_of, set_aside, undo
from protege.studio.segments import Card

RECENT: Final = 9
EDGE_S: Final = 0.5
"""By which an edge is moved at once."""


@dataclass
class Sitting:
    """Decisions on the segments of one folder; every one is on the disk before its method returns."""

    root: Path
    recent: list[str] = field(default_factory=list)
    _done: list[tuple[Edit, bool]] = field(default_factory=list)
    _used: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)
    _opened: tuple[str, Session] | None = None

    def know(self, cards: Sequence[Card]) -> None:
        """Offer the commonest goals until others have been used."""
        for goal, _ in Counter(card.goal for card in cards if card.goal).most_common(RECENT):
            if len(self.recent) < RECENT and goal not in self.recent:
                self.recent.append(goal)

    @property
    def decisions(self) -> int:
        return len(self._done)

    def accept(self, names: Sequence[str], goal: str | None, force: bool) -> Edit:
        edit = self._keep(lambda: accept(self.root, names, goal, force=force))
        if goal is not None:
            self._use(edit.after[0].goal)
        return edit

    def set_aside(self, names: Sequence[str]) -> Edit:
        return self._keep(lambda: set_aside(self.root, names))

    def move_edge(self, name: str, steps: int) -> Edit:
        def moved() -> Edit:
            return move_edge(self.root, name, steps * EDGE_S, self._session(name))

        return self._keep(moved, edge=True)

    def undo(self) -> Edit | None:
        """Take the latest decision back; None where there is none."""
        with self._lock:
            if not self._done:
                return None
            edit, edge = self._done[-1]
            undo(edit, self._session(edit.after[0].name) if edge else None)
            return self._done.pop()[0]

    def _keep(self, decide: Callable[[], Edit], edge: bool = False) -> Edit:
        with self._lock:
            edit = decide()
            self._done.append((edit, edge))
            return edit

    def _session(self, name: str) -> Session:
        """The recording of a segment, kept while its neighbours are looked at."""
        segment = LabeledSegment.load(self.root / name)
        if self._opened is None or self._opened[0] != segment.session:
            self._opened = (segment.session, recording_of(self.root, segment))
        return self._opened[1]

    def _use(self, goal: str) -> None:
        """A goal keeps its number; a new one takes that of the goal that was used least."""
        self._used[goal] += 1
        if goal in self.recent:
            return
        if len(self.recent) < RECENT:
            self.recent.append(goal)
        else:
            self.recent[min(range(RECENT), key=lambda i: (self._used[self.recent[i]], -i))] = goal
