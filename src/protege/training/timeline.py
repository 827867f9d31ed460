"""Where the frames of labeled segments stand in the play of their goal: what came before them, on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from protege.core.labeled import LabeledSegment


@dataclass(frozen=True)
class Timeline:
    """Of S segments.

    previous: (S,) position of the segment that ends where this one begins, with a goal that goes on in this one; -1
    where there is none.
    first: (S,) how many frames of its goal's play stand before a segment, as far as they can be followed back.
    """

    previous: NDArray[np.int32]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, segments: Sequence[LabeledSegment]) -> Self:
        """Segments of the same recording are cut one after another; one that was set aside is a gap."""
        goes_on = {(s.session, s.stop, s.goal, s.goal_stop): n for n, s in enumerate(segments) if not s.segment.last}
        previous = [goes_on.get((s.session, s.start, s.goal, s.goal_stop), -1) for s in segments]
        first = [0] * len(segments)
        for n in sorted(range(len(segments)), key=lambda n: segments[n].start):
            if (before := previous[n]) >= 0:
                first[n] = first[before] + len(segments[before])
        return cls(np.array(previous, np.int32), np.array(first, np.int64))

    def joined(self, more: "Timeline") -> "Timeline":
        """These segments, then others."""
        moved = np.where(more.previous < 0, -1, more.previous + len(self.previous)).astype(np.int32)
        return Timeline(np.concatenate([self.previous, moved]), np.concatenate([self.first, more.first]))

    def find(self, segment: int, index: int) -> tuple[int, int]:
        """(segment, frame in it) of frame `index` of the play that a segment belongs to, at or before its end."""
        while index < self.first[segment]:
            segment = int(self.previous[segment])
        return segment, index - int(self.first[segment])
