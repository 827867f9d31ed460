"""The expert as the person beside an agent: takes over where it has been off course for a second, and hands back."""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from protege.arena.expert import IN_VIEW_DEG, Expert
from protege.arena.state import ArenaState
from protege.core.actions import Action

WATCHED: Final = 10
"""Decisions, one second, over which progress is measured."""
LEAST: Final = 2.0
"""Of those, so many must have brought the goal nearer."""
PLAYS: Final = 20
"""Decisions that a takeover lasts at least: shorter ones make no segment, and their last windows are cut off."""
UNITS_A_DECISION: Final = 25.0
DEG_A_DECISION: Final = 12.0
"""What walking and turning do in one decision."""
TURNED_DEG: Final = 30.0
"""Who turns by so much in a second is looking for a goal that he has not seen yet."""


@dataclass
class Person:
    """Whether a person plays the next decision, and what he holds; asked before every decision of an episode.

    The agent is off course if after a second the way to the goal has not become shorter: it walked away, turned away,
    stands at a wall or at a wrong object, or said done too early. Turning counts as progress until the goal has been
    on the screen. The person hands back after two seconds or more, once the way becomes shorter, but plays the last
    second himself.
    """

    expert: Expert = field(default_factory=Expert)
    playing: bool = False
    _seen: bool = False
    _ways: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=WATCHED + 1))
    _since: int = 0

    def start_episode(self) -> None:
        """Forgets the last episode; the agent begins."""
        self._seen = False
        self.expert.start_episode()
        self._change(False)

    def watch(self, state: ArenaState) -> bool:
        """Whether the person plays the next decision."""
        units, degrees = self.expert.course(state)
        self._seen = self._seen or abs(degrees) <= IN_VIEW_DEG
        left = units / UNITS_A_DECISION + abs(degrees) / DEG_A_DECISION
        self._ways.append((left, state.pose.angle_deg, state.door_gap))
        self._since += 1
        if len(self._ways) > WATCHED:
            on_course = self._on_course()
            if not self.playing and not on_course:
                self._change(True)
            elif self.playing and on_course and self._since > PLAYS and left > WATCHED:
                self._change(False)
        return self.playing

    def act(self, state: ArenaState) -> Action:
        """The keys that the person holds for the next decision."""
        return self.expert.act(state)

    def _on_course(self) -> bool:
        (first, _, gap), (last, _, gap_now) = self._ways[0], self._ways[-1]
        turned = sum(abs((b[1] - a[1] + 180) % 360 - 180) for a, b in pairwise(self._ways))
        searching = not self._seen and turned >= TURNED_DEG
        return searching or gap_now > gap or first - last >= LEAST

    def _change(self, playing: bool) -> None:
        self.playing = playing
        self.expert.take_over()
        self._ways.clear()
        self._since = 0
