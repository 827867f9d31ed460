"""`protege sessions`: list recordings; trim, split, merge and delete them without breaking an index or an action.

An edit writes new sessions beside the old one. What a new session needs from before its first frame (keys held, goal)
is stated at its start, and a pause closes its end, so that every frame keeps exactly the action it had.
"""

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.core.events import End, Event, Goal, Held, Key, Pause, frame_actions
from protege.core.lineage import ORIGIN, TRASH, joined
from protege.core.quality import judge
from protege.core.session import (
    RECORDING,
    Session,
    SessionError,
    SessionWriter,
    find_sessions,
    frame_path,
    staged_session,
)
from protege.errors import UserError
from protege.recorder.config import check_name

CUT: Final = "cut"
"""Why a session made by editing pauses at its end, and how an episode ends that the next part does not continue."""
TAIL_NS: Final = 500_000_000
"""Keys are kept this long past a cut, so that actions read with a reaction shift (tau) are as before, too."""
GAP_NS: Final = 1_000_000_000
"""Silence between merged sessions."""
END_OF_TIME_NS: Final = 2**62


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


@dataclass(frozen=True)
class Clip:
    """Frames [start, stop) of a session, to be written with times moved by shift_ns and keys kept tail_ns longer."""

    session: Session
    start: int
    stop: int
    shift_ns: int = 0
    tail_ns: int = TAIL_NS


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


def trim(
    folder: Path, start_s: float, stop_s: float | None = None, out: Path | None = None, *, replace: bool = False
) -> Path:
    """Keep the frames from start_s to stop_s (left out; None: the end), in seconds since the first frame.

    Returns the new session: `out`, else `<name>_trim` beside it. replace: it takes the old one's name, and the old one
    goes to .trash.
    """
    session = _open(folder)
    folder = session.folder
    start, stop = _frame_at(session, start_s), len(session) if stop_s is None else _frame_at(session, stop_s)
    if start >= stop:
        until = "the end" if stop_s is None else f"{stop_s:g} s"
        raise UserError(f"{folder}: no frame between {start_s:g} s and {until}; it is {_length_s(session):.1f} s long")
    clip = Clip(session, start, stop)
    if replace:
        return _write_in_place_of(folder, clip)
    return _write(out or _free(folder.parent, f"{folder.name}_trim"), [clip], "trim")


def split(folder: Path, at_s: Sequence[float], *, replace: bool = False) -> list[Path]:
    """Cut at the given seconds since the first frame into `<name>_1`, `<name>_2` … beside it.

    replace: the old one goes to .trash once all parts are there.
    """
    session = _open(folder)
    folder = session.folder
    cuts = [0, *(_frame_at(session, second) for second in sorted(at_s)), len(session)]
    if not at_s or any(a >= b for a, b in itertools.pairwise(cuts)):
        asked = " ".join(f"{second:g}" for second in at_s) or "nothing"
        raise UserError(
            f"{folder}: cannot be split at {asked}, a part would have no frame; "
            f"it is {_length_s(session):.1f} s long, give different seconds inside it"
        )
    parts: list[Path] = []
    try:
        for number, (start, stop) in enumerate(itertools.pairwise(cuts), 1):
            out = _free(folder.parent, f"{folder.name}_{number}")
            parts.append(_write(out, [Clip(session, start, stop)], "split"))
    except BaseException:
        for part in parts:
            shutil.rmtree(part)
        raise
    if replace:
        _to_trash(folder)
    return parts


