"""Puts segments and the goals found for them together: joins, decides how far a goal goes on, adds the keys held."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core import Session
from protege.core.labeled import LABELED, NEEDS_REVIEW, NO_SAMPLES, LabeledSegment, Segment, Shape
from protege.core.lineage import Origin, origins
from protege.labeling.ask import Found
from protege.labeling.samples import slots
from protege.labeling.store import segment_name

NO_KEYS: Final = "the session has no keys (it was imported from a plain video)"


def settle(
    session: Session,
    segments: Sequence[Segment],
    found: Sequence[Found],
    *,
    join: bool,
    stored: bool,
    told: bool = False,
) -> list[LabeledSegment]:
    """Segments with their goals, joined if asked for, each knowing how far its goal goes on and whether it is reached.

    stored: the goals are those of the segments (of their episode, or told by the user for the whole session), so they
    are reached where the episode succeeded; of one that failed the segments need review. Other goals are found in
    hindsight: each is reached where its segment ends, unless the next, recorded without a break, has the same one.
    """
    breaks = {span.stop for span in session.spans()}
    pieces: list[LabeledSegment] = []
    for s, f in zip(segments, found, strict=True):
        piece = _piece(session.name, s, f, stored=stored)
        piece = replace(piece, true_goal=None if told else s.goal)
        if join and pieces and _goes_on(last := pieces[-1], piece, breaks):
            same = piece.true_goal if piece.true_goal == last.true_goal else None
            piece = replace(piece, start=last.start, true_goal=same)
            pieces.pop()
        pieces.append(piece)
    if not stored:
        for i in reversed(range(len(pieces) - 1)):
            if _goes_on(pieces[i], pieces[i + 1], breaks):
                pieces[i] = replace(pieces[i], goal_stop=pieces[i + 1].goal_stop)
    return [replace(piece, name=segment_name(session.name, i)) for i, piece in enumerate(pieces)]


def _piece(session: str, s: Segment, f: Found, *, stored: bool) -> LabeledSegment:
    failed = stored and s.end is not None and not s.reached
    why = f.why
    if failed and not f.seen:
        why = why or f"the episode ended with {s.end!r}, so the goal was not reached"
    hindsight = not stored or failed
    return LabeledSegment(
        name="",
        session=session,
        start=s.start,
        stop=s.stop,
        goal=f.goal,
        status=NEEDS_REVIEW if why else LABELED,
        why=why,
        goal_stop=s.stop if hindsight else s.goal_stop,
        reached=hindsight or s.reached,
    )


def _goes_on(a: LabeledSegment, b: LabeledSegment, breaks: set[int]) -> bool:
    """Whether b carries on with the goal of a, recorded without a break."""
    return a.status == b.status == LABELED and a.goal == b.goal and a.stop == b.start and a.stop not in breaks


def with_keys(
    session: Session, pieces: Sequence[LabeledSegment], actions: NDArray[np.bool_] | None, shape: Shape, by: str
) -> list[LabeledSegment]:
    """The segments with the keys held in them and everything else that stands in segment.json.

    actions: (T, K) of the session, or None if it has no keys: its segments then get no samples.
    """
    info = session.info
    common = {"by": by, "frame_hz": info.frame_hz, "shape": shape, "space": info.space}
    pieces = [replace(piece, origin=_origin(session, piece)) for piece in pieces]
    if actions is None:
        return [replace(piece, status=NO_SAMPLES, why=NO_KEYS, **common) for piece in pieces]
    spans = [(span.start, span.stop) for span in session.spans()]
    held = slots(actions, spans, info.space, chords=True)
    named = held if shape.chords else slots(actions, spans, info.space, chords=False)
    complete: list[LabeledSegment] = []
    for piece in pieces:
        seen = slice(piece.start, min(piece.goal_stop, piece.stop + shape.horizon - 1))
        complete.append(replace(piece, held=tuple(held[seen]), slots=tuple(named[seen]), **common))
    return complete


def _origin(session: Session, piece: LabeledSegment) -> tuple[Origin, ...]:
    """Where a segment's frames were recorded first, positions counted from its start."""
    first = piece.start
    return tuple(replace(o, start=o.start - first, stop=o.stop - first) for o in origins(session, first, piece.stop))
