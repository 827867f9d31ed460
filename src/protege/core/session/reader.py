"""Reads a session, and says what is wrong with one that cannot be read."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from protege.core.events import (
    NEVER_NS,
    Control,
    End,
    Event,
    Goal,
    Pause,
    event_from_json,
    frame_actions,
    frame_motion,
    gaps,
)
from protege.core.files import Json, parse_json, regular_size
from protege.core.frame import Frame, decode_jpeg
from protege.core.session.info import RECORDING, SessionError, SessionInfo
from protege.core.session.writer import frame_path
from protege.core.transaction import settle

TORN: Final = "a line cut off:"
MAX_LINE_BYTES: Final = 1 << 16
"""Longest line of a file; those that are written have a hundred bytes, and a goal more."""
MAX_NAMED: Final = 1000
"""Bad lines of one file that are named; a file of nothing else may have millions."""
MAX_JUMP_NS: Final = 24 * 3600 * 10**9
"""Longest time between two frames without a pause. Beyond it somebody's clock or file is wrong."""

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """Something wrong with a session: where, what was found, and what repairing it would do, if that can mend it."""

    where: str
    found: str
    repair: str
    mendable: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; {self.repair}"


@dataclass(frozen=True)
class Span:
    """Frames [start, stop) recorded without a break; the goal and the end of their episode, if known; by: whose keys
    they are, "agent" or "human" (None where only a person could play).
    """

    start: int
    stop: int
    goal: str | None = None
    end: str | None = None
    by: str | None = None


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
        session, problems = scan(folder)
        if session.info.status == RECORDING:
            problems = [p for p in problems if not p.found.startswith(TORN)]
        if not len(session.t_ns) and not problems:
            raise SessionError(f"{folder}/frames.jsonl: no frames; record again, or: protege sessions delete {folder}")
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
            return Frame(decode_jpeg(self.path(i), self.info.frame_size), int(self.t_ns[i]))
        except OSError as error:
            raise SessionError(
                f"{self.path(i)}: cannot be read ({error}); repair with: protege doctor {self.folder} --repair"
            ) from None

    def actions(self, tau_ms: float = 0.0) -> NDArray[np.bool_]:
        """(T, K) the action of every frame, as multi-hot rows of the session's space."""
        return frame_actions(self.t_ns, self.events, self.info.space, self.info.period_ns, round(tau_ms * 1e6))

    def motion(self, tau_ms: float = 0.0) -> NDArray[np.int64]:
        """(T, 2) counts right and down that the mouse moved during every frame, by the same intervals as `actions`;
        zeros where the session's space has no mouse that turns the view.
        """
        return frame_motion(self.t_ns, self.events, self.info.period_ns, round(tau_ms * 1e6))

    def spans(self) -> list[Span]:
        """The recording without its breaks: no span crosses a pause, a gap, a takeover, or an episode's ends."""
        cuts = [event for event in self.events if isinstance(event, Pause | Goal | End | Control)]
        # At a gap's end, so that an event inside the gap (an episode's end) comes first and the gap cuts nothing more.
        missing = [Pause(int(self.t_ns[i + 1]) - 1, "gap") for i in gaps(self.t_ns, self.info.period_ns)]
        spans: list[Span] = []
        goal, by, start = None, None, 0
        for event in sorted([*cuts, *missing], key=lambda event: event.t_ns):
            # A frame at the very moment of a pause comes before it; one at the beginning of an episode belongs to that.
            stop = int(np.searchsorted(self.t_ns, event.t_ns, side="right" if isinstance(event, Pause) else "left"))
            if stop > start:
                spans.append(Span(start, stop, goal, event.end if isinstance(event, End) else None, by))
                start = stop
            if isinstance(event, Goal):
                goal = event.goal
            elif isinstance(event, End):
                goal = None
            elif isinstance(event, Control):
                by = event.by
        if start < len(self.t_ns):
            spans.append(Span(start, len(self.t_ns), goal, by=by))
        return spans


def _lines(path: Path, parse: Callable[[Json], T], problems: list[Problem]) -> Iterator[tuple[int, T]]:
    """(line number, what it says) of a JSONL file; what cannot be parsed goes to `problems`, the first thousand."""
    try:
        regular_size(path)
    except FileNotFoundError:
        problems.append(Problem(str(path), "missing", "repairing starts an empty one"))
        return
    except ValueError as error:
        problems.append(Problem(str(path), str(error), "repairing puts it aside and starts an empty one"))
        return
    bad = 0
    with path.open("rb") as file:
        # Bounded, because a file without line ends would be read into memory whole.
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
            if line == b"\n":
                continue
            try:
                found = f"a line of more than {MAX_LINE_BYTES} bytes: {line[:60]!r}" if _skip_rest(file, line) else ""
                if not found:
                    yield number, parse(parse_json(line))
            except (ValueError, KeyError, TypeError) as error:
                torn = not line.endswith(b"\n")  # what was written whole ends with a newline
                found = f"{TORN} {line[:60]!r}" if torn else f"{error} in {line[:60].rstrip()!r}"
            if found and (bad := bad + 1) <= MAX_NAMED:
                problems.append(Problem(f"{path}:{number}", found, "repairing drops the line"))
    if bad > MAX_NAMED:
        problems.append(Problem(str(path), f"{bad - MAX_NAMED:,} more such lines", "repairing drops them"))


