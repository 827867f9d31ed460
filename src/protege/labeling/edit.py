"""What a person decides about labeled segments: goals, segments set aside, edges moved; each can be taken back."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from protege.core.labeled import ASIDE, LABELED, NO_SAMPLES, LabeledSegment, frame_name
from protege.core.lineage import Origin, origins
from protege.core.session import Session
from protege.core.transaction import TRASH, transaction
from protege.errors import UserError
from protege.labeling.goals import complaint, unusable
from protege.labeling.labels import attach_keys, keys_per_frame
from protege.labeling.segments import KEEP_S
from protege.labeling.store import SessionRecord, count_samples, session_segments, write_segment, writing

DOING: Final = "protege review"


@dataclass(frozen=True)
class Edit:
    """Segments before a decision and after it, in one folder; `undo` takes it back."""

    root: Path
    before: tuple[LabeledSegment, ...]
    after: tuple[LabeledSegment, ...]


def approve(folder: Path, goal: str, *, force: bool = False) -> int:
    """Give a segment a goal that a person has seen; it is trained on from now on. Returns its number of samples.

    UserError if a model would be asked again for such a goal; force: take it all the same.
    """
    folder = folder.resolve()
    accept(folder.parent, [folder.name], goal, force=force)
    return count_samples(folder)


def accept(root: Path, names: Sequence[str], goal: str | None = None, *, force: bool = False) -> Edit:
    """A person has looked at these segments, and they are trained on from now on. goal: None leaves each its own.

    UserError, before anything is written, if a segment cannot become samples or a model would be asked again for the
    goal; force: take it all the same.
    """
    if goal is not None:
        goal = checked(goal, force=force)

    def decide(segment: LabeledSegment) -> LabeledSegment:
        if segment.status == NO_SAMPLES and segment.why != ASIDE:
            raise UserError(f"{root / segment.name}: {segment.why}, so it cannot become samples; record with keys")
        wanted = segment.goal if goal is None else goal
        if unusable(wanted):
            raise UserError(f"{root / segment.name}: has no goal yet; give it one")
        if segment.status == LABELED and wanted == segment.goal:
            return replace(segment, seen=True)  # as it stands, so a goal that goes on still does
        return segment.approved(wanted)

    return _decided(root, names, decide)


def set_aside(root: Path, names: Sequence[str]) -> Edit:
    """A person does not want these segments trained on. They stay where they are, and can be accepted later."""
    return _decided(root, names, LabeledSegment.set_aside)


def undo(edit: Edit, session: Session | None = None) -> None:
    """Take a decision back. session: the recording, for an edge that was moved. UserError if the segments have changed
    since.
    """
    with writing(edit.root, DOING):
        for after in edit.after:
            if LabeledSegment.load(edit.root / after.name) != after:
                raise UserError(f"{edit.root / after.name}: changed by something else meanwhile; look at it again")
        if session is None:
            for before in edit.before:
                _rewrite(edit.root, before)
            return
    # `transaction` takes the lock itself.
    _put(edit.root, edit.before, session)


def move_edge(root: Path, name: str, seconds: float, session: Session) -> Edit:
    """Move the end of a segment, which is where the next one begins, by so many seconds (negative: earlier).

    session: the recording, which has the pictures, and says what was held. UserError where there is no neighbour to
    give or take frames, or one of the two would become shorter than a second.
    """
    first = LabeledSegment.load(root / name)
    following = (LabeledSegment.load(path) for path in session_segments(root, first.session))
    second = next((segment for segment in following if segment.start == first.stop), None)
    if second is None or first.stop in {span.stop for span in session.spans()}:
        raise UserError(f"{root / name}: no segment begins where it ends, so its edge cannot be moved")
    if second.shape != first.shape:
        raise UserError(f"{root / name}: its neighbour was labeled with other settings; label both again with --redo")
    frames = round(seconds * first.frame_hz) or (1 if seconds > 0 else -1)
    edge, least = first.stop + frames, KEEP_S * first.frame_hz
    if edge - first.start < least or second.stop - edge < least:
        raise UserError(f"{root / name}: a segment is at least {KEEP_S:g} s long, so the edge cannot be moved further")
    goes_on = first.goal_stop > first.stop
    pair = [
        replace(first, stop=edge, goal_stop=max(edge, first.goal_stop) if goes_on else edge),
        replace(second, start=edge),
    ]
    keys = keys_per_frame(session, first.shape.tau_ms)
    held = attach_keys(session, pair, keys, session.motion(first.shape.tau_ms), first.shape)
    moved = tuple(replace(piece, origin=_origin(session, piece)) for piece in held)
    if keys is not None:  # `attach_keys` decides about the status of those without
        moved = tuple(replace(m, status=p.status, why=p.why) for m, p in zip(moved, pair, strict=True))
    _put(root, moved, session)
    return Edit(root, (first, second), moved)


def recording_of(root: Path, segment: LabeledSegment) -> Session:
    """The recording that a segment was cut from, unchanged since; UserError if it is not there any more."""
    record = SessionRecord.load(root, segment.session)
    folder = record.recording if record is not None else None
    if record is None or folder is None or not folder.is_dir():
        raise UserError(f"{segment.session}: the recording is not where it was labeled, so no edge can be moved")
    session = Session.open(folder)
    if (len(session), int(session.t_ns[-1])) != (record.frames, record.last_t_ns):
        raise UserError(f"{folder}: changed since it was labeled, so no edge can be moved; label it again with --redo")
    return session


def checked(goal: str, *, force: bool = False) -> str:
    """The goal without blanks around it; UserError if it is none."""
    goal = goal.strip()
    if (why := unusable(goal)) is not None:
        raise UserError(f"--goal {goal[:60]!r}: {why}; give a few words on one line")
    if not force and (why := complaint(goal)) is not None:
        raise UserError(f'--goal "{goal}": {why}; say it otherwise, or take it as it is with --force')
    return goal


def _decided(root: Path, names: Sequence[str], decide: Callable[[LabeledSegment], LabeledSegment]) -> Edit:
    with writing(root, DOING):
        before = tuple(LabeledSegment.load(root / name) for name in names)
        after = tuple(decide(segment) for segment in before)
        for segment in after:
            _rewrite(root, segment)
    return Edit(root, before, after)


def _rewrite(root: Path, segment: LabeledSegment) -> None:
    """Write a segment with the pictures it has. Only inside `writing`."""
    folder = root / segment.name
    pictures = [folder / frame_name(i) for i in range(len(segment))]
    write_segment(root, segment, pictures, f"remove {folder} and label again")


def _put(root: Path, segments: Sequence[LabeledSegment], session: Session) -> None:
    """Replace neighbouring segments together, with pictures of their recording."""
    names = [segment.name for segment in segments]
    with transaction(root, DOING, {"edit": "edge", "of": names}) as step:
        for segment in segments:
            pictures = [session.path(i) for i in range(segment.start, segment.stop)]
            write_segment(step.add(segment.name).parent, segment, pictures)
            step.discard(segment.name)
    for name in names:  # their frames are in the recording and in the new ones
        shutil.rmtree(root / TRASH / name, ignore_errors=True)
    with suppress(OSError):
        (root / TRASH).rmdir()


def _origin(session: Session, piece: LabeledSegment) -> tuple[Origin, ...]:
    if not piece.origin:
        return ()  # an earlier version wrote it
    found = origins(session, piece.start, piece.stop)
    return tuple(replace(o, start=o.start - piece.start, stop=o.stop - piece.start) for o in found)
