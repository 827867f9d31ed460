"""Pressing what is known beforehand: a list of actions, or a recording's keys with its own timing."""

from collections.abc import Iterator, Sequence

from protege.agent.loop import Ending, World, released_after
from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.core.devices import Clock, Keys
from protege.core.events import Held, Key, Motion, Pause
from protege.core.looking import WHEEL
from protege.core.session import Session
from protege.errors import ProtegeError, UserError


def execute_action_sequence(
    actions: Sequence[str], keys: Keys, clock: Clock, space: ActionSpace, period_ns: int = 100_000_000
) -> None:
    """Hold each action ("w", "w+right", "none") for one period, on absolute deadlines; nothing is held afterwards.

    A key of two neighbouring actions is not released between them. ValueError, before anything is pressed, if an
    action holds a key outside the space.
    """
    steps = [space.parse(action) for action in actions]
    start = clock.now_ns()
    with released_after(keys):
        for number, step in enumerate(steps):
            keys.hold(step)
            clock.sleep_until(start + (number + 1) * period_ns)


def changes(session: Session) -> Iterator[tuple[int, Action | Motion]]:
    """(nanoseconds since the beginning, keys held from then on or how the mouse moves then) of a recording, its pauses
    cut out. A wheel is held by the action of its notch alone.
    """
    held: set[str] = set()
    played = before = 0
    running = False
    for event in session.events:
        if not isinstance(event, Key | Motion | Held | Pause):
            continue
        played += event.t_ns - before if running else 0
        before = event.t_ns
        running = not isinstance(event, Pause)
        if isinstance(event, Motion):
            yield played, event
            continue
        held.difference_update(WHEEL)
        match event:
            case Key():
                (held.add if event.down else held.discard)(event.key)
            case Held():
                held = set(event.held)
            case Pause():
                held = set()
        yield played, frozenset(held)


def replay(session: Session, world: World, max_s: float) -> Ending:
    """Press a recording's keys, and move its mouse, again with its timing, without its pauses.

    Ends early by the hot key, any of a person's keys, the mouse in a person's hand, or a lost focus: a replay cannot go
    on from elsewhere.
    """
    plan = list(changes(session))
    if not any(change for _, change in plan):
        raise UserError(f"{session.folder}: no keys were recorded, so there is nothing to replay")
    start = world.clock.now_ns()
    with released_after(world.keys):
        for played_ns, change in plan:
            if (ending := _wait(world, start + played_ns, start + round(max_s * 1e9))) is not None:
                return ending
            if isinstance(change, Motion):
                world.move(change.dx, change.dy)
            else:
                world.keys.hold(change)
        world.keys.hold(NO_KEYS)
    return Ending.REPLAYED


def _wait(world: World, until_ns: int, end_ns: int) -> Ending | None:
    """Sleep in short naps, looking at the window and the person each time."""
    while True:
        if (lost := world.lost()) is not None:
            raise ProtegeError(f"{lost}; the replay stopped")
        if not world.window.state().focused:
            raise ProtegeError("another window has the focus; the replay stopped")
        if any(heard.what != "toggle" and heard.down for heard in world.human.heard()):
            return Ending.STOPPED
        now = world.clock.now_ns()
        if now >= end_ns:
            return Ending.TIME
        if now >= until_ns:
            return None
        world.clock.sleep_until(min(until_ns, now + 20_000_000))
