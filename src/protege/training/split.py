"""Which samples are trained on and which are held back for scores: whole recordings apart, as in `protege export`."""

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np

from protege.core.held_out import hold_out
from protege.errors import UserError
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


def split(data: LabeledData, validation: float, seed: int) -> tuple[TrainedOn, str]:
    """What of the data to train on, about `validation` of the samples left over, and a line that says so.

    Whole recordings are held back; where there is one only, whole segments.
    """
    by: Unit = "recording" if len(set(data.family)) >= WHOLE else "segment"
    names, counts = units(data, by), np.bincount(data.segment, minlength=len(data.folders))
    sizes: dict[str, int] = {}
    for name, count in zip(names, counts, strict=True):
        sizes[name] = sizes.get(name, 0) + int(count)
    apart = hold_out(sizes, validation, seed) if validation > 0 else set()
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
    own = data.session if by == "recording" else names
    return TrainedOn(by, frozenset(name for name, unit in zip(own, names, strict=True) if unit not in apart)), line
