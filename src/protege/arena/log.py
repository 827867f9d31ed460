"""The window's log: one JSON line per tic and at the start and end of every episode; its writer and its reader."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Final

from protege.arena.rooms import Layout, Pose, layout
from protege.arena.state import ArenaState
from protege.arena.tasks import ALL_GOALS


@dataclass(frozen=True)
class Opened:
    """The window is there, with this title at its beginning; window: its number on an X server, else None."""

    t_ns: int
    title: str
    size: tuple[int, int]
    window: int | None = None


@dataclass(frozen=True)
class Started:
    """An episode begins. goal: its sentence; goal_name: the short name, which rebuilds the layout with the seed."""

    t_ns: int
    episode: int
    seed: int
    goal: str
    goal_name: str
    task: str

    @property
    def layout(self) -> Layout:
        return _layout(self.seed, self.goal_name)


@dataclass(frozen=True)
class Tic:
    """One tic of the engine: the buttons it saw (every key of KEYBOARD_12), and where the player is after it."""

    t_ns: int
    buttons: dict[str, bool]
    x: float
    y: float
    z: float
    angle_deg: float
    pitch_deg: float
    door_gap: float

    def state(self, made: Layout) -> ArenaState:
        """The state that the expert plays from."""
        return ArenaState(made, Pose(self.x, self.y, self.z, self.angle_deg, self.pitch_deg), self.door_gap)


@dataclass(frozen=True)
class Ended:
    """An episode is over; end: success, wrong_object or timeout."""

    t_ns: int
    episode: int
    seed: int
    end: str
    first_object: str | None
    wrong_object: str | None


Line = Opened | Started | Tic | Ended
_KINDS: Final[dict[str, type[Line]]] = {"opened": Opened, "started": Started, "tic": Tic, "ended": Ended}
_NAMES: Final = {made: name for name, made in _KINDS.items()}


@lru_cache(maxsize=64)
def _layout(seed: int, goal_name: str) -> Layout:
    return layout(seed, ALL_GOALS[goal_name])


def write_line(line: Line) -> str:
    """A line of the log, with its end of line."""
    return json.dumps({"kind": _NAMES[type(line)]} | asdict(line)) + "\n"


def read_line(text: str) -> Line:
    """The inverse of `write_line`; ValueError says what was found."""
    try:
        fields = json.loads(text)
        made = _KINDS[fields.pop("kind")]
        if made is Opened:
            fields["size"] = tuple(fields["size"])
        return made(**fields)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a line of the arena's log: {text[:80]!r} ({error})") from None


def read_lines(texts: Iterable[str]) -> Iterator[Line]:
    """The lines of a log or of a running window's output; a last line that was cut off is left out."""
    for text in texts:
        if text.endswith("\n"):
            yield read_line(text)
