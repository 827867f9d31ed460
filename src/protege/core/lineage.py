"""Where the frames of a recording come from: trimmed, merged, split and copied ones hold frames of others.

A frame of play is one recording's frame at one time of its clock. Editing keeps both known (`extra["origin"]` of
session.json), through any number of edits, so that every frame counts once and relatives stay together in a split.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import numpy as np

from protege.core.events import NEVER_NS
from protege.core.files import Json, is_component
from protege.core.session import Session, SessionError, SessionInfo
from protege.core.transaction import TRASH

ORIGIN: Final = "origin"
"""The field of session.json's `extra`."""
MAX_DEPTH: Final = 50
"""Edits of edits that are followed where each names only its parent."""


@dataclass(frozen=True)
class Origin:
    """Frames [start, stop) of a session and where they were first recorded, without a missing one in between.

    start, stop: positions in the session (in session.json: numbers of its pictures); recording: identity of the first
    recording; session: its name then, for people; frames: [first, last + 1) numbers of its pictures; times_ns: first
    and last on its clock; shift_ns: what was added to its times since.
    """

    start: int
    stop: int
    recording: str
    session: str
    frames: tuple[int, int]
    times_ns: tuple[int, int]
    shift_ns: int = 0

    def to_json(self) -> dict[str, Json]:
        return {**asdict(self), "frames": list(self.frames), "times_ns": list(self.times_ns)}

    @classmethod
    def from_json(cls, fields: Json) -> Self:
        """The inverse of `to_json`; ValueError on anything else."""
        match fields:
            case {
                "start": int(start),
                "stop": int(stop),
                "recording": str(recording),
                "session": str(session),
                "frames": [int(first), int(last)],
                "times_ns": [int(since), int(until)],
                "shift_ns": int(shift),
            } if 0 <= start < stop < NEVER_NS and 0 <= first < NEVER_NS:
                if (
                    last - first == stop - start
                    and max(abs(since), abs(until), abs(shift)) < NEVER_NS
                    and since <= until
                ):
                    return cls(start, stop, recording, session, (first, last), (since, until), shift)
        raise ValueError(f"not an origin: {str(fields)[:80]}")


def recording_id(name: str, info: SessionInfo) -> str:
    """Identity of a recording that no edit made: the moment its clock was read, else its name.

    The moment stays when a recording is renamed or copied; the name serves what has no date (the built-in game's own
    time).
    """
    if info.clock["wall_ns"] > 0:
        return f"{info.source} {info.clock['wall_ns']} {info.clock['monotonic_ns']}"
    return f"{info.source} {name}"


def is_edited(info: SessionInfo) -> bool:
    """Whether a session was made from others."""
    return ORIGIN in info.extra or "edited" in info.extra


def origins(session: Session, start: int = 0, stop: int | None = None) -> list[Origin]:
    """Where frames [start, stop) of a session were first recorded, in order; together they cover them exactly.

    Raises SessionError if session.json says something about it that cannot be.
    """
    return _part(_Reader().origins(session), session, start, len(session) if stop is None else stop)


def joined(clips: Iterable[tuple[Session, int, int, int]]) -> list[Origin]:
    """The origins of a new session made of clips (session, start, stop, nanoseconds added to its times)."""
    return _Reader().joined(clips)