def _skip_rest(file: IO[bytes], line: bytes) -> bool:
    """Whether a line went on beyond its longest; what follows of it is read away."""
    if line.endswith(b"\n") or len(line) < MAX_LINE_BYTES:
        return False
    while (more := file.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
        pass
    return True


def _frame(fields: Json) -> tuple[int, int]:
    """(number, t_ns) of a line of frames.jsonl."""
    match fields:
        case {"i": int(i), "t_ns": int(t_ns)} if 0 <= i < NEVER_NS and abs(t_ns) < NEVER_NS:
            return i, t_ns
    raise ValueError("not a frame")


def _in_order(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(T,) which of the (T, 2) rows to keep so that both columns increase: one wrong time costs one frame."""
    if (np.diff(rows, axis=0) > 0).all():
        return np.ones(len(rows), dtype=bool)
    positions = np.arange(len(rows))
    for column in (0, 1):
        positions = positions[_longest_increasing(rows[positions, column].tolist())]
    return np.isin(np.arange(len(rows)), positions)


def _longest_increasing(values: list[int]) -> list[int]:
    """Indices of a longest strictly increasing subsequence (Fredman 1975: patience sorting)."""
    tails: list[int] = []
    ends: list[int] = []
    before = [-1] * len(values)
    for index, value in enumerate(values):
        length = bisect_left(tails, value)
        before[index] = ends[length - 1] if length else -1
        if length == len(tails):
            tails.append(value)
            ends.append(index)
        else:
            tails[length], ends[length] = value, index
    run: list[int] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(index)
        index = before[index]
    return run[::-1]


def scan(folder: Path) -> tuple[Session, list[Problem]]:
    """All that is good in a session's files, and every problem with their lines."""
    info = SessionInfo.load(folder)
    problems: list[Problem] = []
    path = folder / "frames.jsonl"
    flat = array("q")  # an hour has 36,000 frames: numbers, not objects
    for line, (i, t_ns) in _lines(path, _frame, problems):
        flat.extend((line, i, t_ns))
    frames = np.array(flat, dtype=np.int64).reshape(-1, 3)
    good = _in_order(frames[:, 1:])
    bad = frames[~good]
    for line, i, t_ns in bad[:MAX_NAMED].tolist():
        found = f"the clock runs backwards: frame {i} at {t_ns} is not in the order of the others"
        problems.append(Problem(f"{path}:{line}", found, "repairing drops the frame"))
    if len(bad) > MAX_NAMED:
        problems.append(Problem(str(path), f"{len(bad) - MAX_NAMED:,} more such frames", "repairing drops them"))
    path = folder / "events.jsonl"
    events: list[Event] = []
    in_order = True
    for line, event in _lines(path, lambda fields: event_from_json(fields, info.space), problems):
        if in_order and events and event.t_ns < events[-1].t_ns:
            in_order = False
            found = f"the clock runs backwards from {events[-1].t_ns} to {event.t_ns}"
            problems.append(Problem(f"{path}:{line}", found, "repairing sorts the events by time"))
        events.append(event)
    events.sort(key=lambda event: event.t_ns)
    frames = frames[good]
    for i in islice(jumps(frames[:, 2], events), MAX_NAMED):
        hours = int(frames[i, 2] - frames[i - 1, 2]) / 3600e9
        found = f"the clock jumps by {hours:,.0f} hours to frame {frames[i, 1]}, without a pause"
        problems.append(Problem(f"{folder / 'frames.jsonl'}:{frames[i, 0]}", found, "repairing puts a pause there"))
    return Session(folder, info, frames[:, 1], frames[:, 2], tuple(events)), problems


def jumps(t_ns: NDArray[np.int64], events: Sequence[Event]) -> Iterator[int]:
    """Positions of the frames that come more than a day after the one before, though nothing says why."""
    pauses = np.array([event.t_ns for event in events if isinstance(event, Pause)], dtype=np.int64)
    for i in (np.flatnonzero(np.diff(t_ns) > MAX_JUMP_NS) + 1).tolist():
        before, until = np.searchsorted(pauses, (t_ns[i - 1], t_ns[i]))
        if before == until:
            yield i


def find_sessions(root: Path) -> list[Path]:
    """The session folders under `root` (or `root` itself), sorted by name; what a killed edit had decided is done."""
    if (root / "session.json").exists():
        return [root]
    settle(root)
    return sorted(path.parent for path in root.glob("*/session.json") if not path.parent.name.startswith("."))
