"""Labels recordings: sessions in, folders of labeled segments out. Whatever is there already is not done again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protege.errors import UserError
from protege.labeling.ask import Found, ask_goals, ask_paraphrases
from protege.labeling.backends.base import Labeler
from protege.labeling.backends.given import Given
from protege.labeling.contact_sheet import PICTURES
from protege.labeling.journal import Journal
from protege.labeling.segments import NO_GOAL, Aside, Segment, count_aside, cut
from protege.labeling.settle import NO_KEYS, settle, with_keys
from protege.labeling.store import (
    LABELED,
    NEEDS_REVIEW,
    STAGING,
    LabeledSegment,
    SessionRecord,
    Shape,
    count_samples,
    remove_segment,
    session_segments,
    write_segment,
)
from protege.labeling.wording import Wording
from protege.play import HORIZON, Session
from protege.play.session import SessionError


class Refused(UserError):
    """A session that cannot be labeled as asked; the others are."""


@dataclass(frozen=True)
class LabelOptions:
    """How recordings become training data.

    seconds: length of a segment; horizon: actions in a window; chords: a slot may name several keys ("w+right");
    tau_ms: the player's reaction time, by which actions are moved; keep_idle: also keep windows without a key inside a
    segment; join: adjacent segments with the same goal become one; paraphrases: other ways to say each goal, at most;
    pictures: on a contact sheet; prompt: a file in place of the built-in questions; redo: replace what is there.
    """

    seconds: float = 4.0
    horizon: int = HORIZON
    chords: bool = False
    tau_ms: float = 0.0
    keep_idle: bool = False
    join: bool = False
    paraphrases: int = 0
    pictures: int = PICTURES
    prompt: Path | None = None
    redo: bool = False

    def __post_init__(self) -> None:
        for name, least in (("seconds", 1), ("horizon", 1), ("paraphrases", 0), ("pictures", 1), ("tau_ms", 0)):
            if (value := getattr(self, name)) < least:
                raise UserError(f"--{name.replace('_', '-')} is {value}, expected at least {least}")

    @property
    def shape(self) -> Shape:
        return Shape(self.seconds, self.horizon, self.chords, self.tau_ms, self.keep_idle, self.join)


@dataclass
class LabelResult:
    """What a run did. skipped: sessions that were done before; aside: pieces set aside, by reason; refused: sessions
    whose samples are refused, and problems: sessions that could not be labeled, both with the reason."""

    sessions: int = 0
    skipped: int = 0
    segments: int = 0
    samples: int = 0
    needs_review: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return 1 if self.problems else 0

    def add(self, record: SessionRecord) -> None:
        self.sessions += 1
        self.segments += record.segments
        self.samples += record.samples
        self.needs_review += record.needs_review
        self.aside.update(count_aside(list(record.aside)))
        if record.refused:
            self.refused.append(f"{record.folder}: {record.refused}")

    def lines(self) -> list[str]:
        """The summary that a command prints at the end."""
        again = f" ({self.skipped} done before)" if self.skipped else ""
        found = [f"{self.sessions} sessions{again}: {self.segments} segments, {self.samples:,} samples"]
        if self.needs_review:
            found.append(f"{self.needs_review} segments need review; they are not trained on until you approve them")
        found += [f"{count} pieces set aside: {why}" for why, count in self.aside.most_common()]
        found += [f"no samples from {line}" for line in self.refused]
        return found + [f"not labeled: {line}" for line in self.problems]


def label(
    sessions: Sequence[Path],
    out: Path,
    labeler: Labeler,
    options: LabelOptions | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> LabelResult:
    """Label every session folder into `out`. A session that cannot be read is reported in the result; the rest is done.

    tell: gets a line of progress a session. BackendError if the labeler cannot work at all; answers so far are kept.
    """
    options = options or LabelOptions()
    wording = Wording.load(options.prompt)
    result = LabelResult()
    out.mkdir(parents=True, exist_ok=True)
    for number, folder in enumerate(sessions, 1):
        before = f"{number}/{len(sessions)} {folder.name}"
        try:
            record, new = _label_session(folder, out, labeler, options, wording)
        except (SessionError, Refused, OSError) as error:
            result.problems.append(str(error))
            tell(f"{before}: {error}")
            continue
        result.add(record)
        result.skipped += not new
        tell(f"{before}: {record.segments} segments, {record.samples} samples{'' if new else ' (done before)'}")
    staging = out / STAGING
    if staging.is_dir() and not any(staging.iterdir()):
        staging.rmdir()
    return result


def _label_session(
    folder: Path, out: Path, labeler: Labeler, options: LabelOptions, wording: Wording
) -> tuple[SessionRecord, bool]:
    """Label one session; returns its record, and whether there was anything to do."""
    session = Session.open(folder)
    if options.redo:
        (out / f"{session.name}.json").unlink(missing_ok=True)
        for old in session_segments(out, session.name):
            remove_segment(out, old)
    done = _done_before(session, out, options)
    known = [LabeledSegment.load(path) for path in session_segments(out, session.name)]
    if done and done.segments == len(known):
        return replace(done, **_tally(known, [count_samples(out / k.name) for k in known])), False
    if known and known[0].shape != options.shape:
        raise Refused(_other_shape(session.name, known[0].shape, options.shape))
    actions = None if session.info.extra.get("keys") is False else session.actions(options.tau_ms)
    goal = labeler.goal if isinstance(labeler, Given) else None
    segments, aside = cut(session, actions, options.seconds, goal)
    if not labeler.sees and not goal:
        segments, aside = _without_goal(session, segments, aside)
    journal = Journal(out, session.name, labeler, wording, options.pictures)
    found = _goals(session, segments, actions, labeler, wording, options, known, journal)
    pieces = settle(session, segments, found, join=options.join, stored=not labeler.sees, told=goal is not None)
    pieces = with_keys(session, pieces, actions, options.shape, labeler.name)
    counts = _write(
        session, out, pieces, known, lambda goals: ask_paraphrases(goals, options.paraphrases, labeler, wording)
    )
    record = SessionRecord(
        session=session.name,
        folder=str(folder),
        frames=len(session),
        last_t_ns=int(session.t_ns[-1]),
        shape=options.shape,
        by=labeler.name,
        aside=tuple(aside),
        refused=NO_KEYS if actions is None else "",
        **_tally(pieces, counts),
    )
    record.save(out)
    journal.remove()
    return record, True


def _done_before(session: Session, out: Path, options: LabelOptions) -> SessionRecord | None:
    """The record of a session that is labeled; Refused if it, or what is asked of it, changed since."""
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
    changed = [f"{k} {v} then, {getattr(now, k)} now" for k, v in vars(then).items() if v != getattr(now, k)]
    return f"{session}: labeled before with other settings ({'; '.join(changed)}); label it again with --redo"


def _without_goal(session: Session, segments: list[Segment], aside: list[Aside]) -> tuple[list[Segment], list[Aside]]:
    """Segments whose goal is not stored are set aside; Refused if that is all of them."""
    kept = [s for s in segments if s.goal]
    if segments and not kept:
        raise Refused(f"{session.folder}: no goal is stored in it; name one with --goal, or choose another --backend")
    lost = [Aside(s.start, s.stop, NO_GOAL) for s in segments if not s.goal]
    return kept, sorted([*aside, *lost], key=lambda piece: piece.start)


def _goals(
    session: Session,
    segments: Sequence[Segment],
    actions: NDArray[np.bool_] | None,
    labeler: Labeler,
    wording: Wording,
    options: LabelOptions,
    known: Sequence[LabeledSegment],
    journal: Journal,
) -> list[Found]:
    """What was found for every segment: written before, answered before a kill, or asked now."""
    found: dict[int, Found] = {}
    earlier = journal.read()
    for i, s in enumerate(segments):
        written = next((k for k in known if k.start <= s.start and s.stop <= k.stop), None)
        if written is not None:
            found[i] = Found(written.goal, written.why if written.status == NEEDS_REVIEW else "", seen=True)
        elif (s.start, s.stop) in earlier:
            found[i] = earlier[s.start, s.stop]
    missing = [i for i in range(len(segments)) if i not in found]
    with journal:
        asked = [segments[i] for i in missing]
        for position, answer in ask_goals(session, asked, actions, labeler, wording, options.pictures):
            found[missing[position]] = answer
            if labeler.sees:
                journal.append(asked[position], answer)
    return [found[i] for i in range(len(segments))]


def _write(
    session: Session,
    out: Path,
    pieces: Sequence[LabeledSegment],
    known: Sequence[LabeledSegment],
    phrase: Callable[[Sequence[str]], dict[str, tuple[str, ...]]],
) -> list[int]:
    """Write the segments that are not there yet, with paraphrases of their goals; returns the samples of all."""
    there = {k.name: k for k in known}
    missing = {p.name for p in pieces if p.name not in there or not p.same_as(there[p.name])}
    phrases = phrase([p.goal for p in pieces if p.name in missing and p.status == LABELED])
    counts: list[int] = []
    for piece in pieces:
        if piece.name in missing:
            pictures = [session.path(i) for i in range(piece.start, piece.stop)]
            piece = replace(piece, paraphrases=phrases.get(piece.goal, ()))
            counts.append(write_segment(out, piece, pictures))
        else:
            counts.append(count_samples(out / piece.name))
    for name in there.keys() - {p.name for p in pieces}:
        remove_segment(out, out / name)
    return counts


def _tally(pieces: Sequence[LabeledSegment], counts: Sequence[int]) -> dict[str, int]:
    review = sum(p.status == NEEDS_REVIEW for p in pieces)
    return {"segments": len(pieces), "needs_review": review, "samples": sum(counts)}
