"""Tells a recording of the window which goals were played when: the window's log knows, the recorder cannot."""

from pathlib import Path

from protege.arena.log import Ended, Started, read_lines
from protege.core.events import End, Event, Goal, Pause
from protege.core.session import Session, rewrite_events


def goal_events(log: Path) -> list[Event]:
    """A Goal at every episode's beginning, and an End at its last tic: the player still stands at the goal for a
    while after he has reached it, and a learner should see that.
    """
    events: list[Event] = []
    last_ns, ended = 0, None
    with log.open(encoding="utf-8") as lines:
        for line in read_lines(lines):
            if isinstance(line, Started):
                if ended is not None:
                    events.append(End(last_ns, ended.end))
                events.append(Goal(line.t_ns, line.goal))
                ended = None
            elif isinstance(line, Ended):
                ended = line
            last_ns = line.t_ns
    return [*events, End(last_ns, ended.end)] if ended is not None else events


def add_goals(folder: Path, log: Path) -> int:
    """Write the episodes of a window's log into a session recorded at the same time; returns how many it got.

    Both were stamped by the machine's one monotonic clock. Doing it again changes nothing.
    """
    session = Session.open(folder)
    begins, ends = int(session.t_ns[0]), int(session.t_ns[-1]) + session.info.period_ns
    marks: list[Event] = []
    current: Event | None = None
    for event in goal_events(log):
        if event.t_ns < begins:
            current = event
        elif event.t_ns <= ends:
            marks.append(event)
    if isinstance(current, Goal):  # an episode that had begun before the recording
        marks.insert(0, Goal(begins, current.goal))
    kept = [event for event in session.events if not isinstance(event, Goal | End)]
    events = sorted([*kept, *marks], key=lambda event: (event.t_ns, isinstance(event, Pause)))
    rewrite_events(folder, events)
    return sum(isinstance(event, Goal) for event in marks)
