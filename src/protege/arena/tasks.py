"""What can be asked of a player in the arena: objects to go to, a door, stairs, posters, and the words for each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protege.errors import UserError


class Task(StrEnum):
    """The kinds of goals; each is judged and played differently."""

    GO_TO = "go_to"
    OPEN_DOOR = "open_door"
    CLIMB_STAIRS = "climb_stairs"
    CHECK_POSTERS = "check_posters"


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
    task: Task
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


def find_goal(text: str) -> Goal:
    """The goal with this name, sentence or paraphrase (letter case does not matter); UserError lists the names."""
    wanted = text.strip().rstrip(".").lower()
    for goal in GOALS.values():
        if wanted in (goal.name, goal.sentence.lower(), *(words.lower() for words in goal.paraphrases)):
            return goal
    raise UserError(f"the arena has no goal {text!r}; its goals are: {', '.join(GOALS)}")
