"""Labeled segments on disk: segment.json and samples.jsonl, for whoever writes them and whoever trains.

<session>_seg000/ holds frame_0000.jpg …, segment.json (goal, how it was found, what was held) and samples.jsonl.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from protege.core.actions import KEYBOARD_12, Action, ActionSpace
from protege.core.chat import PROMPT_VERSION, Sample
from protege.core.fields import brief, is_int, is_number, require
from protege.core.files import Json, component, is_component, own_name, parse_json, read_bytes, read_json
from protege.core.lineage import Origin
from protege.core.plan import HORIZON
from protege.core.transaction import settle
from protege.errors import UserError

FORMAT_VERSION: Final = 1
LABELED, NEEDS_REVIEW, NO_SAMPLES = "labeled", "needs_review", "no_samples"
ASIDE: Final = "set aside by a person"
"""Why a segment has no samples that could have some."""
SEGMENT: Final = "segment.json"
SAMPLES: Final = "samples.jsonl"
MAX_HORIZON: Final = 1000
_MAX_FRAME: Final = 1 << 48
"""No recording has so many frames; positions beyond are no positions."""


@dataclass(frozen=True)
class Segment:
    """Frames [start, stop) of a session, all of one span.

    goal: what it is told or found to be about, or None; goal_stop: the frame after the last one that the goal
    covers (later than `stop` where the goal goes on); reached: whether the goal is reached there; end: how its episode
    ended, if the game said so.
    """

    start: int
    stop: int
    goal: str | None = None
    goal_stop: int = 0
    reached: bool = True
    end: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"a segment holds frames [start, stop), got [{self.start}, {self.stop})")
        if self.goal_stop < self.stop:
            object.__setattr__(self, "goal_stop", self.stop)

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def last(self) -> bool:
        """Whether the goal is over at the end of this segment."""
        return self.stop == self.goal_stop


@dataclass(frozen=True)
class Shape:
    """What decides the samples of a segment, apart from its goal.

    seconds: length of a segment
    horizon: actions in a window
    chords: a slot may name several keys ("w+right")
    tau_ms: the player's reaction time, by which actions are moved to earlier frames
    keep_idle: keep windows without a key inside a segment
    join: merge adjacent segments with the same goal
    """

    seconds: float = 4.0
    horizon: int = HORIZON
    chords: bool = False
    tau_ms: float = 0.0
    keep_idle: bool = False
    join: bool = False

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `vars`, older and partial ones included; TypeError or ValueError on anything else."""
        shape = cls(**fields)
        good = {
            "seconds": is_number(shape.seconds) and 0 < shape.seconds <= 1e9,
            "horizon": is_int(shape.horizon) and 1 <= shape.horizon <= MAX_HORIZON,
            "tau_ms": is_number(shape.tau_ms) and 0 <= shape.tau_ms <= 1e9,
            **{name: isinstance(vars(shape)[name], bool) for name in ("chords", "keep_idle", "join")},
        }
        require(vars(shape), good)
        return shape


