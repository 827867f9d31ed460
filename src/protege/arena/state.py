"""What the engine knows about a moment of an episode, and the rules that judge it; pure, no engine needed."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from protege.arena.rooms import STEP_RISE, STEPS, Layout, Placed, Pose
from protege.arena.tasks import Task
from protege.core.actions import NO_KEYS, Action
from protege.core.files import Json

DECISION_HZ: Final = 10
TICS_HZ: Final = 35
MAX_DECISIONS: Final = 150
"""An episode is over after 15 seconds of game time."""

NEAR: Final = 96.0
"""Map units from an object's middle at which a player has reached it."""
FACING_DEG: Final = 45.0
DOOR_OPEN: Final = 64.0
POSTERS_NEAR: Final = 144.0
POSTERS_FACING_DEG: Final = 25.0
POSTERS_INCIDENCE_DEG: Final = 60.0
STOPPED_DECISIONS: Final = 5


def tics_of(decision: int) -> int:
    """Engine tics of the n-th decision: 3 and 4 by turns, 35 a second at 10 decisions."""
    return 3 + decision % 2


@dataclass(frozen=True)
class ArenaState:
    """Where the player is in which layout. door_gap: by how many units the door stands open, 0 without a door."""

    layout: Layout
    pose: Pose
    door_gap: float = 0.0


class End(StrEnum):
    """Why an episode ended."""

    SUCCESS = "success"
    WRONG_OBJECT = "wrong_object"
    TIMEOUT = "timeout"


def reached(state: ArenaState) -> bool:
    """Whether the goal is reached at this moment."""
    layout, pose = state.layout, state.pose
    match layout.goal.task:
        case Task.GO_TO:
            return touches(pose, layout.target)
        case Task.OPEN_DOOR:
            return state.door_gap >= DOOR_OPEN
        case Task.CLIMB_STAIRS:
            return pose.z >= STEPS * STEP_RISE - 1
        case Task.CHECK_POSTERS:
            assert layout.posters is not None
            return (
                pose.distance(layout.aim) <= POSTERS_NEAR
                and abs(pose.bearing(layout.aim)) <= POSTERS_FACING_DEG
                and layout.posters.incidence_deg((pose.x, pose.y)) <= POSTERS_INCIDENCE_DEG
            )


def touches(pose: Pose, placed: Placed | None) -> bool:
    """Whether a player stands at an object and faces it."""
    return placed is not None and pose.distance(placed.at) < NEAR and abs(pose.bearing(placed.at)) <= FACING_DEG


@dataclass
class Judge:
    """Follows one episode decision by decision.

    A go-to episode ends as wrong_object only when the player holds no key for STOPPED_DECISIONS decisions at an object
    that was not asked for: walking past one is no mistake. `first_object` is the first object touched at all, and
    `wrong_object` the last wrong one, whether the episode ended there or not. Success is the first moment at which the
    goal is reached and stays true.
    """

    layout: Layout
    max_decisions: int = MAX_DECISIONS
    decisions: int = 0
    stopped: int = 0
    success: bool = False
    first_object: str | None = None
    wrong_object: str | None = None
    end: End | None = field(default=None, init=False)

    def observe(self, state: ArenaState, action: Action) -> End | None:
        """The state after one decision and the keys held in it; returns how the episode ended, None while it runs."""
        self.decisions += 1
        self.stopped = self.stopped + 1 if action == NO_KEYS else 0
        touched = next((p for p in state.layout.objects if touches(state.pose, p)), None)
        wrong = touched is not None and touched.kind != self.layout.goal.kind
        if touched is not None and self.first_object is None:
            self.first_object = touched.kind.name
        if touched is not None and wrong:
            self.wrong_object = touched.kind.name
        self.success = self.success or reached(state)
        if self.end is None:
            if self.success:
                self.end = End.SUCCESS
            elif wrong and self.layout.goal.task is Task.GO_TO and self.stopped >= STOPPED_DECISIONS:
                self.end = End.WRONG_OBJECT
            elif self.decisions >= self.max_decisions:
                self.end = End.TIMEOUT
        return self.end

    def report(self) -> dict[str, Json]:
        """What `info` and the window's log say about the episode so far."""
        return {
            "end": None if self.end is None else str(self.end),
            "success": self.success,
            "first_object": self.first_object,
            "wrong_object": self.wrong_object,
            "decisions": self.decisions,
        }
