"""A recording on disk: its writer, reader, checker and repairer. The format is described in docs/session-format.md.

session.json (what and how), frames/000000.jpg …, frames.jsonl (a line per frame), events.jsonl (a line per event).
"""

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from protege.errors import UserError
from protege.play.actions import KEYBOARD_12, ActionSpace
from protege.play.events import End, Event, Goal, Pause, event_from_json, event_to_json, frame_actions
from protege.play.frame import Frame, decode_jpeg

FORMAT_VERSION: Final = 1
RECORDING, COMPLETE, RECOVERED = "recording", "complete", "recovered"
TORN: Final = "a line cut off:"
RESERVE_BYTES: Final = 1 << 16
"""Space kept aside while recording, so that a session can still be closed on a full disk."""

T = TypeVar("T")


class SessionError(UserError):
    """A session that cannot be read as it is; the message names file, line, what was found and what to do."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a session: where, what was found, and what repairing it would do."""

    where: str
    found: str
    repair: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; {self.repair}"


@dataclass(frozen=True)
class SessionInfo:
    """session.json: how the recording was made and how it ended.

    frame_size: (width, height); window: title and rectangle, or None; clock: the wall and the monotonic time of one
    moment, in nanoseconds; dropped: frames that were due and not written; verdict: what is wrong with it (empty: good),
    or None when nobody has judged it; extra: what only its maker knows (task, seed, importer's counts …).
    """

    space: ActionSpace = KEYBOARD_12
    frame_hz: float = 10.0
    frame_size: tuple[int, int] = (640, 480)
    source: str = "recorder"
    window: Mapping[str, Any] | None = None
    clock: Mapping[str, int] = field(default_factory=lambda: {"wall_ns": 0, "monotonic_ns": 0})
    libraries: Mapping[str, str] = field(default_factory=dict)
    status: str = RECORDING
    frames: int = 0
    dropped: int = 0
    verdict: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def period_ns(self) -> int:
        """Nanoseconds from one frame to the next, as intended."""
        return round(1e9 / self.frame_hz)

    def to_json(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            **{k: v for k, v in vars(self).items() if k != "space"},
            "action_space": self.space.to_json(),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError on anything else."""
        named = {k: fields[k] for k in cls.__dataclass_fields__ if k != "space"}
        named["space"] = ActionSpace.from_json(fields["action_space"])
        width, height = named["frame_size"]
        named["frame_size"] = (int(width), int(height))
        named["verdict"] = None if named["verdict"] is None else tuple(named["verdict"])
        if not named["frame_hz"] > 0:
            raise ValueError(f"frame_hz is {named['frame_hz']}")
        return cls(**named)

    def save(self, folder: Path) -> None:
        """Write session.json whole or not at all."""
        beside = folder / "session.json.part"
        beside.write_text(json.dumps(self.to_json(), indent=1), encoding="utf-8")
        beside.replace(folder / "session.json")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """SessionError if there is none, it cannot be read, or a newer version wrote it."""
        path = folder / "session.json"
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            version = fields["format_version"]
            if version > FORMAT_VERSION:
                raise SessionError(
                    f"{path}: format version {version}, this protege reads up to {FORMAT_VERSION}; update protege"
                )
            return cls.from_json(fields)
        except FileNotFoundError:
            raise SessionError(
                f"{folder}: no recording here (no session.json); make one with: protege record"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SessionError(f"{path}: not a session's description ({error!r}); restore it from a copy") from None


class SessionWriter:
    """Writes a session as it happens. Every line is on its way to disk before the call returns, so a kill
    loses at most the frame being written. `frame` and `event` may be called from different threads.
    """

    def __init__(self, folder: Path, info: SessionInfo) -> None:
        """Creates `folder` (FileExistsError if it is there) and opens the files in it."""
        (folder / "frames").mkdir(parents=True)
        self.folder = folder
        self.info = replace(info, status=RECORDING)
        self._lock = threading.Lock()
        (folder / "reserve").write_bytes(bytes(RESERVE_BYTES))
        self.info.save(folder)
        self._frames = _open_lines(folder / "frames.jsonl")
        self._events = _open_lines(folder / "events.jsonl")
        self._count = 0

    @classmethod
    def create(cls, root: Path, info: SessionInfo, name: str | None = None) -> Self:
        """A new session under `root`, named after the time unless named; the clock origin is now."""
        name = name or time.strftime("%Y%m%d_%H%M%S")
        folder = root / name
        number = 2
        while folder.exists():
            folder = root / f"{name}_{number}"
            number += 1
        if not any(info.clock.values()):
            info = replace(info, clock={"wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()})
        return cls(folder, info)

    @property
    def frame_count(self) -> int:
        return self._count

    def frame(self, t_ns: int, jpeg: bytes) -> int:
        """Append a frame; returns its number. The picture is written before the line that names it."""
        number = self._count
        frame_path(self.folder, number).write_bytes(jpeg)
        self._frames.write(f'{{"i": {number}, "t_ns": {t_ns}}}\n')
        self._count += 1
        return number

    def event(self, event: Event) -> None:
        line = json.dumps(event_to_json(event)) + "\n"
        with self._lock:
            self._events.write(line)

    def finish(self, dropped: int = 0, extra: Mapping[str, Any] | None = None) -> Path:
        """Close the files and mark the session complete; returns its folder. Calling it again does nothing."""
        if self.info.status == RECORDING:
            (self.folder / "reserve").unlink(missing_ok=True)
            for file in (self._frames, self._events):
                file.close()
            self.info = replace(
                self.info,
                status=COMPLETE,
                frames=self._count,
                dropped=dropped,
                extra={**self.info.extra, **(extra or {})},
            )
            self.info.save(self.folder)
        return self.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish(self.info.dropped)


def frame_path(folder: Path, number: int) -> Path:
    """Where frame `number` of a session lies."""
    return folder / "frames" / f"{number:06d}.jpg"


def _open_lines(path: Path) -> IO[str]:
    return path.open("a", encoding="utf-8", buffering=1)


@dataclass(frozen=True)
class Span:
    """Frames [start, stop) recorded without a break; the goal and the end of their episode, if known."""

    start: int
    stop: int
    goal: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Session:
    """A recording, read. numbers: (T,) the frames' file numbers; t_ns: (T,) their times, increasing."""

    folder: Path
    info: SessionInfo
    numbers: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    events: tuple[Event, ...]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read a session; a torn last line is forgiven in one that was killed. Raises SessionError."""
        session, problems = _scan(folder)
        if session.info.status == RECORDING:
            problems = [p for p in problems if not p.found.startswith(TORN)]
        if not len(session.t_ns) and not problems:
            problems = [Problem(f"{folder}/frames.jsonl", "no frames", "record again, or remove it")]
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise SessionError(f"{problems[0]}{more}; repair with: protege doctor {folder} --repair")
        return cls(session.folder, session.info, session.numbers, session.t_ns, session.events)

    @property
    def name(self) -> str:
        return self.folder.name

    def __len__(self) -> int:
        return len(self.t_ns)

    @property
    def duration_s(self) -> float:
        """Seconds recorded, pauses left out."""
        breaks = sum(int(self.t_ns[s.stop - 1] - self.t_ns[s.start]) + self.info.period_ns for s in self.spans())
        return breaks / 1e9

    def path(self, i: int) -> Path:
        """The i-th frame's JPEG."""
        return frame_path(self.folder, int(self.numbers[i]))

    def frame(self, i: int) -> Frame:
        """The i-th frame, decoded; SessionError if its file is missing or damaged."""
        try:
            return Frame(decode_jpeg(self.path(i)), int(self.t_ns[i]))
        except OSError as error:
            raise SessionError(
                f"{self.path(i)}: cannot be read ({error}); repair with: protege doctor {self.folder} --repair"
            ) from None

    def actions(self, tau_ms: float = 0.0) -> NDArray[np.bool_]:
        """(T, K) the action of every frame, as multi-hot rows of the session's space."""
        return frame_actions(self.t_ns, self.events, self.info.space, self.info.period_ns, round(tau_ms * 1e6))

    def spans(self) -> list[Span]:
        """The recording without its breaks: no span crosses a pause or an episode's beginning or end."""
        cuts = [event for event in self.events if isinstance(event, Pause | Goal | End)]
        spans: list[Span] = []
        goal, start = None, 0
        for event in cuts:
            stop = int(np.searchsorted(self.t_ns, event.t_ns, side="right" if isinstance(event, Pause) else "left"))
            if stop > start:
                spans.append(Span(start, stop, goal, event.end if isinstance(event, End) else None))
                start = stop
            if isinstance(event, Goal):
                goal = event.goal
            elif isinstance(event, End):
                goal = None
        if start < len(self.t_ns):
            spans.append(Span(start, len(self.t_ns), goal))
        return spans


def _lines(path: Path, parse: Callable[[Any], T], problems: list[Problem]) -> Iterator[tuple[str, T]]:
    """(file:line, what it says) of a JSONL file; what cannot be parsed goes to `problems`."""
    if not path.exists():
        problems.append(Problem(str(path), "missing", "repairing starts an empty one"))
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield f"{path}:{number}", parse(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            torn = number == len(lines)  # what was written whole ends with a newline
            found = f"{TORN} {line[:60]!r}" if torn else f"{error} in {line[:60]!r}"
            problems.append(Problem(f"{path}:{number}", found, "repairing drops the line"))


def _scan(folder: Path) -> tuple[Session, list[Problem]]:
    """All that is good in a session's files, and every problem with their lines."""
    info = SessionInfo.load(folder)
    problems: list[Problem] = []
    numbers: list[int] = []
    times: list[int] = []
    for where, (i, t_ns) in _lines(folder / "frames.jsonl", lambda f: (int(f["i"]), int(f["t_ns"])), problems):
        if times and (t_ns <= times[-1] or i <= numbers[-1]):
            found = f"frame {i} at {t_ns} does not follow frame {numbers[-1]} at {times[-1]}"
            problems.append(Problem(where, f"the clock runs backwards: {found}", "repairing drops the frame"))
            continue
        numbers.append(i)
        times.append(t_ns)
    lines = list(_lines(folder / "events.jsonl", lambda fields: event_from_json(fields, info.space), problems))
    for (_, a), (where, b) in itertools.pairwise(lines):
        if b.t_ns < a.t_ns:
            found = f"the clock runs backwards from {a.t_ns} to {b.t_ns}"
            problems.append(Problem(where, found, "repairing sorts the events by time"))
            break
    events = [event for _, event in lines]
    events.sort(key=lambda event: event.t_ns)
    return Session(folder, info, np.array(numbers, np.int64), np.array(times, np.int64), tuple(events)), problems


def _bad_frames(session: Session) -> dict[int, str]:
    """Positions of the frames whose JPEG is missing or does not decode, each with what was found."""
    bad: dict[int, str] = {}
    for i in range(len(session)):
        try:
            decode_jpeg(session.path(i))
        except FileNotFoundError:
            bad[i] = "missing"
        except OSError as error:
            bad[i] = f"damaged ({error})"
    return bad


def check(folder: Path) -> list[Problem]:
    """Everything wrong with a session, its pictures included; an empty list means it is sound."""
    session, problems = _scan(folder)
    problems += [Problem(str(session.path(i)), why, "repairing drops it") for i, why in _bad_frames(session).items()]
    if session.info.status == RECORDING:
        problems.append(Problem(f"{folder}/session.json", "the recording was cut off", "repairing closes it"))
    elif session.info.frames != len(session):
        found = f"{session.info.frames} frames promised, {len(session)} found"
        problems.append(Problem(f"{folder}/session.json", found, "repairing counts again"))
    if not len(session):
        problems.append(Problem(f"{folder}/frames.jsonl", "no frames", "nothing to repair; remove it"))
    return problems


def repair(folder: Path) -> list[Problem]:
    """Make a session sound again without touching what is good; returns what was wrong.

    Damaged pictures and the files as they were are kept in the session's folder `damaged/`.
    """
    if not (problems := check(folder)):
        return []
    session, _ = _scan(folder)
    bad = _bad_frames(session)
    keep = [i for i in range(len(session)) if i not in bad]
    if not keep:
        raise SessionError(f"{folder}: no readable frame, nothing to repair; remove it with: protege sessions delete")
    damaged = folder / "damaged"
    damaged.mkdir(exist_ok=True)
    for i in bad:
        if session.path(i).exists():
            session.path(i).replace(damaged / session.path(i).name)
    frames = "".join(f'{{"i": {session.numbers[i]}, "t_ns": {session.t_ns[i]}}}\n' for i in keep)
    events = "".join(json.dumps(event_to_json(event)) + "\n" for event in session.events)
    for name, text in (("frames.jsonl", frames), ("events.jsonl", events)):
        _replace_text(folder / name, text, damaged)
    (folder / "reserve").unlink(missing_ok=True)
    replace(session.info, status=RECOVERED, frames=len(keep)).save(folder)
    return problems


def _replace_text(path: Path, text: str, damaged: Path) -> None:
    """Put `text` in a file's place if it differs, keeping the file as it was in `damaged`."""
    data = text.encode()
    if path.exists():
        if path.read_bytes() == data:
            return
        (damaged / path.name).write_bytes(path.read_bytes())
    beside = path.with_suffix(".part")
    beside.write_bytes(data)
    os.replace(beside, path)  # noqa: PTH105 (the atomic step, spelled out)


def find_sessions(root: Path) -> list[Path]:
    """The session folders under `root` (or `root` itself), sorted by name."""
    if (root / "session.json").exists():
        return [root]
    return sorted(path.parent for path in root.glob("*/session.json") if not path.parent.name.startswith("."))
