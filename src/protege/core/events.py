"""What happened during a recording, and the action of every frame computed from it.

Events are the truth of a session; actions are never stored. Times are nanoseconds of `devices.MonotonicClock`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import Action, ActionSpace
from protege.core.files import Json
from protege.core.looking import WHEEL

AGENT: Final = "agent"
HUMAN: Final = "human"
"""Who presses the keys."""
NEVER_NS: Final = 2**62
MOST_COUNTS: Final = 1_000_000
"""Of one motion of the mouse."""
GAP_PERIODS: Final = 5
GAP_NS: Final = 500_000_000


def longest_step_ns(period_ns: int) -> int:
    """Frames further apart than this are no neighbours: time is missing between them, whether an event says so or not.

    Five periods, but at least half a second: a game that stutters at 60 Hz is not cut to pieces.
    """
    return max(GAP_PERIODS * period_ns, GAP_NS)


@dataclass(frozen=True, slots=True)
class Key:
    """A key went down or up."""

    t_ns: int
    key: str
    down: bool


@dataclass(frozen=True, slots=True)
class Motion:
    """The mouse moved by so many counts to the right and down since the `Motion` before (5 ms at most are summed)."""

    t_ns: int
    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class Held:
    """Recording starts or resumes here, with these keys already held."""

    t_ns: int
    held: Action


@dataclass(frozen=True, slots=True)
class Pause:
    """Recording stops here; pause: why, a word of `PAUSES`."""

    t_ns: int
    pause: str


@dataclass(frozen=True, slots=True)
class Focus:
    """The game's window got or lost the keyboard."""

    t_ns: int
    focus: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """An episode begins, with a known goal (the built-in game says so)."""

    t_ns: int
    goal: str


CUT: Final = "cut"
"""How an episode ends of which only the beginning was recorded: its goal is neither reached nor missed there. Also why
a session that was cut pauses at its end.
"""


@dataclass(frozen=True, slots=True)
class End:
    """An episode ends; how: "success", "timeout", …, or `CUT`."""

    t_ns: int
    end: str


@dataclass(frozen=True, slots=True)
class Control:
    """From here on these keys are pressed by: "agent" or "human" (a recording of a person alone has no such event)."""

    t_ns: int
    by: str


Event = Key | Motion | Held | Pause | Focus | Goal | End | Control

PAUSES: Final = {
    "toggle": "the player paused it",
    "focus": "another window was active",
    "idle": "no key for a long time",
    "resize": "the window changed its size",
    "gap": "the recorder stood still",
    "stop": "the recording ended",
    "cut": "frames were cut out",
    "pictures": "pictures are missing",
    "keys": "key events are missing",
    "clock": "its clock was set back",
    "silence": "nothing was recorded",
}
"""Why a recording stops at a `Pause`. A reader takes a word that it does not know as it takes these."""


def event_to_json(event: Event) -> dict[str, Json]:
    """The event as the fields of one line of events.jsonl."""
    fields = asdict(event)
    if isinstance(event, Held):
        fields["held"] = sorted(event.held)
    return fields


def event_from_json(fields: Json, space: ActionSpace) -> Event:
    """The inverse of `event_to_json`; ValueError says what is wrong with the line."""
    # `type`, since a bool is an int to isinstance, and JSON's true would be the first nanosecond.
    if isinstance(fields, dict) and not (type(t := fields.get("t_ns")) is int and abs(t) < NEVER_NS):
        raise ValueError(f"not an event: t_ns is {t!r}")
    # Patterns let further keys pass; a line with one is of a format that we do not know, hence the lengths.
    match fields:
        case {"t_ns": int(t_ns), "key": str(key), "down": bool(down)} if len(fields) == 3:
            if key not in space.pressable:
                raise ValueError(f"key {key!r} outside the action space {space.name}")
            return Key(t_ns, key, down)
        case {"t_ns": int(t_ns), "dx": int(dx), "dy": int(dy)} if len(fields) == 3 and type(dx) is type(dy) is int:
            if space.look is None:
                raise ValueError(f"motion of the mouse outside the action space {space.name}")
            if max(abs(dx), abs(dy)) > MOST_COUNTS:
                raise ValueError(f"the mouse moved by {dx}, {dy} counts at once")
            return Motion(t_ns, dx, dy)
        case {"t_ns": int(t_ns), "held": list(held)} if len(fields) == 2:
            if not all(key in space.pressable for key in held):
                raise ValueError(f"held keys {held} outside the action space {space.name}")
            return Held(t_ns, space.only(str(key) for key in held))
        case {"t_ns": int(t_ns), "pause": str(reason)} if len(fields) == 2:
            return Pause(t_ns, reason)
        case {"t_ns": int(t_ns), "focus": bool(focus)} if len(fields) == 2:
            return Focus(t_ns, focus)
        case {"t_ns": int(t_ns), "goal": str(goal)} if len(fields) == 2:
            return Goal(t_ns, goal)
        case {"t_ns": int(t_ns), "end": str(end)} if len(fields) == 2:
            return End(t_ns, end)
        case {"t_ns": int(t_ns), "by": str(by)} if len(fields) == 2 and by in (AGENT, HUMAN):
            return Control(t_ns, by)
    raise ValueError(f"not an event: {str(fields)[:80]}")


