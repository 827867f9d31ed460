"""Labels one session: which goals are known, which a model has to be asked for, and what is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core import Session
from protege.core.labeled import MAX_HORIZON, NEEDS_REVIEW, LabeledSegment, Segment, Shape
from protege.core.lineage import origins
from protege.core.once import Claims
from protege.errors import UserError
from protege.labeling.ask import Found, Item
from protege.labeling.backends.base import Given, Labeler
from protege.labeling.contact_sheet import PICTURES
from protege.labeling.journal import Journal
from protege.labeling.labels import KEYLESS, attach_keys, keys_per_frame
from protege.labeling.segments import NO_GOAL, Aside, cut
from protege.labeling.settle import settle
from protege.labeling.store import SessionRecord, count_samples, remove_segment, session_segments, write_segment
from protege.labeling.wording import Wording


class Refused(UserError):
    """A session that cannot be labeled as asked; the run goes on with the others."""


_LIMITS: Final = {
    "seconds": (1, 86_400),
    "horizon": (1, MAX_HORIZON),
    "paraphrases": (0, 100),
    "pictures": (1, 100),
    "tau_ms": (0, 10_000),
}


@dataclass(frozen=True)
class LabelOptions(Shape):
    """How recordings become training data: the shape of the samples, and how goals are asked for.

    paraphrases: most other ways to say each goal
    pictures: number of frames on a contact sheet
    prompt: a file in place of the built-in questions
    redo: replace what is there
    """

    paraphrases: int = 0
    pictures: int = PICTURES
    prompt: Path | None = None
    redo: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            if not least <= (value := vars(self)[name]) <= most:  # written so that nan fails, too
                raise UserError(f"--{name.replace('_', '-')} is {value}, expected {least} to {most}")

    @property
    def shape(self) -> Shape:
        return Shape(self.seconds, self.horizon, self.chords, self.tau_ms, self.keep_idle, self.join)


@dataclass
class Job:
    """A session that is not done.

    keys: (T, K) multi-hot, or None if the session has none
    motion: (T, 2) counts of the mouse
    known: its segments on disk
    found: goals by position in `segments`; the rest has to be found
    redo: the segments on disk are replaced
    decided: what a person has said about frames [start, stop), which stays
    """

    session: Session
    keys: NDArray[np.bool_] | None
    motion: NDArray[np.int64]
    segments: list[Segment]
    aside: list[Aside]
    known: list[LabeledSegment]
    journal: Journal
    found: dict[int, Found]
    labeler: Labeler | Given
    shape: Shape
    redo: bool
    decided: Mapping[tuple[int, int], LabeledSegment] = field(default_factory=dict)

    @property
    def missing(self) -> list[int]:
        return [i for i in range(len(self.segments)) if i not in self.found]

    def item(self, i: int) -> Item:
        return Item(self.session, self.keys, self.motion, self.segments[i])

    def note(self, i: int, found: Found) -> None:
        """Take a goal. A model's answer goes to the journal at once, so that a kill does not cost it."""
        self.found[i] = found
        if not isinstance(self.labeler, Given):
            self.journal.append(self.segments[i], found)

    def settled(self) -> list[LabeledSegment]:
        """Its segments as they will be written, once every goal is found."""
        found = [self.found[i] for i in range(len(self.segments))]
        by, stored = self.labeler.name, isinstance(self.labeler, Given)
        told = isinstance(self.labeler, Given) and self.labeler.goal is not None
        pieces = settle(self.session, self.segments, found, self.shape, by=by, stored=stored, told=told)
        pieces = [_as_decided(piece, self.decided.get((piece.start, piece.stop))) for piece in pieces]
        return attach_keys(self.session, pieces, self.keys, self.motion, self.shape)

    def unwritten(self, pieces: Sequence[LabeledSegment]) -> list[LabeledSegment]:
        """The segments that are missing on disk, or differ there."""
        there = {} if self.redo else {k.name: k for k in self.known}
        return [p for p in pieces if p.name not in there or not p.same_as(there[p.name])]

    def write(
        self, out: Path, pieces: Sequence[LabeledSegment], phrases: Mapping[str, tuple[str, ...]]
    ) -> SessionRecord:
        """Write what is missing, then the record that the session is done. phrases: paraphrases by goal."""
        session = self.session
        if self.redo:  # from here on it is not done; a kill leaves the old segments or the new, each whole
            (out / f"{session.name}.json").unlink(missing_ok=True)
        unwritten = {piece.name for piece in self.unwritten(pieces)}
        counts: list[int] = []
        for piece in pieces:
            if piece.name in unwritten:
                pictures = [session.path(i) for i in range(piece.start, piece.stop)]
                complete = replace(piece, paraphrases=phrases.get(piece.goal, ()))
                counts.append(write_segment(out, complete, pictures))
            else:
                counts.append(count_samples(out / piece.name))
        for old in session_segments(out, session.name):
            if old.name not in {p.name for p in pieces}:
                remove_segment(old)
        record = SessionRecord(
            session=session.name,
            folder=str(session.folder),
            frames=len(session),
            last_t_ns=int(session.t_ns[-1]),
            shape=self.shape,
            by=pieces[0].by if pieces else "",
            aside=tuple(self.aside),
            refused=KEYLESS if self.keys is None else "",
            **_tally(pieces, counts),
        )
        record.save(out)
        self.journal.remove()
        return record