def families(members: Sequence[Collection[str]]) -> list[str]:
    """A key for each member, equal for those who share a recording, directly or through others.

    members: the identities of the recordings that each holds play of. A family stays on one side of a split.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            # Union-find with path splitting: each search makes the next one shorter.
            parent[name] = parent[above]
            name = above
        return name

    for member in members:
        first, *others = sorted({root(name) for name in member}) or [""]
        parent |= dict.fromkeys(others, first)
    return [root(min(member)) if member else "" for member in members]


class _Reader:
    """Reads origins; each parent of a session that an earlier version edited is read once."""

    def __init__(self) -> None:
        self._parents: dict[Path, tuple[Session, list[Origin]] | None] = {}
        self._depth = 0

    def origins(self, session: Session) -> list[Origin]:
        extra, numbers = session.info.extra, session.numbers
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        try:
            if ORIGIN in extra:
                return _covering(session, [Origin.from_json(fields) for fields in _a_list(extra[ORIGIN])])
            if "edited" in extra:
                return _covering(session, list(self._of_edit(session, _clips_of(extra["edited"]))))
        except (ValueError, KeyError, TypeError) as error:
            raise SessionError(
                f"{session.folder}/session.json: extra says of which recordings this was made, but not as protege "
                f"writes it ({error}); restore the file from a copy, or take origin and edited out of its extra"
            ) from None
        recording = recording_id(session.name, session.info)
        return _covering(session, [Origin(first, last, recording, session.name, (first, last), (0, 0))])

    def joined(self, clips: Iterable[tuple[Session, int, int, int]]) -> list[Origin]:
        found: list[Origin] = []
        at = 0
        for session, start, stop, shift_ns in clips:
            found += _moved(_part(self.origins(session), session, start, stop), at - start, shift_ns)
            at += stop - start
        return found

    def _of_edit(self, session: Session, clips: list[Json]) -> Iterator[Origin]:
        """From what editors wrote before `origin`: the names of the parents and the positions of the frames there."""
        at = 0
        for clip in clips:
            match clip:
                case {"session": str(name), "frames": [int(a), int(b)], "shift_ns": int(shift)} if (
                    0 <= a < b < NEVER_NS
                ):
                    pass
                case _:
                    raise ValueError(f"not a clip: {str(clip)[:80]}")
            own = int(np.searchsorted(session.numbers, at))
            if own < len(session) and session.numbers[own] < at + b - a:  # otherwise a repair has dropped it all
                position = int(session.numbers[own]) - at + a
                parent = self._parent(session, name, position, int(session.t_ns[own]) - shift)
                if parent is None:
                    # The clock of an edited session is that of its first clip.
                    recording = f"{session.info.source} {name}" if at else recording_id(name, session.info)
                    yield Origin(at, at + b - a, recording, name, (a, b), (0, 0), shift)
                else:
                    yield from _moved(_part(parent[1], parent[0], a, min(b, len(parent[0]))), at - a, shift)
            at += b - a

    def _parent(self, session: Session, name: str, position: int, t_ns: int) -> tuple[Session, list[Origin]] | None:
        """The session that a frame was taken from, with its origins, if it is still there with that frame."""
        around = session.folder.parent
        around = around.parent if around.name == TRASH else around
        for folder in _called(around, name):
            if folder.resolve() == session.folder.resolve():
                continue
            if folder not in self._parents:
                self._parents[folder] = None  # a circle ends here
                self._parents[folder] = self._read(folder)
            parent = self._parents[folder]
            # The name alone is no proof: another recording may have taken it since. Its clock at that frame is.
            if parent is not None and position < len(parent[0]) and int(parent[0].t_ns[position]) == t_ns:
                return parent
        return None

    def _read(self, folder: Path) -> tuple[Session, list[Origin]] | None:
        self._depth += 1
        try:
            session = Session.open(folder)
            return (session, self.origins(session)) if self._depth <= MAX_DEPTH else None
        except (SessionError, OSError):
            return None
        finally:
            self._depth -= 1


def _called(root: Path, name: str) -> Iterator[Path]:
    """Where a session of this name lies or lay: under `root`, or in the trash, where a number may follow its name."""
    if is_component(name):
        yield root / name
        yield root / TRASH / name
        number = 2
        while (folder := root / TRASH / f"{name}_{number}").exists():
            yield folder
            number += 1


def _clips_of(edited: Json) -> list[Json]:
    return _a_list(edited["from"] if isinstance(edited, Mapping) else edited)


def _a_list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {str(value)[:80]}")
    return value


def _covering(session: Session, claimed: Sequence[Origin]) -> list[Origin]:
    """Origins by the numbers of the session's pictures as origins by positions, split where a number is missing.

    ValueError unless they cover the session, each frame once and in order.
    """
    numbers = session.numbers
    found: list[Origin] = []
    for origin in claimed:
        at = found[-1].stop if found else 0
        since, until = np.searchsorted(numbers, (origin.start, origin.stop)).tolist()
        if since != at:
            raise ValueError(f"the origin of frame {numbers[min(since, at)]} is not clear")
        gaps = np.flatnonzero(np.diff(numbers[since:until]) > 1) + 1
        for a, b in pairwise([since, *(gaps + since).tolist(), until]):
            if a < b:
                first = origin.frames[0] + int(numbers[a]) - origin.start
                found.append(_timed(session, replace(origin, start=a, stop=b, frames=(first, first + b - a))))
    if (covered := found[-1].stop if found else 0) != len(session):
        raise ValueError(f"the origin of frame {numbers[covered]} is not there")
    return found


def _part(known: Iterable[Origin], session: Session, start: int, stop: int) -> list[Origin]:
    """What lies in positions [start, stop) of the session."""
    found: list[Origin] = []
    for origin in known:
        a, b = max(origin.start, start), min(origin.stop, stop)
        if a < b:
            first = origin.frames[0] - origin.start
            found.append(_timed(session, replace(origin, start=a, stop=b, frames=(first + a, first + b))))
    return found


def _timed(session: Session, origin: Origin) -> Origin:
    since, until = session.t_ns[origin.start], session.t_ns[origin.stop - 1]
    return replace(origin, times_ns=(int(since) - origin.shift_ns, int(until) - origin.shift_ns))


def _moved(known: Iterable[Origin], by: int, shift_ns: int) -> list[Origin]:
    return [replace(o, start=o.start + by, stop=o.stop + by, shift_ns=o.shift_ns + shift_ns) for o in known]