def merge(folders: Sequence[Path], name: str, *, replace: bool = False) -> Path:
    """One session of several, in the given order, beside the first; the clocks are moved so that they follow."""
    check_name("--name", name)
    if len(folders) < 2:
        raise UserError(f"merging needs at least two recordings, got {len(folders)}")
    sessions = [_open(folder) for folder in folders]
    if replace and len({session.folder for session in sessions}) < len(sessions):
        raise UserError("a recording is named twice; with --replace each can be merged only once")
    for session in sessions[1:]:
        _same_form(sessions[0], session)
    clips, end_ns = [], 0
    for session in sessions:
        shift_ns = end_ns + GAP_NS - int(session.t_ns[0]) if clips else 0
        # No tail between recordings: a last frame counts until its pause, so the pause comes when the frame is over.
        clips.append(Clip(session, 0, len(session), shift_ns, TAIL_NS if session is sessions[-1] else 0))
        end_ns = int(session.t_ns[-1]) + session.info.period_ns + shift_ns
    path = _write(sessions[0].folder.parent / name, clips, "merge")
    if replace:
        for session in sessions:
            _to_trash(session.folder)
    return path


def delete_all(folders: Sequence[Path], *, purge: bool = False) -> list[Path | None]:
    """`delete` for several; if one of them cannot be deleted, none is."""
    resolved = [_deletable(folder, purge) for folder in folders]
    for number, folder in enumerate(resolved):
        if folder in resolved[:number]:
            raise UserError(f"{folders[number]}: named twice; name each recording once")
    return [delete(folder, purge=purge) for folder in resolved]


def delete(folder: Path, *, purge: bool = False) -> Path | None:
    """Move a session to `.trash` beside it, and return where it lies now; purge: remove it for good."""
    folder = _deletable(folder, purge)
    if not purge:
        return _to_trash(folder)
    doomed = _free(folder.parent, f".{folder.name}.deleted")
    folder.replace(doomed)  # first out of sight: a kill half way leaves no half session
    shutil.rmtree(doomed)
    return None


def _deletable(folder: Path, purge: bool) -> Path:
    """The folder, resolved; UserError if it is no recording or is in the trash already."""
    if not (folder / "session.json").is_file():
        raise SessionError(f"{folder}: no recording here (no session.json); list them with: protege sessions")
    if not purge:
        _not_in_trash(folder.resolve())
    return folder.resolve()


def _open(folder: Path) -> Session:
    session = Session.open(folder.resolve())  # "." has no name and no folder beside it
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
        ("frame rate", f"{a.frame_hz:g} Hz", f"{b.frame_hz:g} Hz"),
        ("frame size", "{}x{}".format(*a.frame_size), "{}x{}".format(*b.frame_size)),
    ):
        if mine != theirs:
            raise UserError(
                f"{other.folder}: {what} {theirs}, but {first.name} has {mine}; merge only recordings of one form"
            )


def clip_events(clip: Clip) -> list[Event]:
    """The events that give the clip's frames, standing alone, the actions and goals they have in the session."""
    session, info = clip.session, clip.session.info
    first_ns, last_ns = int(session.t_ns[clip.start]), int(session.t_ns[clip.stop - 1])
    whole = clip.stop == len(session)
    next_ns = last_ns + info.period_ns if whole else int(session.t_ns[clip.stop])
    held, goal = _state_before(session.events, first_ns)
    events: list[Event] = [Held(first_ns, held), *([Goal(first_ns, goal)] if goal is not None else [])]
    events += [event for event in session.events if first_ns <= event.t_ns <= last_ns]
    after = [event for event in session.events if event.t_ns > last_ns]
    events += _ending(after, next_ns, next_ns + clip.tail_ns, whole)
    wanted = session.actions()[clip.stop - 1]
    found = frame_actions(session.t_ns[clip.start : clip.stop], events, info.space, info.period_ns)[-1]
    if not np.array_equal(wanted, found):
        # Before a gap (dropped frames) the last frame's action counted keys until the next frame, which is gone:
        # say plainly what it was.
        at = next(i for i, event in enumerate(events) if event.t_ns > last_ns)
        rest = [event for event in events[at:] if not isinstance(event, Key | Held)]
        events = [*events[:at], Held(last_ns, info.space.decode(wanted[None])[0]), *rest]
    if _state_before(events, END_OF_TIME_NS)[1] is not None:
        events.append(End(events[-1].t_ns, CUT))  # after the pause: it ends no span, and the goal does not leak
    return [replace(event, t_ns=event.t_ns + clip.shift_ns) for event in events]


