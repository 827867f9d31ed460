"""A recording as its page plays it: times of its frames, a lane for each key, breaks; and edits with undo."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from protege.core.events import (
    AGENT,
    HUMAN,
    PAUSES,
    Control,
    End,
    Focus,
    Goal,
    Motion,
    Pause,
    frame_motion,
    gaps,
    held_spans,
)
from protege.core.files import Json, free, locked, move, read_bytes
from protege.core.session import Session, SessionInfo
from protege.core.transaction import TRASH
from protege.errors import UserError
from protege.recorder import editing

MOST_PICTURE: Final = 32 << 20
KEPT: Final = 3
"""Sessions in memory."""


class Opened:
    """Sessions that were opened, the latest few of them kept until their files change."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[Path, tuple[tuple[int, ...], Session]] = {}

    def __call__(self, folder: Path) -> Session:
        """SessionError if it cannot be read."""
        with self._lock:
            files = [folder / name for name in ("session.json", "frames.jsonl", "events.jsonl")]
            version = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files)
            known = self._kept.pop(folder, None)
            session = known[1] if known is not None and known[0] == version else Session.open(folder)
            self._kept[folder] = (version, session)
            while len(self._kept) > KEPT:
                self._kept.pop(next(iter(self._kept)))
            return session


def picture(session: Session, i: int) -> bytes:
    """The JPEG of frame i as it lies there; OSError or ValueError if it cannot be read."""
    data = read_bytes(session.path(i), MOST_PICTURE)
    if not data.startswith(b"\xff\xd8\xff"):
        raise ValueError("not a JPEG")
    return data


def described(session: Session) -> dict[str, Any]:
    """What a page needs to play a session; all times in milliseconds since the first frame.

    t: of the frames; keys: for each that was held its name, what it does and [down, up] pairs; pauses: [from, to, why];
    blurs: [from, to] without the focus; missing: [from, to] between frames where some are missing; by: [from, to, who]
    where an agent and a person took turns; marks: [at, text] of goals and ends; motion: [i, right, down] counts of the
    mouse in the frames that have any.
    """
    first = int(session.t_ns[0])
    stop = int(session.t_ns[-1]) + session.info.period_ns
    space, events = session.info.space, session.events

    def ms(t_ns: int) -> int:
        return round((min(max(t_ns, first), stop) - first) / 1e6)

    keys: list[Json] = []
    for key in space.pressable:
        spans = [[ms(a), ms(b)] for a, b in held_spans(events, key, stop).tolist()]
        if spans:
            keys.append({"key": key, "does": space.told(key), "spans": [s for s in spans if s[1] > s[0]]})
    pauses = [e for e in events if isinstance(e, Pause)]
    missing = gaps(session.t_ns, session.info.period_ns).tolist()
    motion = frame_motion(session.t_ns, events, session.info.period_ns)
    moved = np.flatnonzero(motion.any(axis=1)).tolist() if any(isinstance(e, Motion) for e in events) else []
    return {
        "t": [round(t / 1e6) for t in (session.t_ns - first).tolist()],
        "length": ms(stop),
        "keys": keys,
        "pauses": [[ms(e.t_ns), ms(_resumes(session, e.t_ns)), PAUSES.get(e.pause, e.pause)] for e in pauses],
        "blurs": _without_focus(session, ms),
        "missing": [[ms(int(session.t_ns[i])), ms(int(session.t_ns[i + 1]))] for i in missing],
        "by": _turns(session, ms, stop),
        "marks": [[ms(e.t_ns), _words(e, session.info)] for e in events if isinstance(e, Goal | End)],
        "motion": [[i, *motion[i].tolist()] for i in moved],
    }


def _resumes(session: Session, t_ns: int) -> int:
    """The time of the first frame after a pause, or the recording's end."""
    after = int(session.t_ns.searchsorted(t_ns, side="right"))
    return int(session.t_ns[after]) if after < len(session) else int(session.t_ns[-1]) + session.info.period_ns


def _without_focus(session: Session, ms: Callable[[int], int]) -> list[Json]:
    found: list[Json] = []
    since: int | None = None
    for event in session.events:
        if isinstance(event, Focus) and not event.focus and since is None:
            since = event.t_ns
        elif isinstance(event, Focus) and event.focus and since is not None:
            found.append([ms(since), ms(event.t_ns)])
            since = None
    if since is not None:
        found.append([ms(since), ms(int(session.t_ns[-1]) + session.info.period_ns)])
    return found


def _turns(session: Session, ms: Callable[[int], int], stop: int) -> list[Json]:
    turns = [e for e in session.events if isinstance(e, Control)]
    if not turns:
        return []
    ends = [*(e.t_ns for e in turns[1:]), stop]
    who = {AGENT: "the agent", HUMAN: "you"}
    return [[ms(e.t_ns), ms(end), who[e.by]] for e, end in zip(turns, ends, strict=True)]


def _words(event: Goal | End, info: SessionInfo) -> str:
    if isinstance(event, Goal):
        return f"goal: {event.goal}"
    if event.end == "success" and info.source == AGENT and "seed" not in info.extra:  # no game has judged it
        return "the model thinks it is done"
    said = {"success": "the goal is over: reached", "timeout": "the goal is over: out of time"}
    return said.get(event.end, f"the goal is over: {event.end}")


@dataclass(frozen=True)
class Cut:
    """An edit that can be taken back: what it made, and where what it replaced lies now (with its name before)."""

    made: tuple[Path, ...]
    gone: tuple[tuple[Path, Path], ...]


@dataclass
class Edits:
    """Trims, splits and deletions of this sitting."""

    _done: list[Cut] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def trim(self, folder: Path, start_s: float, stop_s: float) -> Path:
        """Keep a part, as a new recording beside it."""
        with self._lock:
            made = editing.trim(folder, start_s, stop_s)
            self._done.append(Cut((made,), ()))
            return made

    def split(self, folder: Path, at_s: float) -> list[Path]:
        """Cut in two; the whole stays beside them."""
        with self._lock:
            made = editing.split(folder, [at_s])
            self._done.append(Cut(tuple(made), ()))
            return made

    def delete(self, folder: Path) -> None:
        """Move it to the trash beside it."""
        with self._lock:
            kept = editing.delete(folder)
            if kept is not None:
                self._done.append(Cut((), ((kept, folder),)))

    def undo(self) -> str | None:
        """Take the latest edit back, and say so in words; None where there is none."""
        with self._lock:
            if not self._done:
                return None
            cut = self._done[-1]
            for made in cut.made:
                if made.exists():
                    editing.delete(made)
            for kept, before in cut.gone:
                _back(kept, before)
            self._done.pop()
            names = ", ".join(path.name for path in (*cut.made, *(before for _, before in cut.gone)))
            return f"{names} {'is back' if cut.gone else 'went to the trash'}"


def _back(kept: Path, before: Path) -> None:
    with locked(before.parent, "protege studio"):
        if not kept.is_dir():
            raise UserError(f"{kept}: not in the trash any more")
        move(kept, free(before))
        if kept.parent.name == TRASH and not any(kept.parent.iterdir()):
            shutil.rmtree(kept.parent)
