"""Merges adjacent segments with one goal, and decides where each goal ends and whether it is reached there."""

from collections.abc import Sequence
from dataclasses import replace

from protege.core import Session
from protege.core.labeled import LABELED, NEEDS_REVIEW, LabeledSegment, Segment, Shape, segment_name
from protege.core.lineage import origins
from protege.labeling.ask import Found


def settle(
    session: Session,
    segments: Sequence[Segment],
    found: Sequence[Found],
    shape: Shape,
    *,
    by: str,
    stored: bool,
    told: bool = False,
) -> list[LabeledSegment]:
    """Segments with their goals, but not yet their keys; merged if `shape.join`.

    Stored goals are reached where their episode succeeded; segments of one that failed need review. Other goals are
    found in hindsight: each is reached where its segment ends, unless the next one, recorded without a break, has the
    same goal.

    by: who found the goals
    stored: the goals are those of the segments: their episode's, or named by the user for the whole session
    told: the user named them, so the true ones are not known
    """
    breaks = {span.stop for span in session.spans()}
    pieces: list[LabeledSegment] = []
    for s, f in zip(segments, found, strict=True):
        piece = _piece(session.name, s, f, stored=stored)
        piece = replace(piece, true_goal=None if told else s.goal)
        if shape.join and pieces and _goes_on(last := pieces[-1], piece, breaks):
            same = piece.true_goal if piece.true_goal == last.true_goal else None
            piece = replace(piece, start=last.start, true_goal=same)
            pieces.pop()
        pieces.append(piece)
    if not stored:
        # Backwards, because a goal that lasts over several segments takes its end from the last.
        for i in reversed(range(len(pieces) - 1)):
            if _goes_on(pieces[i], pieces[i + 1], breaks):
                pieces[i] = replace(pieces[i], goal_stop=pieces[i + 1].goal_stop)
    return [_complete(piece, i, session, shape, by) for i, piece in enumerate(pieces)]


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


def _complete(piece: LabeledSegment, number: int, session: Session, shape: Shape, by: str) -> LabeledSegment:
    """A segment with its name, its origin and what all segments of its session share."""
    first = piece.start
    origin = [replace(o, start=o.start - first, stop=o.stop - first) for o in origins(session, first, piece.stop)]
    return replace(
        piece,
        name=segment_name(session.name, number),
        origin=tuple(origin),
        by=by,
        frame_hz=session.info.frame_hz,
        shape=shape,
        space=session.info.space,
    )
