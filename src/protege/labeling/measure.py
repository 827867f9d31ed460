"""Statistics of the data, counted a piece at a time: keys, holds, turning, variety of windows, goals."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from protege.core import KEYBOARD_12, Action, ActionSpace
from protege.core.labeled import NEEDS_REVIEW
from protege.core.momentary import Presses, momentary
from protege.core.quality import same, thumbnail
from protege.labeling.pieces import Piece

PAIRS: Final = 400
"""Neighbouring frames compared, spread evenly: enough to know the share of equal ones within a few per cent."""

SHOWN_PER_GOAL: Final = 3
MOUSE: Final = "mouse"
SIDES: Final = ("left", "right", "up", "down")
"""Where the mouse turns the view; with `MOUSE` before it, as beside the names of camera keys."""


def entropy_bits(counts: Iterable[int]) -> float:
    """Entropy of a draw, in bits: 0 if it is always the same, log2(n) if n are equally frequent."""
    found = [count for count in counts if count]
    total = sum(found)
    return sum(count / total * math.log2(total / count) for count in found)


@dataclass
class GoalFacts:
    """Statistics of one goal; shown: a few of its pieces."""

    segments: int = 0
    samples: int = 0
    phrases: set[str] = field(default_factory=set)
    shown: list[Piece] = field(default_factory=list)


@dataclass
class Measured:
    """Counts over all pieces.

    by_status, reviews: segments by status and by what is wrong with them
    held: frames by key held
    looked: frames in which the mouse turns the view to each side
    holds: by key, how often it was held for so many frames
    chord_frames: frames with several keys, by their text
    first, chunks: windows by their first action, and by all their actions
    constant: windows that are one action throughout, by its text
    done: windows that are all none
    repeated: frames that another recording has, too, and that are not counted
    chords_named: a slot may name several keys
    duplicates: (equal, compared) pairs of neighbouring frames
    """

    space: ActionSpace = KEYBOARD_12
    frame_hz: float = 10.0
    frames: int = 0
    idle_frames: int = 0
    segments: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    looked: Counter[str] = field(default_factory=Counter)
    holds: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    chord_frames: Counter[str] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)
    chunks: Counter[tuple[Action, ...]] = field(default_factory=Counter)
    constant: Counter[str] = field(default_factory=Counter)
    windows: int = 0
    done: int = 0
    repeated: int = 0
    chords_named: bool = False
    goals: dict[str, GoalFacts] = field(default_factory=dict)
    duplicates: tuple[int, int] = (0, 0)

    @property
    def turning(self) -> dict[str, float]:
        """Share of all frames in which each camera key is held, or the mouse turns the view to each side."""
        found = {key: self.share(key) for key in self.space.pressable if key in self.space.camera}
        ways = SIDES if self.space.look else ()
        return found | {f"{MOUSE} {way}": self.looked[way] / max(1, self.frames) for way in ways}

    def share(self, key: str) -> float:
        """Share of all frames in which a key is held."""
        return self.held[key] / max(1, self.frames)

    @property
    def idle_share(self) -> float:
        """Share of all frames in which no key is held and the mouse does not turn the view."""
        return self.idle_frames / max(1, self.frames)

    @property
    def chord_share(self) -> float:
        """Share of all frames in which several keys are held."""
        return sum(self.chord_frames.values()) / max(1, self.frames)

    @property
    def done_share(self) -> float:
        """Share of windows that are all none."""
        return self.done / max(1, self.windows)

    @property
    def first_entropy(self) -> float:
        return entropy_bits(self.first.values())

    @property
    def chunk_entropy(self) -> float:
        return entropy_bits(self.chunks.values())

    @property
    def straight(self) -> tuple[str, float]:
        """The movement key that most windows hold alone and throughout, and their share."""
        spelled = {key: self.space.spell(frozenset((key,))) for key in self.space.movement}
        found = {key: self.constant[text] / max(1, self.windows) for key, text in spelled.items()}
        key = max(sorted(found, key=self.space.index), key=lambda k: found[k], default="")
        return key, found.get(key, 0.0)

    @property
    def momentary(self) -> dict[str, Presses]:
        """The keys that are pressed for an instant and seldom."""
        return momentary(self.space, self.holds, self.frames)

    def hold_s(self, key: str) -> tuple[int, float, float]:
        """(number, median seconds, 90th percentile in seconds) of a key's holds."""
        counts = self.holds.get(key)
        if not counts:
            return 0, 0.0, 0.0
        lengths = np.repeat(list(counts.keys()), list(counts.values()))
        median, most = np.quantile(lengths, (0.5, 0.9))
        return len(lengths), float(median) / self.frame_hz, float(most) / self.frame_hz


