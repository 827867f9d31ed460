"""Deduplicates frames of play: who has claimed a frame already, and which recordings are related.

Works on origins (see `lineage`), so on recordings and on labeled segments alike.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise

from protege.core.labeled import LabeledSegment
from protege.core.lineage import Origin, families


class Claims:
    """Pictures of first recordings that are spoken for, as intervals of their numbers, and by whom."""

    def __init__(self) -> None:
        self._of: dict[str, list[tuple[int, int, str]]] = {}

    def take(self, origins: Iterable[Origin], owner: str) -> list[tuple[int, int, str]]:
        """(start, stop, who) of the positions that somebody else has already; the rest is the owner's from now on."""
        found: list[tuple[int, int, str]] = []
        for origin in origins:
            first, last = origin.frames
            shift = origin.start - first
            taken = self._of.setdefault(origin.recording, [])
            # The intervals are in order and do not overlap, so only one before `first` can reach into it.
            near = taken[max(0, bisect_left(taken, (first,)) - 1) : bisect_left(taken, (last,))]
            theirs = [(max(a, first), min(b, last), who) for a, b, who in near if b > first]
            found += [(a + shift, b + shift, who) for a, b, who in theirs if who != owner]
            edges = [first, *(edge for a, b, _ in theirs for edge in (a, b)), last]
            for a, b in list(pairwise(edges))[::2]:
                if a < b:
                    insort(taken, (a, b, owner))
        return found


def origins_of(labeled: LabeledSegment) -> list[Origin]:
    """Where a segment's frames were recorded first; of one that does not say, in its own session."""
    own = Origin(0, len(labeled), f"session {labeled.session}", labeled.session, (labeled.start, labeled.stop), (0, 0))
    return list(labeled.origin) or [own]


def repeated(segments: Sequence[LabeledSegment]) -> list[frozenset[int]]:
    """For each segment the frames (from 0) that another has, too: those of recordings that no edit made keep theirs."""
    claims, found = Claims(), [frozenset[int]()] * len(segments)

    def edited(number: int) -> tuple[bool, int]:
        segment = segments[number]
        return any(origin.session != segment.session for origin in origins_of(segment)), number

    for number in sorted(range(len(segments)), key=edited):
        theirs = claims.take(origins_of(segments[number]), segments[number].session)
        found[number] = frozenset(i for start, stop, _ in theirs for i in range(start, stop))
    return found


def relatives(segments: Sequence[LabeledSegment]) -> list[str]:
    """For each segment the name of its family: the first session, by name, of those that share play with its own."""
    members: dict[str, set[str]] = {}
    for segment in segments:
        known = members.setdefault(segment.session, {f"session {segment.session}"})
        known.update(origin.recording for origin in origins_of(segment))
        known.update(f"session {origin.session}" for origin in origins_of(segment))
    keys = dict(zip(members, families(list(members.values())), strict=True))
    first: dict[str, str] = {}
    for session in sorted(members):
        first.setdefault(keys[session], session)
    return [first[keys[segment.session]] for segment in segments]
