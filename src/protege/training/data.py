"""Labeled segments as a dataset: a few numbers per sample in memory, pictures on disk until they are used."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.core import HORIZON, KEYBOARD_12, Action, ActionSpace, Plan
from protege.core.chat import PROMPT_VERSION, Sample
from protege.core.history import History
from protege.core.labeled import SAMPLES, LabeledSegment, frame_name, read_samples
from protege.core.once import relatives, repeated
from protege.errors import UserError
from protege.training.timeline import Timeline

NAME_BYTES: Final = 24
"""Longest picture name that is kept; frame_0000.jpg has 14."""
_NUMBER: Final = re.compile(r"frame_([0-9]+)\.jpg")
MAX_KEYS: Final = 63
"""Keys held are kept as bits of one number, whose sign is needed where the lowest bit is looked for."""


@dataclass(frozen=True)
class Shape:
    """What all samples of a dataset have in common, from its segment.json files."""

    space: ActionSpace = KEYBOARD_12
    horizon: int = HORIZON
    chords: bool = False
    frame_hz: float = 10.0
    prompt_version: int = PROMPT_VERSION


@dataclass(frozen=True)
class Example:
    """One sample with all that is needed to train on it or to show it."""

    path: Path
    goal: str
    plan: Plan


@dataclass(frozen=True)
class LabeledData:
    """N samples of labeled segments.

    folders: of the segments.
    session: per folder the recording it was cut from.
    family: per folder the first of the recordings that share play with that recording (cut or copied from it).
    goals: every goal once; paraphrases: per goal its other wordings.
    held: (N, H) uint32 (uint64 from 32 keys on), a bit per key held in a slot.
    turned: (N, H, 2) bins (yaw, pitch) of the mouse in a slot; (N, H, 0) without one.
    names: (N,) picture names in their segment's folder.
    segment, goal: (N,) positions in `folders` and `goals`.
    timeline: of the folders.
    repeated: number of samples left out because their frame is also in another recording.
    """

    shape: Shape
    folders: tuple[Path, ...]
    session: tuple[str, ...]
    family: tuple[str, ...]
    goals: tuple[str, ...]
    paraphrases: tuple[tuple[str, ...], ...]
    held: NDArray[np.unsignedinteger]
    turned: NDArray[np.uint8]
    names: NDArray[np.bytes_]
    segment: NDArray[np.int32]
    goal: NDArray[np.int32]
    timeline: Timeline
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, i: int) -> Example:
        steps = (self._action(bits, bins) for bits, bins in zip(self.held[i], self.turned[i], strict=True))
        return Example(self.path(i), self.goals[self.goal[i]], Plan(tuple(steps)))

    def path(self, i: int) -> Path:
        return self.folders[self.segment[i]] / self.names[i].decode()

    def earlier(self, i: int, history: History) -> list[Path]:
        """The pictures of the earlier frames that a sample shows, the oldest first."""
        number, segment = _NUMBER.fullmatch(self.names[i].decode()), int(self.segment[i])
        if number is None:
            raise UserError(f"{self.path(i)}: its name says no number, so nothing tells what came before; label again")
        index = int(self.timeline.first[segment]) + int(number[1])
        places = (self.timeline.find(segment, before) for before in history.earlier(index))
        return [self.folders[place] / frame_name(frame) for place, frame in places]

    def _action(self, bits: np.integer, bins: NDArray[np.uint8]) -> Action:
        space = self.shape.space
        keys = frozenset(key for k, key in enumerate(space.pressable) if int(bits) >> k & 1)
        return keys | space.look.turned(bins.tolist()) if space.look else keys

    @property
    def done(self) -> NDArray[np.bool_]:
        """(N,) whether no slot holds a key or turns the view."""
        return ((self.held == 0) & self._still.all(-1)).all(1)

    @property
    def _still(self) -> NDArray[np.bool_]:
        """(N, H, 2) whether an axis of the mouse stands still in a slot."""
        look = self.shape.space.look
        return (
            self.turned == [len(axis.symbols) // 2 for axis in look.axes] if look else np.ones_like(self.turned, bool)
        )

    @property
    def kinds(self) -> NDArray[np.int64]:
        """(N, H) a number for each slot's `columns` and the side to which the mouse turns it: what balancing evens out,
        where the bins themselves would be too many kinds.
        """
        if self.shape.space.look is None:
            return self.columns
        yaw = self.turned[..., 0].astype(np.int64)
        return 3 * self.columns + np.sign(yaw - len(self.shape.space.look.yaw.symbols) // 2) + 1

    @property
    def columns(self) -> NDArray[np.int64]:
        """(N, H) the column of each slot's action; of a chord the first key in the order of the space."""
        # x & -x leaves the lowest bit that is set, whose logarithm is the key's column
        held = self.held.astype(np.int64)
        lowest = (held & -held).astype(np.float64)
        return np.where(self.held > 0, np.log2(np.maximum(lowest, 1)), len(self.shape.space) - 1).astype(np.int64)

    def take(self, rows: NDArray[np.integer]) -> "LabeledData":
        """The samples at these positions."""
        parts = (self.held[rows], self.turned[rows], self.names[rows], self.segment[rows], self.goal[rows])
        named = (self.folders, self.session, self.family, self.goals, self.paraphrases)
        return LabeledData(self.shape, *named, *parts, self.timeline, self.repeated)

    def joined(self, more: "LabeledData") -> "LabeledData":
        """These samples, then those of other data of the same shape; a goal that both have keeps its own wordings."""
        goals = {goal: number for number, goal in enumerate(dict.fromkeys((*self.goals, *more.goals)))}
        words = dict(zip(more.goals, more.paraphrases, strict=True)) | dict(
            zip(self.goals, self.paraphrases, strict=True)
        )
        number = np.array([goals[goal] for goal in more.goals], np.int32)
        return LabeledData(
            self.shape,
            self.folders + more.folders,
            self.session + more.session,
            self.family + more.family,
            tuple(goals),
            tuple(words[goal] for goal in goals),
            np.concatenate([self.held, more.held]),
            np.concatenate([self.turned, more.turned]),
            np.concatenate([self.names, more.names]),
            np.concatenate([self.segment, more.segment + np.int32(len(self.folders))]),
            np.concatenate([self.goal, number[more.goal]]),
            self.timeline.joined(more.timeline),
            self.repeated,
        )

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read every samples.jsonl below `folder`; UserError where there is nothing to train on."""
        collected = _Collected()
        folders = find_segments(folder)
        segments = [replace(LabeledSegment.load(path, partial=True), held=(), slots=()) for path in folders]
        for path, labeled, again in zip(folders, segments, repeated(segments), strict=True):
            collected.add(path, labeled, again)
        if not collected.held:
            raise UserError(
                f"{folder}: its {len(collected.folders)} segments hold no sample; record with keys and label again"
            )
        shape = collected.shape or Shape()
        return cls(
            shape,
            tuple(collected.folders),
            tuple(collected.session),
            tuple(relatives(segments)),
            tuple(collected.goals),
            tuple(tuple(sorted(words)) for words in collected.paraphrases),
            np.frombuffer(collected.held, _bits(shape)).reshape(-1, shape.horizon),
            np.frombuffer(collected.turned, np.uint8).reshape(
                len(collected), shape.horizon, 2 if shape.space.look else 0
            ),
            np.frombuffer(collected.names, f"S{NAME_BYTES}"),
            np.repeat(np.arange(len(collected.counts), dtype=np.int32), collected.counts),
            np.frombuffer(collected.goal, np.int32),
            Timeline.of(segments),
            collected.repeated,
        )


def find_segments(folder: Path) -> list[Path]:
    """The folders with a samples.jsonl below `folder`, or `folder` itself; UserError says what is missing."""
    if (folder / SAMPLES).is_file():
        return [folder]
    if not folder.is_dir():
        raise UserError(f"{folder}: no labeled data here; label recordings first with: protege label")
    found = sorted(path.parent for path in folder.glob(f"*/{SAMPLES}") if not path.parent.name.startswith("."))
    if not found:
        inside = sum(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir())
        what = f"none of its {inside} folders has a {SAMPLES}" if inside else "the folder is empty"
        raise UserError(f"{folder}: no labeled data ({what}); label recordings first with: protege label")
    return found


class _Collected:
    """Collects samples while segments are read; as bytes, since millions of Python objects would fill the memory."""

    def __init__(self) -> None:
        self.shape: Shape | None = None
        self.folders: list[Path] = []
        self.session: list[str] = []
        self.counts: list[int] = []
        self.goals: dict[str, int] = {}
        self.paraphrases: list[set[str]] = []
        self.repeated = 0
        self.held, self.turned, self.names, self.goal = bytearray(), bytearray(), bytearray(), bytearray()

    def __len__(self) -> int:
        return sum(self.counts)

    def add(self, folder: Path, labeled: LabeledSegment, repeated: frozenset[int]) -> None:
        """repeated: frames (from 0) that are read from another segment."""
        shape = _shape(folder, labeled)
        if self.shape not in (None, shape):
            raise UserError(
                f"{folder}: labeled with {shape}, other segments with {self.shape}; "
                "train on data labeled in one way, or label again"
            )
        self.shape = shape
        count = 0
        for sample in read_samples(folder / SAMPLES, shape.space, shape.horizon):
            if repeated and (found := _NUMBER.fullmatch(sample.image)) and int(found[1]) in repeated:
                self.repeated += 1
                continue
            self._add(sample, shape, labeled)
            count += 1
        self.folders.append(folder)
        self.session.append(labeled.session)
        self.counts.append(count)

    def _add(self, sample: Sample, shape: Shape, labeled: LabeledSegment) -> None:
        name = sample.image.encode()
        if len(name) > NAME_BYTES:
            raise UserError(f"{sample.image!r}: a sample names a picture beside it, such as frame_0000.jpg")
        if sample.goal not in self.goals:
            self.goals[sample.goal] = len(self.goals)
            self.paraphrases.append(set())
        number = self.goals[sample.goal]
        self.paraphrases[number].update(labeled.paraphrases)
        symbols = shape.space.symbols
        bits = [sum(1 << shape.space.index(key) for key in step - symbols) for step in sample.plan.steps]
        self.held += np.array(bits, _bits(shape)).tobytes()
        self.turned += shape.space.bins(sample.plan.steps).tobytes()
        self.names += name.ljust(NAME_BYTES, b"\0")
        self.goal += np.int32(number).tobytes()


def _bits(shape: Shape) -> type[np.uint32] | type[np.uint64]:
    """The smallest number with a bit for every key: there are many samples, and few games with so many keys."""
    return np.uint32 if len(shape.space.pressable) < 32 else np.uint64


def _shape(folder: Path, labeled: LabeledSegment) -> Shape:
    if len(labeled.space.pressable) > MAX_KEYS:
        raise UserError(
            f"{folder / 'segment.json'}: {len(labeled.space.pressable)} keys, at most {MAX_KEYS} can be learned"
        )
    return Shape(
        labeled.space, labeled.shape.horizon, labeled.shape.chords, float(labeled.frame_hz), labeled.prompt_version
    )