@dataclass(frozen=True)
class LabeledSegment:
    """segment.json. start, stop: the session's frames [start, stop); goal_stop, reached: see `Segment`.

    status: "labeled", "needs_review" or "no_samples" (why says the reason); true_goal: what the game itself said;
    held, slots: what was held, and what the samples name, from `start` as far as the samples look; origin: where its
    frames were recorded first, positions counted from `start`; empty where an earlier version wrote it; seen: whether a
    person has decided about it (not in the file where nobody has); no model is asked about it again.
    """

    name: str
    session: str
    start: int
    stop: int
    goal: str
    status: str = LABELED
    why: str = ""
    by: str = ""
    paraphrases: tuple[str, ...] = ()
    true_goal: str | None = None
    goal_stop: int = 0
    reached: bool = True
    frame_hz: float = 10.0
    prompt_version: int = PROMPT_VERSION
    shape: Shape = field(default_factory=Shape)
    space: ActionSpace = KEYBOARD_12
    held: tuple[Action, ...] = ()
    slots: tuple[Action, ...] = ()
    origin: tuple[Origin, ...] = ()
    seen: bool = False

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def segment(self) -> Segment:
        """The segment with its first frame counted as 0, as its own slots are."""
        return Segment(0, len(self), self.goal, self.goal_stop - self.start, self.reached)

    def same_as(self, other: "LabeledSegment") -> bool:
        """Whether both are about the same frames, with the same goal reaching as far."""
        names = ("start", "stop", "goal", "status", "goal_stop", "reached")
        return all(vars(self)[name] == vars(other)[name] for name in names)

    def to_json(self) -> dict[str, Json]:
        skip = ("space", "held", "slots", "shape", "origin", "seen")
        return {
            "format_version": FORMAT_VERSION,
            **{k: v for k, v in vars(self).items() if k not in skip},
            "shape": dict(vars(self.shape)),
            "held": runs([self.space.spell(action) for action in self.held]),
            "slots": runs([self.space.spell(action) for action in self.slots]),
            "action_space": self.space.to_json(),
            **({"origin": [origin.to_json() for origin in self.origin]} if self.origin else {}),
            **({"seen": True} if self.seen else {}),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], frames: int = _MAX_FRAME) -> Self:
        """The inverse of `to_json`; KeyError, TypeError, AttributeError or ValueError on anything else.

        frames: how many pictures are there, before anything is counted out that the file claims.
        """
        version = fields["format_version"]
        if not is_int(version) or version > FORMAT_VERSION:
            raise ValueError(f"format version {brief(version)}; update protege")
        special = {"space", "held", "slots", "shape", "paraphrases", "origin", "seen"}
        named = {k: fields[k] for k in cls.__dataclass_fields__ if k not in special}
        space = ActionSpace.from_json(fields["action_space"])
        origin = tuple(Origin.from_json(one) for one in fields.get("origin", ()))
        shape, seen = Shape.from_json(fields["shape"]), fields.get("seen", False)
        made = cls(**named, space=space, shape=shape, origin=origin, seen=seen)
        _check(made, fields)
        if len(made) > frames:
            raise ValueError(f"frames {made.start} to {made.stop}, but {frames} pictures are there")
        most = len(made) + made.shape.horizon
        return replace(
            made,
            paraphrases=tuple(fields["paraphrases"]),
            held=tuple(space.parse(text) for text in unroll(fields["held"], most)),
            slots=tuple(space.parse(text) for text in unroll(fields["slots"], most)),
        )

    @classmethod
    def load(cls, folder: Path, *, partial: bool = False) -> Self:
        """UserError if the folder holds no labeled segment that can be read.

        partial: what is missing is taken to be as in the source documents; samples alone are enough to train on.
        """
        path = folder / SEGMENT
        try:
            fields = _with_defaults(path) if partial else read_json(path)
            own_name(folder, fields["name"], path, "name")
            component(folder, fields["session"], path, "session")
            return cls.from_json(fields, max(count_pictures(folder), int(partial)))
        except FileNotFoundError:
            raise UserError(f"{folder}: no segment.json, so this is not a labeled segment; label again") from None
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            why = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}: cannot be read ({why}); remove {folder} and label again") from None

    def approved(self, goal: str) -> Self:
        """The segment with a goal that a person has seen. The goal is taken to be reached where the segment ends."""
        return replace(self, goal=goal, status=LABELED, why="", goal_stop=self.stop, reached=True, seen=True)

    def set_aside(self) -> Self:
        """The segment as a person does not want it trained on."""
        return replace(self, status=NO_SAMPLES, why=ASIDE, seen=True)


def _with_defaults(path: Path) -> dict[str, Any]:
    """The fields of a segment.json that need not be whole, or be there at all."""
    try:
        found = read_json(path)
    except FileNotFoundError:
        found = {}
    if not isinstance(found, dict):
        raise TypeError(f"{brief(found)} instead of fields")
    name = path.parent.name
    blank = LabeledSegment(name, name.rpartition("_seg")[0] or name, 0, 1, "")
    return {**blank.to_json(), **found, "shape": {**vars(blank.shape), **(found.get("shape") or {})}}


