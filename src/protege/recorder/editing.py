"""`protege sessions`: list recordings; trim, split, merge and delete them without breaking an index or an action.

An edit writes new sessions beside the old one. What a new session needs from before its first frame (keys held, goal)
is stated at its start, and a pause closes its end, so that every frame keeps exactly the action it had.
"""

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from protege.core.files import Json, locked, regular_size
from protege.core.lineage import ORIGIN, joined
from protege.core.quality import judge
from protege.core.session import (
    RECORDING,
    Session,
    SessionError,
    SessionInfo,
    SessionWriter,
    find_sessions,
    frame_path,
    require_finished,
)
from protege.core.transaction import TRASH, Transaction, remove, to_trash, transaction
from protege.errors import UserError
from protege.recorder.clips import TAIL_NS, Clip, clip_events
from protege.recorder.config import check_name

GAP_NS: Final = 1_000_000_000
"""Silence between merged sessions."""


@dataclass(frozen=True)
class Row:
    """A line of the listing. verdict: None when nobody has judged it; problem: why it cannot be read, else None."""

    folder: Path
    minutes: float = 0.0
    fps: float = 0.0
    frames: int = 0
    verdict: tuple[str, ...] | None = None
    key_shares: dict[str, float] | None = None
    problem: str | None = None


def list_sessions(root: Path) -> list[Row]:
    """A row for every recording under `root`, also for those that cannot be read. No picture is decoded."""
    return [_row(folder) for folder in find_sessions(root)]


def _row(folder: Path) -> Row:
    try:
        session = Session.open(folder)
        rows = session.actions()
    except (SessionError, OSError, ValueError, RecursionError) as error:
        return Row(folder, problem=str(error))
    shares = {key: float(rows[:, column].mean()) for column, key in enumerate(session.info.space.pressable)}
    seconds = session.duration_s
    return Row(folder, seconds / 60, len(session) / seconds, len(session), session.info.verdict, shares)


def trim(folder: Path, start_s: float, stop_s: float | None = None, *, replace: bool = False) -> Path:
    """Keep the frames from start_s to stop_s (left out; None: the end), in seconds since the first frame.

    Returns the new session, `<name>_trim` beside it. replace: it takes the old one's name, and the old one
    goes to .trash.
    """
    folder = folder.resolve()  # "." has no name and no folder beside it
    what = {"edit": "trim", "of": str(folder), "from": start_s, "to": stop_s, "replace": replace}
    with _edit(folder.parent, what) as edit:
        if (done := _finished(edit, what)) is not None:
            return done[0]
        session = _open(folder)
        start, stop = _frame_at(session, start_s), len(session) if stop_s is None else _frame_at(session, stop_s)
        if start >= stop:
            until = "the end" if stop_s is None else f"{stop_s:g} s"
            length = f"it is {_length_s(session):.1f} s long"
            raise UserError(f"{folder}: no frame between {start_s:g} s and {until}; {length}")
        clips = [Clip(session, start, stop)]
        if replace:
            name = folder.name
            edit.discard(name)
        else:
            name = _another(edit, f"{folder.name}_trim", clips, "trim")
        _write(edit.add(name), clips, "trim")
    return edit.root / name


def split(folder: Path, at_s: Sequence[float], *, replace: bool = False) -> list[Path]:
    """Cut at the given seconds since the first frame into `<name>_1`, `<name>_2` … beside it; all appear together.

    replace: the old one goes to .trash.
    """
    folder = folder.resolve()
    what = {"edit": "split", "of": str(folder), "at": sorted(at_s), "replace": replace}
    with _edit(folder.parent, what) as edit:
        if (done := _finished(edit, what)) is not None:
            return done
        session = _open(folder)
        cuts = [0, *(_frame_at(session, second) for second in sorted(at_s)), len(session)]
        if not at_s or any(a >= b for a, b in itertools.pairwise(cuts)):
            asked = " ".join(f"{second:g}" for second in at_s) or "nothing"
            raise UserError(
                f"{folder}: cannot be split at {asked}, a part would have no frame; "
                f"it is {_length_s(session):.1f} s long, give different seconds inside it"
            )
        names: list[str] = []
        for number, (start, stop) in enumerate(itertools.pairwise(cuts), 1):
            clips = [Clip(session, start, stop)]
            names.append(_another(edit, f"{folder.name}_{number}", clips, "split"))
            _write(edit.add(names[-1]), clips, "split")
        if replace:
            edit.discard(folder.name)
    return [edit.root / name for name in names]


