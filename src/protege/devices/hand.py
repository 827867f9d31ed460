"""Pressing the actions of a space with a mouse: keys, buttons, the wheel, and motion spread over the slot.

Nothing here has a thread: the mouse moves while the acting thread sleeps (`Guard.sleep_until`), so it stands still as
soon as that thread does.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from protege.core.actions import NO_KEYS, NONE, Action, ActionSpace
from protege.core.devices import Clock
from protege.core.events import Motion
from protege.core.looking import BUTTONS, WHEEL
from protege.devices.backends import open_mover
from protege.devices.keyboard import RealKeys
from protege.devices.keys import Presser
from protege.devices.moving import Mover

STEP_NS: Final = 10_000_000
"""The mouse moves so often, 100 times a second."""
SPREAD: Final = 0.9
"""The part of a slot over which its motion is spread: a slot that begins a little late still turns by all of it."""
MOUSE_KEYS: Final = frozenset((*BUTTONS, *WHEEL))


def keyboard_part(space: ActionSpace) -> ActionSpace:
    """The space without its mouse."""
    keys = tuple(key for key in space.pressable if key not in MOUSE_KEYS)
    left = frozenset(keys)
    meanings = {key: meaning for key, meaning in space.meanings.items() if key in left}
    return replace(
        space,
        keys=(*keys, NONE),
        movement=space.movement & left,
        camera=space.camera & left,
        meanings=meanings,
        look=None,
    )


def has_mouse(space: ActionSpace) -> bool:
    """Whether actions of the space need a mouse."""
    return space.look is not None or not MOUSE_KEYS.isdisjoint(space.pressable)


class Hand:
    """Implements `core.devices.Keys` for a space with a mouse, and moves it. For one thread, which calls `pump` often.

    An action's motion is a rate: an action that is held for less than a slot moves its share, one that is held for
    longer moves no further than its counts, and the empty action stops the mouse at once.
    """

    def __init__(
        self,
        space: ActionSpace,
        clock: Clock,
        period_ns: int,
        never: Action = NO_KEYS,
        mouse: Mover | None = None,
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        """period_ns: of a slot; never: keys and buttons that are left out of every action; allowed: asked before every
        step of the mouse, which stands still and lets go of its buttons where it may not move. UserError for a space
        with a key that does not exist.
        """
        self._space, self._clock, self._period_ns, self._never = space, clock, period_ns, never
        self.keys = RealKeys(keyboard_part(space), never)
        self._mouse = mouse or open_mover(self.keys.presser)
        self.allowed = allowed
        self._buttons = frozenset(space.pressable) & frozenset(BUTTONS)
        self._wheel = frozenset(space.pressable) & frozenset(WHEEL)
        self._symbols = frozenset(symbol for axis in (space.look.axes if space.look else ()) for symbol in axis.symbols)
        self._pressed: Action = NO_KEYS
        self._start_ns = 0
        self._due = (0.0, 0.0)
        self._sent = (0, 0)
        self._moves: list[Motion] = []
        self.release_all()  # a button whose presser was killed stays down

    @property
    def presser(self) -> Presser:
        """What presses the keys."""
        return self.keys.presser

    @property
    def held(self) -> Action:
        """Keys and buttons that are down by us."""
        return self.keys.held | self._pressed

    def hold(self, action: Action) -> None:
        """Hold these keys and buttons, turn the wheel by a notch where it is part of the action, and begin to move."""
        if unknown := action - self._symbols - frozenset(self._space.pressable):
            raise ValueError(f"keys outside the action space are never pressed: {sorted(unknown)}")
        moved = self._space.counts(action)
        self._begin(moved, stop=not action)
        self.keys.hold(action - self._symbols - MOUSE_KEYS)
        action -= self._never
        for name in sorted(self._pressed - action):
            self._mouse.release(name)
        for name in sorted((action & self._buttons) - self._pressed):
            self._mouse.press(name)
        self._pressed = action & self._buttons
        for name in sorted(action & self._wheel):
            self._mouse.press(name)

    def pump(self) -> None:
        """Move by what is due now."""
        if not any(self._due):
            return
        now = self._clock.now_ns()
        share = self._share(now)
        right, down = (int(total * share) - sent for total, sent in zip(self._due, self._sent, strict=True))
        if not (right or down):
            return
        if not self.allowed():
            self.stop()
            return
        self._sent = (self._sent[0] + right, self._sent[1] + down)
        self.move(right, down)

    def move(self, right: int, down: int) -> None:
        """Move by so many counts now."""
        self._mouse.move(right, down)
        self._moves.append(Motion(self._clock.now_ns(), right, down))

    def moved(self) -> list[Motion]:
        """How the mouse was moved since this was last asked."""
        moves, self._moves = self._moves, []
        return moves

    def stop(self) -> None:
        """The mouse stands still, and its buttons are up."""
        self._due = (0.0, 0.0)
        self._sent = (0, 0)
        for name in sorted(self._pressed):
            self._mouse.release(name)
        self._pressed = NO_KEYS

    def release(self, names: Action) -> None:
        """Release these keys and buttons, held by us or not."""
        self.keys.release(names)
        for name in sorted(names & self._buttons):
            self._mouse.release(name)
        self._pressed -= names

    def release_all(self) -> None:
        """Release everything, held by us or not, and stand still."""
        self.stop()
        self.release(frozenset(self._space.pressable))

    def close(self) -> None:
        """Release everything and let go of the system."""
        self.release_all()
        self.keys.close()

    def _begin(self, counts: tuple[float, float], stop: bool) -> None:
        """A new slot's motion, and what was due before and is not moved yet; of a slot that stops, only fractions."""
        now = self._clock.now_ns()
        share = self._share(now)
        left = [total * share - sent for total, sent in zip(self._due, self._sent, strict=True)]
        if stop:
            left = [rest - int(rest) for rest in left]
        self._due = (counts[0] + left[0], counts[1] + left[1])
        self._sent = (0, 0)
        self._start_ns = now

    def _share(self, now: int) -> float:
        return min(1.0, (now - self._start_ns) / (SPREAD * self._period_ns))