def held_spans(events: Sequence[Event], key: str, until_ns: int) -> NDArray[np.int64]:
    """(S, 2) times [down, up) during which a key was held; a pause ends it, `until_ns` ends the last."""
    spans: list[tuple[int, int]] = []
    since: int | None = None
    for event in events:
        down = since is not None
        if isinstance(event, Key) and event.key == key:
            down = event.down
        elif isinstance(event, Held):
            down = key in event.held
        elif isinstance(event, Pause):
            down = False
        if down and since is None:
            since = event.t_ns
        elif not down and since is not None:
            spans.append((since, event.t_ns))
            since = None
    if since is not None:
        spans.append((since, max(since, until_ns)))
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _held_before(spans: NDArray[np.int64], t_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T,) nanoseconds a key had been held before each time, exact in integers."""
    if not len(spans):
        return np.zeros(len(t_ns), dtype=np.int64)
    start, stop = spans[:, 0], spans[:, 1]
    total = np.concatenate([[0], np.cumsum(stop - start)])
    last = np.searchsorted(start, t_ns, side="right") - 1
    inside = np.where(last >= 0, np.minimum(t_ns, stop[last]) - start[last], 0)
    return total[np.maximum(last, 0)] + inside


def gaps(t_ns: NDArray[np.int64], period_ns: int) -> NDArray[np.int64]:
    """(G,) positions of the frames in front of a gap, see `longest_step_ns`."""
    return np.flatnonzero(np.diff(t_ns) > longest_step_ns(period_ns))


def next_break(t_ns: NDArray[np.int64], events: Sequence[Event], period_ns: int) -> NDArray[np.int64]:
    """(T,) when recording stopped next after each frame, by a pause or a gap; far in the future where it never did."""
    pauses = np.array([*(event.t_ns for event in events if isinstance(event, Pause)), NEVER_NS], dtype=np.int64)
    stops = np.sort(np.concatenate([pauses, t_ns[gaps(t_ns, period_ns)] + period_ns]))
    return stops[np.searchsorted(stops, t_ns, side="right")]


def frame_motion(
    t_ns: NDArray[np.int64], events: Sequence[Event], period_ns: int, tau_ns: int = 0
) -> NDArray[np.int64]:
    """(T, 2) counts right and down that the mouse moved during every frame, by the same intervals as `frame_actions`.

    No motion is counted twice or lost: the sum over the frames of a stretch without a break is that of its events.
    """
    moves = sorted((event for event in events if isinstance(event, Motion)), key=lambda event: event.t_ns)
    if not len(t_ns) or not moves:
        return np.zeros((len(t_ns), 2), dtype=np.int64)
    start, stop = _intervals(t_ns, events, period_ns, tau_ns)
    when = np.array([event.t_ns for event in moves], dtype=np.int64)
    total = np.zeros((len(moves) + 1, 2), dtype=np.int64)
    np.cumsum([(event.dx, event.dy) for event in moves], axis=0, out=total[1:])
    return total[np.searchsorted(when, stop)] - total[np.searchsorted(when, start)]


def _intervals(
    t_ns: NDArray[np.int64], events: Sequence[Event], period_ns: int, tau_ns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(T,) start and (T,) stop of the time that is looked at for each frame, see `frame_actions`."""
    limit = next_break(t_ns, events, period_ns)
    stop = np.minimum(np.append(t_ns[1:], t_ns[-1] + period_ns), limit)
    return np.minimum(t_ns + tau_ns, limit), np.minimum(stop + tau_ns, limit)


def _notched(events: Sequence[Event], key: str, start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(T,) whether the wheel gave a notch in each interval [start, stop)."""
    notches = sorted(event.t_ns for event in events if isinstance(event, Key) and event.key == key and event.down)
    when = np.array(notches, dtype=np.int64)
    return np.searchsorted(when, stop) > np.searchsorted(when, start)


def frame_actions(
    t_ns: NDArray[np.int64], events: Sequence[Event], space: ActionSpace, period_ns: int, tau_ns: int = 0
) -> NDArray[np.bool_]:
    """(T, K) the action of every frame: the keys held for the larger part of its interval.

    t_ns: (T,) increasing frame times; period_ns: how long the last frame counts; tau_ns: the player's
    reaction time, by which the intervals are moved later (but not past a pause). Over a gap between two frames
    (`longest_step_ns`) no action is extended: the frame before it counts for one period, too. A notch of the wheel
    takes no time: it belongs to the frame in whose interval it comes.
    """
    rows = np.zeros((len(t_ns), len(space)), dtype=bool)
    if not len(t_ns):
        return rows
    start, stop = _intervals(t_ns, events, period_ns, tau_ns)
    for column, key in enumerate(space.pressable):
        spans = held_spans(events, key, until_ns=int(stop.max()) + 1)
        held = _held_before(spans, stop) - _held_before(spans, start)
        # In whole nanoseconds, and doubled instead of halved: no rounding, so the same label on every machine.
        rows[:, column] = 2 * held > stop - start
        if key in WHEEL:
            rows[:, column] |= _notched(events, key, start, stop)
    rows[:, -1] = ~rows[:, :-1].any(axis=1)
    return rows
