"""Policies without a model, to compare with and to try out the loop."""

import random
from collections.abc import Callable, Sequence
from typing import Final

from protege.agent.vision import VisionOptions
from protege.core.actions import KEYBOARD_12, NONE, Action, ActionSpace
from protege.core.frame import Frame
from protege.core.plan import FRAME_HZ, HORIZON, Plan, Policy

TOUR: Final[tuple[Action, ...]] = tuple(
    frozenset(keys)
    for keys in (*[("w",)] * 12, *[("w", "right")] * 6, *[("right",)] * 4, *[("a",)] * 4, *[("w", "left")] * 8)
)
"""A walk that moves in every direction, for trying out the loop in any game."""

HELD_SLOTS: Final = 6
"""Slots for which a tour of other keys holds each."""


def tour(space: ActionSpace) -> tuple[Action, ...]:
    """TOUR where the space has its keys, else every key of the space in turn."""
    if all(step <= set(space.pressable) for step in TOUR):
        return TOUR
    return tuple(frozenset((key,)) for key in space.pressable for _ in range(HELD_SLOTS))


class ScriptedPolicy:
    """Plays given actions over and over, one a slot, by the time of the frame."""

    def __init__(self, steps: Sequence[Action] = TOUR, horizon: int = HORIZON) -> None:
        self._steps = tuple(steps)
        self._horizon = horizon
        self._start_ns: int | None = None

    def predict(self, frame: Frame, goal: str) -> Plan:
        if self._start_ns is None:
            self._start_ns = frame.t_ns
        now = round((frame.t_ns - self._start_ns) * FRAME_HZ / 1e9)
        return Plan(tuple(self._steps[(now + k) % len(self._steps)] for k in range(self._horizon)))

    def warm_up(self) -> None:
        """Nothing to warm up."""


class RandomPolicy:
    """Holds a random key, or none, for `hold_slots` slots, then another one; with a mouse it turns as randomly."""

    def __init__(
        self, seed: int = 0, hold_slots: int = 5, space: ActionSpace = KEYBOARD_12, horizon: int = HORIZON
    ) -> None:
        self._seed = seed
        self._hold = hold_slots
        self._space = space
        self._horizon = horizon

    def predict(self, frame: Frame, goal: str) -> Plan:
        now = round(frame.t_ns * FRAME_HZ / 1e9)
        drawn = (random.Random(f"{self._seed} {(now + k) // self._hold}") for k in range(self._horizon))
        return Plan(tuple(self._draw(rng) for rng in drawn))

    def _draw(self, rng: random.Random) -> Action:
        action = frozenset((rng.choice(self._space.keys),)) - {NONE}
        if self._space.look is None:
            return action
        return action.union(rng.choice(axis.symbols) for axis in self._space.look.axes) - self._space.at_rest

    def warm_up(self) -> None:
        """Nothing to warm up."""


class ConstantPolicy:
    """Holds the same action all the time."""

    def __init__(self, action: Action = frozenset("w"), horizon: int = HORIZON) -> None:
        self._plan = Plan((action,) * horizon)

    def predict(self, frame: Frame, goal: str) -> Plan:
        return self._plan

    def warm_up(self) -> None:
        """Nothing to warm up."""


def majority_policy(space: ActionSpace = KEYBOARD_12, horizon: int = HORIZON) -> ConstantPolicy:
    """Holds what is held most of the time: the first key of the space that moves, else its first key."""
    first = next((key for key in space.pressable if key in space.movement), space.pressable[0])
    return ConstantPolicy(frozenset((first,)), horizon)


def repeat_policy(seed: int, space: ActionSpace = KEYBOARD_12, horizon: int = HORIZON) -> ConstantPolicy:
    """Holds one key, drawn once, all the time."""
    return ConstantPolicy(frozenset((random.Random(seed).choice(space.pressable),)), horizon)


BASELINES: Final[dict[str, Callable[[VisionOptions], Policy]]] = {
    "scripted": lambda options: ScriptedPolicy(tour(options.space), options.horizon),
    "random": lambda options: RandomPolicy(options.seed, space=options.space, horizon=options.horizon),
    "repeat": lambda options: repeat_policy(options.seed, options.space, options.horizon),
    "majority": lambda options: majority_policy(options.space, options.horizon),
}
"""By the name that --model takes."""
