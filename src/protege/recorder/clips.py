"""A stretch of a session, standing alone: the events that give its frames the actions, motion and goals they had."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from protege.core.events import CUT, End, Event, Goal, Held, Key, Motion, Pause, frame_actions, longest_step_ns
from protege.core.session import Session

TAIL_NS: Final = 500_000_000
"""Keys are kept this long past a cut, so that actions read with a reaction shift (tau) are as before, too."""
END_OF_TIME_NS: Final = 2**62


@dataclass(frozen=True)
class Clip:
    """Frames [start, stop) of a session, to be written with times moved by shift_ns and keys kept tail_ns longer."""

    session: Session
    start: int
    stop: int
    shift_ns: int = 0
    tail_ns: int = TAIL_NS


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
    if next_ns - last_ns <= longest_step_ns(info.period_ns):
        events = _motion_within(events, last_ns + info.period_ns, next_ns)
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


def _motion_within(events: Sequence[Event], end_ns: int, next_ns: int) -> list[Event]:
    """The events, with motion from `end_ns`, where a clip's last frame ends, to `next_ns`, where it ended while another
    frame came late, moved into it.
    """
    moved = [
        replace(event, t_ns=end_ns - 1) if isinstance(event, Motion) and end_ns <= event.t_ns < next_ns else event
        for event in events
    ]
    return sorted(moved, key=lambda event: event.t_ns)


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
        # Motion at the very end belongs to the next frame, which has it.
        if isinstance(event, Motion) and event.t_ns == stop_ns:
            continue
        if event.t_ns <= next_ns or isinstance(event, Key | Held | Motion) or event is ends:
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