def _ending(after: Sequence[Event], next_ns: int, stop_ns: int, whole: bool) -> Iterator[Event]:
    """What follows the last frame: the end of its episode, keys for a moment more, and a pause."""
    first = next((event for event in after if isinstance(event, Goal | End | Pause)), None)
    ends = first if whole and isinstance(first, End) else None
    for event in after:
        if event.t_ns > stop_ns:
            break
        if isinstance(event, Pause):
            yield event
            return
        if event.t_ns <= next_ns or isinstance(event, Key | Held) or event is ends:
            yield event
    if ends is not None and ends.t_ns > stop_ns:
        yield replace(ends, t_ns=stop_ns)
    yield Pause(stop_ns, CUT)


def _state_before(events: Sequence[Event], t_ns: int) -> tuple[frozenset[str], str | None]:
    """The keys held and the goal just before a time."""
    held: set[str] = set()
    goal = None
    for event in events:
        if event.t_ns >= t_ns:
            break
        match event:
            case Key(_, key, down):
                (held.add if down else held.discard)(key)
            case Held(_, keys):
                held = set(keys)
            case Pause():
                held = set()
            case Goal(_, text):
                goal = text
            case End():
                goal = None
    return frozenset(held), goal


def _write(folder: Path, clips: Sequence[Clip], operation: str) -> Path:
    """A new session of the clips, judged; it appears whole or not at all."""
    with staged_session(folder, f"protege sessions {operation}") as part:
        _write_clips(part, clips, operation)
    return folder


def _write_in_place_of(folder: Path, clip: Clip) -> Path:
    """The clip under the session's own name; the session goes to .trash only when the clip is complete."""
    beside = _write(_free(folder.parent, f".{folder.name}.new"), [clip], "trim")
    _to_trash(folder)
    return beside.replace(folder)


def _write_clips(part: Path, clips: Sequence[Clip], operation: str) -> None:
    info = clips[0].session.info
    edited = [{"session": c.session.name, "frames": [c.start, c.stop], "shift_ns": c.shift_ns} for c in clips]
    origins = joined((c.session, c.start, c.stop, c.shift_ns) for c in clips)
    extra: dict[str, Any] = {
        **_common_extra(clips),
        "edited": {"how": operation, "from": edited},
        ORIGIN: [origin.to_json() for origin in origins],
    }
    dropped = sum(round(c.session.info.dropped * (c.stop - c.start) / len(c.session)) for c in clips)
    with SessionWriter(part, replace(info, verdict=None, frames=0, dropped=0, extra=extra)) as writer:
        for clip in clips:
            for event in clip_events(clip):
                writer.event(event)
            for i in range(clip.start, clip.stop):
                number = writer.frame(int(clip.session.t_ns[i]) + clip.shift_ns, b"")
                _link(clip.session.path(i), frame_path(part, number))
        writer.finish(dropped=dropped)
    judge(part)


def _common_extra(clips: Sequence[Clip]) -> dict[str, Any]:
    """What the clips' makers noted, where they agree."""
    first, *others = (clip.session.info.extra for clip in clips)
    return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in others)}


def _link(source: Path, target: Path) -> None:
    """The picture under a second name where the file system can, else a copy; replaces `target`."""
    target.unlink()
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise SessionError(f"{source}: missing; repair with: protege doctor {source.parent.parent} --repair") from None
    except OSError:
        shutil.copy2(source, target)


def _not_in_trash(folder: Path) -> None:
    if folder.parent.name == TRASH:
        raise UserError(f"{folder}: already in the trash; remove it for good with --purge")


def _to_trash(folder: Path) -> Path:
    _not_in_trash(folder)
    trash = folder.parent / TRASH
    trash.mkdir(exist_ok=True)
    return folder.replace(_free(trash, folder.name))


def _free(root: Path, name: str) -> Path:
    """`root/name`, or `name_2`, `name_3` … where it is taken."""
    path, number = root / name, 2
    while path.exists():
        path, number = root / f"{name}_{number}", number + 1
    return path
