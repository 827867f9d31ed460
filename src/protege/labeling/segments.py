"""Cuts a session into segments of a few seconds, each of which gets one goal."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.core import Session
from protege.core.events import AGENT, CUT
from protege.core.labeled import Segment
from protege.core.session import Span

SEGMENT_S: Final = 4.0
KEEP_S: Final = 1.0
"""A shorter rest is no segment: too little happens in it to name a goal."""

TOO_SHORT: Final = "shorter than 1 s"
NO_KEYS_HELD: Final = "no key held"
NO_GOAL: Final = "no goal stored"
REPEATED: Final = "play that {} has, too"
AGENT_PLAYED: Final = "the agent's own play"


@dataclass(frozen=True)
class Aside:
    """Frames [start, stop) that are not labeled; why: the reason, in words."""

    start: int
    stop: int
    why: str

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, fields: object) -> Self:
        """The inverse of `to_json`; TypeError on anything else."""
        match fields:
            case {"start": int(start), "stop": int(stop), "why": str(why), **more} if not more:
                return cls(start, stop, why)
        raise TypeError(f"{str(fields)[:80]!r} was not set aside by us")


def cut_times(t_ns: NDArray[np.int64], seconds: float, period_ns: int) -> list[tuple[int, int]]:
    """Cut (T,) increasing times into pieces [start, stop), each `seconds` long by the clock.

    Half a frame period of tolerance keeps a frame that came a little early in the piece it was meant for.
    """
    if not len(t_ns):
        return []
    # By division, not by counting edges: a clock that jumps by years would need billions of them.
    piece = (t_ns - t_ns[0] + period_ns // 2) // round(seconds * 1e9)
    bounds = [0, *(int(edge) for edge in np.flatnonzero(np.diff(piece)) + 1), len(t_ns)]
    return list(itertools.pairwise(bounds))


def cut(
    session: Session,
    keys: NDArray[np.bool_] | None,
    seconds: float = SEGMENT_S,
    goal: str | None = None,
    repeats: Sequence[tuple[int, int, str]] = (),
    motion: NDArray[np.int64] | None = None,
) -> tuple[list[Segment], list[Aside]]:
    """A session's segments in order, and what was set aside.

    A segment lies within one span, so it never crosses a pause, a loss of focus, a takeover or an episode's end.

    keys: (T, K) multi-hot of the session, or None if it has none
    goal: in place of the stored ones
    repeats: (start, stop, name) of frames that another recording has, too; they are set aside
    motion: (T, 2) counts of the mouse, None without one
    """
    segments: list[Segment] = []
    aside: list[Aside] = []
    still = np.zeros(len(session), bool) if keys is None else keys[:, -1]
    if motion is not None:
        still = still & ~np.array([bool(turned) for turned in session.info.space.turned(motion)], bool)
    spans = [replace(span, goal=goal or span.goal) for span in session.spans()]
    spans, repeat = _apart(spans, repeats)
    for number, span in enumerate(spans):
        if number in repeat:
            aside.append(Aside(span.start, span.stop, repeat[number]))
            continue
        kept: list[tuple[int, int]] = []
        for start, stop in _pieces(session, span, seconds):
            if span.by == AGENT:  # trained on its own play it would stay as it is
                aside.append(Aside(start, stop, AGENT_PLAYED))
            elif _seconds(session, start, stop) < KEEP_S:
                aside.append(Aside(start, stop, TOO_SHORT))
            elif still[start:stop].all():
                aside.append(Aside(start, stop, NO_KEYS_HELD))
            else:
                kept.append((start, stop))
        for start, stop in kept:
            # After the last piece with a key nothing is done for a stored goal, so it is reached there.
            covers = kept[-1][1] if span.goal is not None else stop
            reached = span.goal is None or _reached(spans, number)
            # That the agent's run failed says nothing against what a person did in it.
            end = span.end if span.end != CUT and (span.by is None or reached) else None
            segments.append(Segment(start, stop, span.goal, covers, reached, end))
    return segments, aside


def _apart(spans: list[Span], repeats: Sequence[tuple[int, int, str]]) -> tuple[list[Span], dict[int, str]]:
    """Cut spans where repeated play begins and ends; returns them and why some are set aside, by position."""
    found: list[Span] = []
    repeat: dict[int, str] = {}
    for span in spans:
        inside = [
            (max(a, span.start), min(b, span.stop), who) for a, b, who in repeats if a < span.stop and b > span.start
        ]
        edges = sorted({span.start, span.stop, *(edge for a, b, _ in inside for edge in (a, b))})
        for start, stop in itertools.pairwise(edges):
            if who := next((who for a, b, who in inside if a <= start < b), None):
                repeat[len(found)] = REPEATED.format(who)
            # Only the last part ends as the whole does.
            found.append(replace(span, start=start, stop=stop, end=span.end if stop == span.stop else None))
    return found, repeat


def _pieces(session: Session, span: Span, seconds: float) -> list[tuple[int, int]]:
    """Frames [start, stop) of a span's pieces; a short rest is added to the piece before it, so that no end is lost."""
    times = session.t_ns[span.start : span.stop]
    pieces = [(span.start + a, span.start + b) for a, b in cut_times(times, seconds, session.info.period_ns)]
    if len(pieces) > 1 and _seconds(session, *pieces[-1]) < KEEP_S:
        (start, _), (_, stop) = pieces[-2:]
        pieces[-2:] = [(start, stop)]
    return pieces


def _seconds(session: Session, start: int, stop: int) -> float:
    """How long frames [start, stop) last."""
    return (int(session.t_ns[stop - 1] - session.t_ns[start]) + session.info.period_ns) / 1e9


def _reached(spans: list[Span], number: int) -> bool:
    """Whether a stored goal is reached where its span ends.

    An episode says so itself. Where none says how it ended, the goal counts as reached unless the recording was only
    paused and goes on with the same goal.
    """
    span = spans[number]
    if span.end is not None:
        return span.end == "success"
    following = spans[number + 1] if number + 1 < len(spans) else None
    return following is None or following.goal != span.goal


def count_aside(aside: Iterable[Aside]) -> dict[str, int]:
    """How many pieces were set aside for each reason."""
    return dict(Counter(piece.why for piece in aside))
