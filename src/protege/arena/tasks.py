"""What can be asked of a player in the arena: objects to go to, a door, stairs, posters, and the words for each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from protege.errors import UserError


class Task(StrEnum):
    """The kinds of goals; each is judged and played differently."""

    GO_TO = "go_to"
    OPEN_DOOR = "open_door"
    CLIMB_STAIRS = "climb_stairs"
    CHECK_POSTERS = "check_posters"


class MemoryTask(StrEnum):
    """The kinds of goals that one picture cannot decide; no seed draws them, they are asked for."""

    BOTH_TORCHES = "both_torches"
    GO_BACK = "go_back"
    OTHER_DOOR = "other_door"


MEMORY: Final = "memory"
"""All memory tasks, where a task is asked for by name."""

Rooms = Task | MemoryTask | Literal["memory"] | None
"""Which rooms to play in: of one kind of goal, of all memory goals by turns, or all that seeds draw (None)."""


@dataclass(frozen=True)
class Kind:
    """A kind of object in a room.

    number: its engine type in our DECORATE lump; alike: kinds that look the same but for their colour share this word.
    """

    name: str
    number: int
    alike: str = ""


@dataclass(frozen=True)
class Goal:
    """A goal: `name` is short and unique, `sentence` has 3 to 5 words, `paraphrases` say the same in other words."""

    name: str
    task: Task | MemoryTask
    sentence: str
    paraphrases: tuple[str, ...]
    kind: Kind | None = None

    def __post_init__(self) -> None:
        if not 3 <= len(self.sentence.split()) <= 5:
            raise ValueError(f"a goal is a sentence of 3 to 5 words, got {self.sentence!r}")
        if (self.kind is not None) != (self.task is Task.GO_TO):
            raise ValueError(f"exactly a {Task.GO_TO} goal names a kind of object, got {self.name!r}")


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("lantern", 20001),
        Kind("red torch", 20002, alike="torch"),
        Kind("green torch", 20003, alike="torch"),
        Kind("blue torch", 20004, alike="torch"),
        Kind("candelabra", 20005),
        Kind("red pillar", 20006, alike="pillar"),
        Kind("green pillar", 20007, alike="pillar"),
        Kind("blue pillar", 20008, alike="pillar"),
        Kind("yellow pillar", 20009, alike="pillar"),
        Kind("tree", 20010),
        Kind("barrel", 20011),
    )
}

_OTHER_WORDS: Final = {
    "lantern": "lamp",
    "candelabra": "candle holder",
    "red pillar": "red column",
    "green pillar": "green column",
    "blue pillar": "blue column",
    "yellow pillar": "yellow column",
    "red torch": "red flame",
    "green torch": "green flame",
    "blue torch": "blue flame",
    "tree": "plant",
    "barrel": "drum",
}


def _go_to(kind: Kind) -> Goal:
    words = (
        f"Walk to the {kind.name}",
        f"Approach the {kind.name}",
        f"Find the {kind.name}",
        f"Move to the {kind.name}",
        f"Go to the {_OTHER_WORDS[kind.name]}",
    )
    return Goal(kind.name, Task.GO_TO, f"Go to the {kind.name}", words, kind)


GOALS: Final = {
    goal.name: goal
    for goal in (
        *(_go_to(kind) for kind in KINDS.values()),
        Goal(
            "door",
            Task.OPEN_DOOR,
            "Open the door",
            ("Go open the door", "Unlock the door", "Use the door", "Get the door open"),
        ),
        Goal(
            "stairs",
            Task.CLIMB_STAIRS,
            "Climb the stairs",
            ("Go up the stairs", "Walk up the stairs", "Climb the steps", "Take the stairs up"),
        ),
        Goal(
            "posters",
            Task.CHECK_POSTERS,
            "Check the posters",
            ("Look at the posters", "Inspect the posters", "Go see the posters", "Read the wall posters"),
        ),
    )
}


MEMORY_GOALS: Final = {
    goal.name: goal
    for goal in (
        Goal(
            "both torches",
            MemoryTask.BOTH_TORCHES,
            "Touch both torches",
            ("Go to both torches", "Walk to both torches", "Reach the two torches", "Touch the two torches"),
        ),
        Goal(
            "start",
            MemoryTask.GO_BACK,
            "Go back to the start",
            ("Return to the start", "Walk back to the start", "Go back where you began", "Return where you began"),
        ),
        Goal(
            "other door",
            MemoryTask.OTHER_DOOR,
            "Leave by the other door",
            ("Open the other door", "Go to the other door", "Use the other door", "Take the other door"),
        ),
    )
}
ALL_GOALS: Final = GOALS | MEMORY_GOALS


def find_goal(text: str) -> Goal:
    """The goal with this name, sentence or paraphrase (letter case does not matter); UserError lists the names."""
    wanted = text.strip().rstrip(".").lower()
    for goal in ALL_GOALS.values():
        if wanted in (goal.name, goal.sentence.lower(), *(words.lower() for words in goal.paraphrases)):
            return goal
    raise UserError(f"the arena has no goal {text!r}; its goals are: {', '.join(ALL_GOALS)}")


TASKS: Final[dict[str, Rooms]] = {
    **{str(task): task for task in (*Task, *MemoryTask)},
    MEMORY: MEMORY,
}
"""The tasks that can be asked for, by name."""


def memory_goal(task: Rooms, number: int) -> Goal | None:
    """What the n-th room of a memory task asks for, by turns where it is all of them; None for other tasks."""
    goals = [goal for goal in MEMORY_GOALS.values() if task in (MEMORY, goal.task)]
    return goals[number % len(goals)] if goals else None
