"""What the engine knows about a moment of an episode, and the rules that judge it; pure, no engine needed."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from protege.arena.layouts import Layout, Placed, Pose
from protege.arena.rooms import STEP_RISE, STEPS
from protege.arena.tasks import MemoryTask, Task
from protege.core.actions import NO_KEYS, Action
from protege.core.files import Json

DECISION_HZ: Final = 10
TICS_HZ: Final = 35
MAX_DECISIONS: Final = 150
"""An episode is over after 15 seconds of game time."""

NEAR: Final = 96.0
"""Map units from an object's middle at which a player has reached it."""
AWAY: Final = 2 * NEAR
"""From here on a player has left what he touched."""
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
    """Where the player is in which layout. door_gap, entrance_gap: by how many units the door and the entrance stand
    open, 0 without one.
    """

    layout: Layout
    pose: Pose
    door_gap: float = 0.0
    entrance_gap: float = 0.0


class End(StrEnum):
    """Why an episode ended."""

    SUCCESS = "success"
    WRONG_OBJECT = "wrong_object"
    TIMEOUT = "timeout"


def reached(state: ArenaState) -> bool:
    """Whether the goal is reached at this moment; False for goals that take several, which `Touched` follows."""
    layout, pose = state.layout, state.pose
    match layout.goal.task:
        case Task.GO_TO:
            return touches(pose, layout.target)
        case Task.OPEN_DOOR | MemoryTask.OTHER_DOOR:
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
        case MemoryTask.BOTH_TORCHES | MemoryTask.GO_BACK:
            return False


def touches(pose: Pose, placed: Placed | None) -> bool:
    """Whether a player stands at an object and faces it."""
    return placed is not None and pose.distance(placed.at) < NEAR and abs(pose.bearing(placed.at)) <= FACING_DEG


@dataclass
class Touched:
    """What a player has touched so far of a goal that needs memory, and with it whether he has reached the goal, or
    taken the wrong one of two that look alike: a torch again, the end where he did not begin, the door he came in by.
    """

    layout: Layout
    reached: bool = False
    wrong: bool = False
    _once: set[int] = field(default_factory=set)
    _left: set[int] = field(default_factory=set)

    def observe(self, state: ArenaState) -> None:
        """The state after a decision."""
        match self.layout.goal.task:
            case MemoryTask.BOTH_TORCHES:
                for torch in self.layout.legs:
                    self._visit(torch, state.pose)
                self.reached = self.reached or len(self._once) == len(self.layout.legs)
            case MemoryTask.GO_BACK:
                first, last = self.layout.legs
                self._visit(first, state.pose)
                if self._once:
                    others = [p for p in self.layout.objects if p.kind == last.kind and p != last]
                    self.reached = self.reached or touches(state.pose, last)
                    self.wrong = self.wrong or any(touches(state.pose, other) for other in others)
            case MemoryTask.OTHER_DOOR:
                self.wrong = self.wrong or state.entrance_gap >= DOOR_OPEN
            case _:
                pass

    def _visit(self, placed: Placed, pose: Pose) -> None:
        if touches(pose, placed):
            self.wrong = self.wrong or (placed.tid in self._left and self.layout.goal.task is MemoryTask.BOTH_TORCHES)
            self._once.add(placed.tid)
        elif placed.tid in self._once and pose.distance(placed.at) > AWAY:
            self._left.add(placed.tid)


@dataclass
class Judge:
    """Follows one episode decision by decision.

    An episode of a goal that needs memory ends as wrong_object at once where `Touched` says so.

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
    _memory: Touched = field(init=False)

    def __post_init__(self) -> None:
        self._memory = Touched(self.layout)

    def observe(self, state: ArenaState, action: Action) -> End | None:
        """The state after one decision and the keys held in it; returns how the episode ended, None while it runs."""
        self.decisions += 1
        self.stopped = self.stopped + 1 if action == NO_KEYS else 0
        touched = next((p for p in state.layout.objects if touches(state.pose, p)), None)
        wrong = touched is not None and touched.kind != self.layout.goal.kind
        go_to = self.layout.goal.task is Task.GO_TO
        if touched is not None and self.first_object is None:
            self.first_object = touched.kind.name
        if touched is not None and wrong:
            self.wrong_object = touched.kind.name
        self._memory.observe(state)
        self.success = self.success or reached(state) or self._memory.reached
        if self.end is None:
            if self.success:
                self.end = End.SUCCESS
            elif self._memory.wrong or (wrong and go_to and self.stopped >= STOPPED_DECISIONS):
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