def measure(pieces: Iterable[Piece]) -> Measured:
    """Count over all pieces. They are read once and not kept, so that data of any size fits into memory."""
    found = Measured()
    pairs = _Pairs()
    holds = _Holds(found.holds)
    for piece in pieces:
        labeled = piece.labeled
        found.space, found.frame_hz = labeled.space, labeled.frame_hz
        found.segments += 1
        found.by_status[labeled.status] += 1
        found.chords_named |= labeled.shape.chords
        if labeled.why:
            found.reviews[labeled.why] += 1
        for start, stop in piece.stretches():
            _count_keys(found, labeled.held[start:stop])
            keys = [action - labeled.space.symbols for action in labeled.held[start:stop]]
            holds.extend(labeled.session, labeled.start + start, keys)
        found.repeated += len(piece.repeated)
        plans = piece.plans()
        for _, plan in plans:
            _count_window(found, plan.steps)
        if labeled.goal and labeled.status != NEEDS_REVIEW:
            goal = found.goals.setdefault(labeled.goal, GoalFacts())
            goal.segments += 1
            goal.samples += len(plans)
            goal.phrases.update(labeled.paraphrases)
            _keep_spread(goal, piece)
        pairs.offer(piece.pictures)
    holds.finish()
    found.duplicates = pairs.compare()
    return found


def _keep_spread(goal: GoalFacts, piece: Piece) -> None:
    """Keep a goal's first pieces, then replace one ever more rarely, so that those shown are spread over the data."""
    if len(goal.shown) < SHOWN_PER_GOAL:
        goal.shown.append(piece)
    elif goal.segments & (goal.segments - 1) == 0:  # the 4th, 8th, 16th …
        goal.shown[goal.segments.bit_length() % SHOWN_PER_GOAL] = piece


def _count_keys(found: Measured, held: Sequence[Action]) -> None:
    space = found.space
    symbols = space.symbols
    found.frames += len(held)
    for action in held:
        keys = action - symbols
        found.held.update(keys)
        found.idle_frames += not action
        right, down = space.counts(action)
        moved = {"left": right < 0, "right": right > 0, "up": down < 0, "down": down > 0}
        found.looked.update(way for way, said in moved.items() if said)
        if len(keys) > 1:
            found.chord_frames[space.spelled_parts(action)[0]] += 1


class _Holds:
    """Counts how long keys are held. A hold may go on in the next piece of the session."""

    def __init__(self, holds: dict[str, Counter[int]]) -> None:
        self._holds = holds
        self._open: Counter[str] = Counter()
        self._next: tuple[str, int] = ("", 0)

    def extend(self, session: str, start: int, held: Sequence[Action]) -> None:
        if (session, start) != self._next:
            self.finish()
        self._next = (session, start + len(held))
        for action in held:
            for key in self._open.keys() - action:
                self._holds[key][self._open.pop(key)] += 1
            self._open.update(action)

    def finish(self) -> None:
        for key, frames in self._open.items():
            self._holds[key][frames] += 1
        self._open.clear()


def _count_window(found: Measured, steps: tuple[Action, ...]) -> None:
    found.windows += 1
    found.chunks[steps] += 1
    first = found.space.spell(steps[0])
    found.first[first] += 1
    if all(step == steps[0] for step in steps):
        found.constant[first] += 1
        found.done += not steps[0]


class _Pairs:
    """An even sample of neighbouring frames from a stream of unknown length: when full, every second is dropped."""

    def __init__(self) -> None:
        self._kept: list[tuple[Path, Path]] = []
        self._every, self._seen = 1, 0

    def offer(self, pictures: Sequence[Path]) -> None:
        for i in range(len(pictures) - 1):
            if self._seen % self._every == 0:
                self._kept.append((pictures[i], pictures[i + 1]))
                if len(self._kept) > PAIRS:
                    self._kept = self._kept[::2]
                    self._every *= 2
            self._seen += 1

    def compare(self) -> tuple[int, int]:
        """(equal, compared) pairs; frames that cannot be read are left out."""
        equal = compared = 0
        for a, b in self._kept:
            try:
                equal += same(thumbnail(a), thumbnail(b))
                compared += 1
            except OSError:
                continue
        return equal, compared