def merge(folders: Sequence[Path], name: str, *, replace: bool = False) -> Path:
    """One session of several, in the given order, beside the first; the clocks are moved so that they follow."""
    check_name("--name", name)
    if len(folders) < 2:
        raise UserError(f"merging needs at least two recordings, got {len(folders)}")
    folders = [folder.resolve() for folder in folders]
    if replace and len(set(folders)) < len(folders):
        raise UserError("a recording is named twice; with --replace each can be merged only once")
    root = folders[0].parent
    if replace and (elsewhere := [folder for folder in folders if folder.parent != root]):
        raise UserError(
            f"{elsewhere[0]}: not beside {folders[0]}; with --replace merge only recordings of one folder, "
            "or delete them afterwards"
        )
    what = {"edit": "merge", "of": [str(folder) for folder in folders], "name": name, "replace": replace}
    with _edit(root, what) as edit:
        if (done := _finished(edit, what)) is not None:
            return done[0]
        sessions = [_open(folder) for folder in folders]
        for session in sessions[1:]:
            _same_form(sessions[0], session)
        if replace:
            for folder in folders:
                edit.discard(folder.name)
        if os.path.lexists(root / name) and not (replace and root / name in folders):
            again = f"protege sessions delete {root / name}"
            raise UserError(f"{root / name}: already there; delete it with: {again}, or write elsewhere")
        _write(edit.add(name), _in_a_row(sessions), "merge")
    return root / name


def _in_a_row(sessions: Sequence[Session]) -> list[Clip]:
    clips: list[Clip] = []
    end_ns = 0
    for number, session in enumerate(sessions, 1):
        shift_ns = end_ns + GAP_NS - int(session.t_ns[0]) if clips else 0
        # No tail between recordings: a last frame counts until its pause, so the pause comes when the frame is over.
        clips.append(Clip(session, 0, len(session), shift_ns, TAIL_NS if number == len(sessions) else 0))
        end_ns = int(session.t_ns[-1]) + session.info.period_ns + shift_ns
    return clips


def _edit(root: Path, what: Mapping[str, Json]) -> AbstractContextManager[Transaction]:
    if not root.is_dir():
        raise SessionError(f"{root}: no recordings here; list them with: protege sessions")
    return transaction(root, f"protege sessions {what['edit']}", what)


def _finished(edit: Transaction, what: Mapping[str, Json]) -> list[Path] | None:
    """The outcome of the same command, if it was killed after it had decided: it must not be done twice."""
    return next((list(done.added) for done in edit.finished if done.what == what), None)


def _another(edit: Transaction, name: str, clips: Sequence[Clip], operation: str) -> str:
    """The first free name; UserError if one of those that are taken holds the very same edit."""
    free = edit.free(name)
    number = 1
    while (taken := name if number == 1 else f"{name}_{number}") != free:
        with suppress(SessionError):
            if SessionInfo.load(edit.root / taken).extra.get("edited") == _edited(clips, operation):
                raise UserError(
                    f"{edit.root / taken}: this very part is there already; to make it anew, first: "
                    f"protege sessions delete {edit.root / taken}"
                )
        number += 1
    return free


def delete_all(folders: Sequence[Path], *, purge: bool = False) -> list[Path | None]:
    """`delete` for several; if one of them cannot be deleted, none is."""
    with ExitStack() as locks:
        for root in sorted({folder.resolve().parent for folder in folders if folder.resolve().parent.is_dir()}):
            locks.enter_context(locked(root, "protege sessions delete"))
        # All are looked at before the first is moved: a mistake in the last must not cost the others.
        resolved = [_deletable(folder, purge) for folder in folders]
        for number, folder in enumerate(resolved):
            if folder in resolved[:number]:
                raise UserError(f"{folders[number]}: named twice; name each recording once")
        if not purge:
            return [to_trash(folder) for folder in resolved]
        for folder in resolved:
            remove(folder)
        return [None] * len(resolved)


def delete(folder: Path, *, purge: bool = False) -> Path | None:
    """Move a session to `.trash` beside it, and return where it lies now; purge: remove it for good."""
    return delete_all([folder], purge=purge)[0]


