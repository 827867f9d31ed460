"""Which samples are trained on and which are held back for scores: whole recordings apart, as in `protege export`."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

import numpy as np

from protege.errors import UserError
from protege.learn.resume import Run
from protege.learn.split import hold_out
from protege.training.data import LabeledData

Unit = Literal["recording", "segment"]

WHOLE: Final = 2
"""So many recordings are enough to hold a whole one back; neighbouring frames of one look alike."""


def units(data: LabeledData, by: Unit) -> list[str]:
    """For each of the data's folders what it is a part of: its family of recordings, or itself."""
    return list(data.family) if by == "recording" else [folder.name for folder in data.folders]


@dataclass(frozen=True)
class TrainedOn:
    """What a model has seen: names of recordings or, where there was one only, of segments."""

    by: Unit
    names: frozenset[str]

    def part(self, data: LabeledData) -> tuple[LabeledData, LabeledData]:
        """The samples of it, and all others."""
        if self.by == "recording":  # names are of recordings, since a family's may change as it grows
            known = {family for family, name in zip(data.family, data.session, strict=True) if name in self.names}
        else:
            known = self.names
        seen = np.array([name in known for name in units(data, self.by)])[data.segment]
        return data.take(np.flatnonzero(seen)), data.take(np.flatnonzero(~seen))

    def to_json(self) -> dict[str, Any]:
        return {"by": self.by, "names": sorted(self.names)}

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        try:
            by, names = fields["by"], frozenset(map(str, fields["names"]))
        except (KeyError, TypeError):
            raise UserError("the model does not say what it was trained on; score all of the data") from None
        return cls("segment" if by == "segment" else "recording", names)


@dataclass(frozen=True)
class Sides:
    """Which parts of the data are trained on and which are held back, in this run and in those that it goes on from."""

    by: Unit
    trained: frozenset[str]
    held: frozenset[str]

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls("segment" if run.by == "segment" else "recording", frozenset(run.trained), frozenset(run.held))

    def on(self, run: Run) -> Run:
        """The record of a run with these sides in it."""
        return replace(run, by=self.by, trained=tuple(sorted(self.trained)), held=tuple(sorted(self.held)))

    @property
    def trained_on(self) -> TrainedOn:
        return TrainedOn(self.by, self.trained)


def split(data: LabeledData, validation: float, seed: int, before: Sides | None = None) -> tuple[Sides, str]:
    """What of the data to train on, about `validation` of the samples left over, and a line that says so.

    Whole recordings are held back; where there is one only, whole segments. before: the sides of the run that this one
    goes on from; what has one keeps it.
    """
    by: Unit = before.by if before else "recording" if len(set(data.family)) >= WHOLE else "segment"
    groups, names = _groups(data, by, before), _names(data, by)
    sizes: dict[str, int] = {}
    for group, count in zip(groups, np.bincount(data.segment, minlength=len(data.folders)), strict=True):
        sizes[group] = sizes.get(group, 0) + int(count)
    trained, held = (before.trained, before.held) if before else (frozenset[str](), frozenset[str]())
    held_groups = {group for group, name in zip(groups, names, strict=True) if name in held}
    trained_groups = {group for group, name in zip(groups, names, strict=True) if name in trained} - held_groups
    apart = held_groups
    if validation > 0:
        apart = hold_out(sizes, validation, seed, trained=trained_groups, held=held_groups)
    held_back = sum(sizes[name] for name in apart)
    line = f"{len(data) - held_back:,} samples to train on, {held_back:,} held back"
    if apart:
        line += f" ({len(apart)} of {len(sizes)} {by}s)"
    elif validation > 0:
        line += f" (there is one {by} only)"
    if apart and by == "segment":
        line += "; they are parts of the only recording, which flatters the scores: record a second one"
    if data.repeated:
        line += f"; {data.repeated:,} left out, whose play stands in another recording, too"
    sides: dict[bool, set[str]] = {False: set(trained), True: set(held)}
    for name, group in zip(names, groups, strict=True):
        if name not in trained | held:
            sides[group in apart].add(name)
    return Sides(by, frozenset(sides[False]), frozenset(sides[True])), line


def _names(data: LabeledData, by: Unit) -> list[str]:
    """For each of the data's folders the name that a run remembers: a family's own may change as it grows."""
    return list(data.session) if by == "recording" else units(data, by)


def _groups(data: LabeledData, by: Unit, before: Sides | None) -> list[str]:
    """For each of the data's folders what it is split with: its family of recordings, or its segment. Where segments
    were split, those of a new recording, too, go together.
    """
    names = units(data, by)
    if by == "recording" or before is None:
        return names
    known = before.trained | before.held
    old = {session for name, session in zip(names, data.session, strict=True) if name in known}
    return [name if session in old else session for name, session in zip(names, data.session, strict=True)]
