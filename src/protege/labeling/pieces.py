"""Reads recordings and labeled data in one form, for the report."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from protege.core import Plan, Session
from protege.core.labeled import LABELED, LabeledSegment, Shape, find_segments, frame_name
from protege.core.lineage import origins
from protege.core.once import Claims, repeated
from protege.core.quality import assess
from protege.core.session import SessionError, find_sessions
from protege.errors import UserError
from protege.labeling.ask import Found
from protege.labeling.labels import KEYLESS, attach_keys, keys_per_frame, windows_of
from protege.labeling.once import comes_second
from protege.labeling.segments import REPEATED, count_aside, cut
from protege.labeling.settle import settle
from protege.labeling.store import SessionRecord


@dataclass(frozen=True)
class Piece:
    """A segment and its pictures.

    labeled: its `held` may go on behind the segment, so only the first `len(labeled)` are its own
    repeated: frames (from 0) that another recording has, too; they are not counted twice
    """

    labeled: LabeledSegment
    pictures: tuple[Path, ...]
    repeated: frozenset[int] = frozenset()

    def stretches(self) -> list[tuple[int, int]]:
        """Frames [start, stop) that are counted."""
        kept = [i for i in range(len(self.labeled)) if i not in self.repeated]
        edges = [0, *(n for n in range(1, len(kept)) if kept[n] != kept[n - 1] + 1), len(kept)]
        return [(kept[a], kept[b - 1] + 1) for a, b in pairwise(edges) if b > a]

    def plans(self) -> list[tuple[int, Plan]]:
        """(frame, plan) of the windows it is trained on."""
        if self.labeled.status != LABELED:
            return []
        return [(i, plan) for i, plan in windows_of(self.labeled) if i not in self.repeated]


@dataclass(frozen=True)
class SessionFacts:
    """A session's line in the report. reasons: what is wrong with it (empty: good), None where it is not known."""

    name: str
    minutes: float
    frames: int
    fps: float | None
    reasons: tuple[str, ...] | None


@dataclass
class Contents:
    """Everything in a folder.

    labeled: labeled segments, not recordings
    aside: pieces set aside, by reason
    unread: sessions that give no samples, with the reason
    """

    folder: Path
    labeled: bool
    sessions: list[SessionFacts] = field(default_factory=list)
    aside: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)


def open_contents(folder: Path) -> tuple[Contents, Iterator[Piece]]:
    """The contents of a folder of recordings or of labeled segments, and its pieces one by one.

    The contents are complete when all pieces have been read. UserError if the folder holds neither.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one with recordings or with labeled segments")
    if find_sessions(folder):
        contents = Contents(folder, labeled=False)
        return contents, _raw(contents)
    if find_segments(folder):
        contents = Contents(folder, labeled=True)
        return contents, _labeled(contents)
    raise UserError(f"{folder}: neither recordings nor labeled segments in it; make some with: protege record")


def _raw(contents: Contents) -> Iterator[Piece]:
    claims = Claims()
    for folder in sorted(find_sessions(contents.folder), key=comes_second):
        try:
            session = Session.open(folder)
            repeats = claims.take(origins(session), session.name)
            contents.sessions.append(_counted(_facts(session), sum(stop - start for start, stop, _ in repeats)))
        except SessionError as error:
            contents.unread.append(str(error))
            continue
        keys, motion, shape = keys_per_frame(session), session.motion(), Shape()
        segments, aside = cut(session, keys, repeats=repeats, motion=motion)
        contents.aside.update(count_aside(aside))
        if keys is None:
            contents.unread.append(f"{folder}: no samples, since {KEYLESS}")
        found = [Found(segment.goal or "") for segment in segments]
        pieces = settle(session, segments, found, shape, by="", stored=any(s.goal for s in segments))
        for labeled in attach_keys(session, pieces, keys, motion, shape):
            yield Piece(labeled, tuple(session.path(i) for i in range(labeled.start, labeled.stop)))


def _labeled(contents: Contents) -> Iterator[Piece]:
    seen: dict[str, int] = {}
    hz: dict[str, float] = {}
    twice: Counter[str] = Counter()
    paths = find_segments(contents.folder)
    segments = [LabeledSegment.load(path) for path in paths]
    for path, labeled, again in zip(paths, segments, repeated(segments), strict=True):
        seen[labeled.session] = seen.get(labeled.session, 0) + len(labeled)
        twice[labeled.session] += len(again)
        hz[labeled.session] = labeled.frame_hz
        yield Piece(labeled, tuple(path / frame_name(i) for i in range(len(labeled))), again)
    for name, frames in seen.items():
        record = SessionRecord.load(contents.folder, name)
        if record is not None:
            contents.aside.update(count_aside(record.aside))
            if record.refused:
                contents.unread.append(f"{record.folder}: no samples, since {record.refused}")
        aside = sum(a.stop - a.start for a in record.aside if a.why.startswith(REPEATED[:10])) if record else 0
        facts = _facts_of_labeled(name, frames, hz[name], record)
        contents.sessions.append(_counted(facts, twice[name] + aside))


def _counted(facts: SessionFacts, again: int) -> SessionFacts:
    """The facts without the time of the `again` frames that another session has, too."""
    return replace(facts, minutes=facts.minutes * max(0, facts.frames - again) / facts.frames)


def _facts(session: Session) -> SessionFacts:
    quality = assess(session)
    return SessionFacts(session.name, quality.minutes, quality.frames, quality.fps, quality.reasons)


def _facts_of_labeled(name: str, frames: int, hz: float, record: SessionRecord | None) -> SessionFacts:
    """From the recording if it is still there, else from the segments alone."""
    try:
        if record is not None and (folder := record.recording) is not None:
            return _facts(Session.open(folder))
    except SessionError:
        pass
    return SessionFacts(name, frames / hz / 60, frames, None, None)
