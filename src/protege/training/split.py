"""The train/validation split of labeled data by recording, as in `protege export`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

import numpy as np

from protege.core.files import Json
from protege.errors import UserError
from protege.learn.resume import Run
from protege.learn.split import hold_out
from protege.training.data import LabeledData

Unit = Literal["recording", "segment"]

WHOLE: Final = 2
"""So many recordings are enough to hold a whole one back; neighbouring frames of one look alike."""


def units(data: LabeledData, by: Unit) -> list[str]:
    """Per folder of the data the name that a split is stored by: its recording's, or its own."""
    return list(data.session) if by == "recording" else [folder.name for folder in data.folders]


@dataclass(frozen=True)
class TrainedOn:
    """What a model has seen: names of recordings or, where there was one only, of segments."""

    by: Unit
    names: frozenset[str]

    def part(self, data: LabeledData) -> tuple[LabeledData, LabeledData]:
        """The samples that were trained on, with those of recordings that share play with them; and all others."""
        names, groups = units(data, self.by), list(data.family) if self.by == "recording" else units(data, self.by)
        known = {group for group, name in zip(groups, names, strict=True) if name in self.names}
        return _parts(data, [group in known for group in groups])

    def to_json(self) -> dict[str, Json]:
        return {"by": self.by, "names": sorted(self.names)}

    @classmethod
    def from_json(cls, fields: Json) -> Self:
        """The inverse of `to_json`; UserError for anything else."""
        names = fields.get("names") if isinstance(fields, Mapping) and "by" in fields else None
        if not isinstance(fields, Mapping) or not isinstance(names, list):
            raise UserError("the model does not say what it was trained on; score all of the data")
        return cls("segment" if fields["by"] == "segment" else "recording", frozenset(map(str, names)))


@dataclass(frozen=True)
class Sides:
    """Names of what is trained on and what is held out, in this run and those that it goes on from."""

    by: Unit
    trained: frozenset[str]
    held: frozenset[str]

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls("segment" if run.by == "segment" else "recording", frozenset(run.trained), frozenset(run.held))

    def on(self, run: Run) -> Run:
        """The run's record with these sides in it."""
        return replace(run, by=self.by, trained=tuple(sorted(self.trained)), held=tuple(sorted(self.held)))

    @property
    def trained_on(self) -> TrainedOn:
        return TrainedOn(self.by, self.trained)

    def part(self, data: LabeledData) -> tuple[LabeledData, LabeledData]:
        """The samples to train on, and those held out."""
        return _parts(data, [name in self.trained for name in units(data, self.by)])


def _parts(data: LabeledData, seen: list[bool]) -> tuple[LabeledData, LabeledData]:
    rows = np.array(seen)[data.segment]
    return data.take(np.flatnonzero(rows)), data.take(np.flatnonzero(~rows))


def split(data: LabeledData, validation: float, seed: int, before: Sides | None = None) -> tuple[Sides, str]:
    """Split the data, about `validation` of the samples held out; return the sides and a line for the log.

    Whole recordings are held out, those that share play together; of a single recording, whole segments.
    before: the sides of the run that this one goes on from. They stay, and what shares play with something held out is
    held out, too.
    """
    by: Unit = before.by if before else "recording" if len(set(data.family)) >= WHOLE else "segment"
    names, groups = units(data, by), _groups(data, by, before)
    sizes: dict[str, int] = {}
    for group, count in zip(groups, np.bincount(data.segment, minlength=len(data.folders)), strict=True):
        sizes[group] = sizes.get(group, 0) + int(count)
    was_trained, was_held = (before.trained, before.held) if before else (frozenset[str](), frozenset[str]())
    held = {group for name, group in zip(names, groups, strict=True) if name in was_held}
    trained = {group for name, group in zip(names, groups, strict=True) if name in was_trained}
    apart = hold_out(sizes, validation, seed, trained=trained - held, held=held) if validation > 0 else held
    sides: dict[bool, set[str]] = {False: set(was_trained), True: set(was_held)}
    for name, group in zip(names, groups, strict=True):
        if name not in was_trained and name not in was_held:
            sides[group in apart].add(name)
    found = Sides(by, frozenset(sides[False]), frozenset(sides[True]))
    return found, _told(found.part(data), len(apart), len(sizes), validation, by) + _left_out(data)


def _told(parts: tuple[LabeledData, LabeledData], apart: int, of: int, validation: float, by: Unit) -> str:
    line = f"{len(parts[0]):,} samples to train on, {len(parts[1]):,} held back"
    if apart:
        line += f" ({apart} of {of} {by}s)"
    elif validation > 0:
        line += f" (there is one {by} only)"
    if apart and by == "segment":
        line += "; they are parts of the only recording, which flatters the scores: record a second one"
    return line


def _left_out(data: LabeledData) -> str:
    return f"; {data.repeated:,} left out, whose play stands in another recording, too" if data.repeated else ""


def _groups(data: LabeledData, by: Unit, before: Sides | None) -> list[str]:
    """Per folder of the data the name of what it is split with: its family of recordings. Where segments were split
    before, it is the segment itself in that recording, and the family in others.
    """
    if by == "recording":
        return list(data.family)
    names = units(data, by)
    if before is None:
        return names
    known = before.trained | before.held
    old = {family for name, family in zip(names, list(data.family), strict=True) if name in known}
    return [name if family in old else family for name, family in zip(names, list(data.family), strict=True)]