def prepare(
    folder: Path, out: Path, labeler: Labeler | Given, options: LabelOptions, wording: Wording, claims: Claims
) -> Job | SessionRecord:
    """The job of a session, or its record if it is done. UserError if it cannot be labeled as asked.

    claims: which session has which frames of play; this one's are added.
    """
    session = Session.open(folder if folder.name not in ("", "..") else folder.resolve())
    repeats = claims.take(origins(session), session.name)
    goal = labeler.goal if isinstance(labeler, Given) else None
    done = None if options.redo else _done_before(session, out, options)
    known = [] if options.redo else [LabeledSegment.load(path) for path in session_segments(out, session.name)]
    if goal and (others := sorted({k.goal for k in known} - {goal.strip()})):
        raise Refused(_other_goals(session.name, others))
    if done and done.segments == len(known):
        return replace(done, **_tally(known, [count_samples(out / k.name) for k in known]))
    if other := next((k for k in known if k.shape != options.shape), None):
        raise Refused(_other_shape(session.name, other.shape, options.shape))
    keys = keys_per_frame(session, options.tau_ms)
    motion = session.motion(options.tau_ms)
    segments, aside = cut(session, keys, options.seconds, goal, repeats, motion)
    if isinstance(labeler, Given) and not goal:
        segments, aside = _without_goal(session, segments, aside)
    journal = Journal(out, session.name, labeler, wording, options.pictures)
    before = [LabeledSegment.load(path) for path in session_segments(out, session.name)] if options.redo else known
    decided = {(k.start, k.stop): k for k in before if k.seen}
    found = _found_before(segments, [*known, *decided.values()], journal.read())
    shape, redo = options.shape, options.redo
    return Job(session, keys, motion, segments, aside, known, journal, found, labeler, shape, redo, decided)


def _as_decided(piece: LabeledSegment, said: LabeledSegment | None) -> LabeledSegment:
    """The segment with what a person has said about its frames."""
    if said is None:
        return piece
    fields = ("goal", "status", "why", "goal_stop", "reached")
    return replace(piece, seen=True, **{name: vars(said)[name] for name in fields})


def _found_before(
    segments: Sequence[Segment], known: Sequence[LabeledSegment], answered: Mapping[tuple[int, int], Found]
) -> dict[int, Found]:
    """Goals by position in `segments`: of those written before, and of those answered before a kill."""
    found: dict[int, Found] = {}
    for i, s in enumerate(segments):
        written = next((k for k in known if k.start <= s.start and s.stop <= k.stop), None)
        if written is not None:
            found[i] = Found(written.goal, written.why if written.status == NEEDS_REVIEW else "", seen=True)
        elif (s.start, s.stop) in answered:
            found[i] = answered[s.start, s.stop]
    return found


def _done_before(session: Session, out: Path, options: LabelOptions) -> SessionRecord | None:
    """The record of a labeled session; Refused if the session or the options have changed since."""
    record = SessionRecord.load(out, session.name)
    if record is None:
        return None
    if (record.frames, record.last_t_ns) != (len(session), int(session.t_ns[-1])):
        raise Refused(
            f"{session.folder}: changed since it was labeled ({record.frames} frames then, {len(session)} now); "
            "label it again with --redo"
        )
    if record.shape != options.shape:
        raise Refused(_other_shape(session.name, record.shape, options.shape))
    return record


def _other_shape(session: str, then: Shape, now: Shape) -> str:
    changed = [f"{k} {v} then, {vars(now)[k]} now" for k, v in vars(then).items() if v != vars(now)[k]]
    return f"{session}: labeled before with other settings ({'; '.join(changed)}); label it again with --redo"


def _other_goals(session: str, goals: Sequence[str]) -> str:
    named = ", ".join(f'"{goal}"' for goal in goals[:3])
    more = f" and {len(goals) - 3} others" if len(goals) > 3 else ""
    return f"{session}: labeled before, as {named}{more}; replace that with --redo, or one segment with: protege review"


def _without_goal(session: Session, segments: list[Segment], aside: list[Aside]) -> tuple[list[Segment], list[Aside]]:
    """Set aside the segments without a stored goal; Refused if that is all of them."""
    kept = [s for s in segments if s.goal]
    if segments and not kept:
        raise Refused(f"{session.folder}: no goal is stored in it; name one with --goal, or choose another --backend")
    lost = [Aside(s.start, s.stop, NO_GOAL) for s in segments if not s.goal]
    return kept, sorted([*aside, *lost], key=lambda piece: piece.start)


def _tally(pieces: Sequence[LabeledSegment], counts: Sequence[int]) -> dict[str, int]:
    review = sum(p.status == NEEDS_REVIEW for p in pieces)
    return {"segments": len(pieces), "needs_review": review, "samples": sum(counts)}