def _deletable(folder: Path, purge: bool) -> Path:
    """The folder, resolved; UserError if it is no recording or is in the trash already."""
    if not (folder / "session.json").is_file():
        raise SessionError(f"{folder}: no recording here (no session.json); list them with: protege sessions")
    if not purge:
        _not_in_trash(folder.resolve())
    require_finished(folder)
    return folder.resolve()


def _open(folder: Path) -> Session:
    require_finished(folder)
    session = Session.open(folder)
    if session.info.status == RECORDING:
        raise SessionError(
            f"{folder}: still being recorded, or cut off; stop the recorder, or: protege doctor {folder} --repair"
        )
    return session


def _frame_at(session: Session, second: float) -> int:
    """Number of the first frame at or after a second since the first frame."""
    return int(np.searchsorted(session.t_ns - session.t_ns[0], round(second * 1e9), side="left"))


def _length_s(session: Session) -> float:
    return (int(session.t_ns[-1] - session.t_ns[0]) + session.info.period_ns) / 1e9


def _same_form(first: Session, other: Session) -> None:
    """UserError when two recordings cannot be one: another action space, frame rate or frame size."""
    a, b = first.info, other.info
    for what, mine, theirs in (
        ("action space", f"{a.space.name} ({' '.join(a.space.keys)})", f"{b.space.name} ({' '.join(b.space.keys)})"),
        ("mouse", _look_of(a), _look_of(b)),
        ("frame rate", f"{a.frame_hz:g} Hz", f"{b.frame_hz:g} Hz"),
        ("frame size", "{}x{}".format(*a.frame_size), "{}x{}".format(*b.frame_size)),
    ):
        if mine != theirs:
            raise UserError(
                f"{other.folder}: {what} {theirs}, but {first.name} has {mine}; merge only recordings of one form"
            )


def _look_of(info: SessionInfo) -> str:
    """The mouse of a recording, in words; equal for equal ones alone."""
    if (look := info.space.look) is None:
        return "not recorded"
    bins = "; ".join(f"{axis.name} bins at {' '.join(f'{edge:g}' for edge in axis.edges)}" for axis in look.axes)
    return f"of {look.counts_per_turn:g} counts a turn ({bins})"


def _write(part: Path, clips: Sequence[Clip], operation: str) -> None:
    """A session of the clips in a new folder, judged."""
    info = clips[0].session.info
    origins = joined((c.session, c.start, c.stop, c.shift_ns) for c in clips)
    extra: dict[str, Json] = {
        **_common_extra(clips),
        "edited": _edited(clips, operation),
        ORIGIN: [origin.to_json() for origin in origins],
    }
    # In proportion, since nothing says which frames were dropped.
    dropped = sum(round(c.session.info.dropped * (c.stop - c.start) / len(c.session)) for c in clips)
    with SessionWriter(part, replace(info, verdict=None, frames=0, dropped=0, extra=extra)) as writer:
        for clip in clips:
            for event in clip_events(clip):
                writer.event(event)
            for i in range(clip.start, clip.stop):
                # The writer makes an empty picture, which gives the frame its number, and the link takes its place.
                number = writer.frame(int(clip.session.t_ns[i]) + clip.shift_ns, b"")
                _link(clip.session.path(i), frame_path(part, number))
        writer.finish(dropped=dropped)
    judge(part)


def _edited(clips: Sequence[Clip], operation: str) -> dict[str, Json]:
    """What the edit was, in the words of all versions."""
    clipped = [{"session": c.session.name, "frames": [c.start, c.stop], "shift_ns": c.shift_ns} for c in clips]
    return {"how": operation, "from": clipped}


def _common_extra(clips: Sequence[Clip]) -> dict[str, Json]:
    """What the clips' makers noted, where they agree."""
    first, *others = (clip.session.info.extra for clip in clips)
    return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in others)}


def _link(source: Path, target: Path) -> None:
    """The picture under a second name where the file system can, else a copy; replaces `target`."""
    target.unlink()
    try:
        regular_size(source)  # a link to a device would be copied for ever
    except (FileNotFoundError, ValueError) as error:
        found = "missing" if isinstance(error, FileNotFoundError) else str(error)
        raise SessionError(f"{source}: {found}; repair with: protege doctor {source.parent.parent} --repair") from None
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _not_in_trash(folder: Path) -> None:
    if folder.parent.name == TRASH:
        raise UserError(f"{folder}: already in the trash; remove it for good with --purge")