def _check(made: LabeledSegment, fields: Mapping[str, Any]) -> None:
    """TypeError or ValueError names the first field that is not what it should be."""
    good = {
        "name": is_component(made.name),
        "session": is_component(made.session),
        "start": is_int(made.start) and made.start >= 0,
        "stop": is_int(made.stop) and is_int(made.start) and made.start < made.stop < _MAX_FRAME,
        "goal_stop": is_int(made.goal_stop) and 0 <= made.goal_stop < _MAX_FRAME,
        "goal": isinstance(made.goal, str),
        "status": made.status in (LABELED, NEEDS_REVIEW, NO_SAMPLES),
        "why": isinstance(made.why, str),
        "by": isinstance(made.by, str),
        "true_goal": made.true_goal is None or isinstance(made.true_goal, str),
        "reached": isinstance(made.reached, bool),
        "seen": isinstance(made.seen, bool),
        "frame_hz": is_number(made.frame_hz) and 0.01 <= made.frame_hz <= 1000,
        "prompt_version": is_int(made.prompt_version),
    }
    require(vars(made), good)
    stops = [0, *(origin.stop for origin in made.origin)]
    if made.origin and ([o.start for o in made.origin] != stops[:-1] or stops[-1] != len(made)):
        raise ValueError("origin does not cover its frames")
    phrases = fields["paraphrases"]
    if not isinstance(phrases, list | tuple) or not all(isinstance(text, str) for text in phrases):
        raise TypeError(f"paraphrases is {brief(phrases)}")


def frame_name(number: int) -> str:
    """A segment's picture: frame_0000.jpg, frame_0001.jpg …"""
    return f"frame_{number:04d}.jpg"


def segment_name(session: str, number: int) -> str:
    """A segment's folder: session_seg000, session_seg001 …"""
    return f"{session}_seg{number:03d}"


def count_pictures(folder: Path) -> int:
    """How many pictures lie in a segment's folder."""
    return sum(1 for _ in folder.glob("frame_*.jpg"))


def find_segments(folder: Path) -> list[Path]:
    """The labeled segments in `folder` (or `folder` itself), in order of session and number; what a killed edit had
    decided is done.
    """
    if (folder / SEGMENT).exists():
        return [folder]
    settle(folder)
    found = [path.parent for path in folder.glob(f"*/{SEGMENT}") if not path.parent.name.startswith(".")]
    return sorted(found, key=segment_order)


def segment_order(folder: Path) -> tuple[str, int, str]:
    """(session, number, rest) by a segment's folder name."""
    session, _, number = folder.name.rpartition("_seg")
    return (session, int(number), "") if number.isascii() and number.isdigit() else (folder.name, -1, "")


def read_samples(path: Path, space: ActionSpace, horizon: int = HORIZON) -> Iterator[Sample]:
    """The examples of a samples.jsonl, line by line; UserError names a line that is none, or names a file elsewhere."""
    again = f"remove {path.parent} and label again"
    try:
        lines = read_bytes(path).split(b"\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {again}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            sample = Sample.from_json(parse_json(line), space, horizon)
        except ValueError as error:
            raise UserError(f"{path}:{number}: {error}; {again}") from None
        component(path.parent, sample.image, path, f"the image of line {number}")
        yield sample


def runs(steps: Sequence[str]) -> list[tuple[str, int]]:
    """Consecutive equal texts with their counts; `unroll` undoes it."""
    found: list[tuple[str, int]] = []
    for text in steps:
        if found and found[-1][0] == text:
            found[-1] = (text, found[-1][1] + 1)
        else:
            found.append((text, 1))
    return found


def unroll(pairs: Sequence[tuple[str, int]], most: int) -> list[str]:
    """The texts that `runs` counted, `most` of them at most; ValueError on anything else."""
    found: list[str] = []
    for text, count in pairs:
        if not isinstance(text, str) or not is_int(count) or not 0 <= count <= most - len(found):
            raise ValueError(f"{brief([text, count])} among the keys of {most} frames at most")
        found += [text] * count
    return found
