"""Policies that need no model, to compare with and to try things out; and the way from --model to a policy."""

import random
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from protege.agent.vision import VisionAgent, VisionOptions
from protege.core.actions import KEYBOARD_12, Action, ActionSpace
from protege.core.card import CARD_NAME, ModelCard
from protege.core.frame import Frame
from protege.core.plan import HORIZON, Plan, Policy
from protege.errors import UserError

TOUR: Final[tuple[Action, ...]] = tuple(
    frozenset(keys)
    for keys in (*[("w",)] * 12, *[("w", "right")] * 6, *[("right",)] * 4, *[("a",)] * 4, *[("w", "left")] * 8)
)
"""A walk that moves in every direction, for trying out the loop in any game."""


class ScriptedPolicy:
    """Plays given actions over and over, one a slot, by the time of the frame."""

    def __init__(self, steps: Sequence[Action] = TOUR, frame_hz: float = 10.0, horizon: int = HORIZON) -> None:
        self._steps = tuple(steps)
        self._hz = frame_hz
        self._horizon = horizon
        self._start_ns: int | None = None

    def predict(self, frame: Frame, goal: str) -> Plan:
        if self._start_ns is None:
            self._start_ns = frame.t_ns
        now = round((frame.t_ns - self._start_ns) * self._hz / 1e9)
        return Plan(tuple(self._steps[(now + k) % len(self._steps)] for k in range(self._horizon)))

    def warm_up(self) -> None:
        """Nothing to warm up."""


class RandomPolicy:
    """Holds a random key, or none, for `hold_slots` slots, then another one."""

    def __init__(
        self,
        seed: int = 0,
        hold_slots: int = 5,
        space: ActionSpace = KEYBOARD_12,
        frame_hz: float = 10.0,
        horizon: int = HORIZON,
    ) -> None:
        self._seed = seed
        self._hold = hold_slots
        self._keys = space.keys
        self._space = space
        self._hz = frame_hz
        self._horizon = horizon

    def predict(self, frame: Frame, goal: str) -> Plan:
        now = round(frame.t_ns * self._hz / 1e9)
        drawn = (random.Random(f"{self._seed} {(now + k) // self._hold}") for k in range(self._horizon))
        return Plan(tuple(self._space.parse(rng.choice(self._keys)) for rng in drawn))

    def warm_up(self) -> None:
        """Nothing to warm up."""


class ConstantPolicy:
    """The same action for ever."""

    def __init__(self, action: Action = frozenset("w"), horizon: int = HORIZON) -> None:
        self._plan = Plan((action,) * horizon)

    def predict(self, frame: Frame, goal: str) -> Plan:
        return self._plan

    def warm_up(self) -> None:
        """Nothing to warm up."""


def repeat_policy(seed: int, space: ActionSpace = KEYBOARD_12, horizon: int = HORIZON) -> ConstantPolicy:
    """One key, drawn once, held for ever."""
    return ConstantPolicy(frozenset((random.Random(seed).choice(space.pressable),)), horizon)


Loader = Callable[[str, VisionOptions], Policy]

NAMED: Final[dict[str, Loader]] = {
    "scripted": lambda spec, options: ScriptedPolicy(horizon=options.horizon),
    "random": lambda spec, options: RandomPolicy(options.seed, space=options.space, horizon=options.horizon),
    "repeat": lambda spec, options: repeat_policy(options.seed, options.space, options.horizon),
    "majority": lambda spec, options: ConstantPolicy(horizon=options.horizon),
}

KINDS: Final = "protege.policies"
"""The group of entry points that load a folder by its card's kind, each as `load(folder, options) -> Policy`.

Any package can add a kind of its own; protege's own are in its pyproject.toml.
"""


def load_vision(folder: str, options: VisionOptions) -> Policy:
    """A vision model's folder."""
    return VisionAgent(folder, options=options)


def load_policy(spec: str | Path, options: VisionOptions | None = None) -> Policy:
    """The policy of --model: a name above, a model's folder, a hub model, or a server as http://host:port/v1[#model].

    UserError if there is no such thing, or its card says it was made for something else.
    """
    options = options or VisionOptions()
    text = str(spec)
    if text in NAMED:
        return NAMED[text](text, options)
    if text.startswith(("http://", "https://")):
        from protege.agent.server import ServerAgent

        return ServerAgent(text, options)
    if (Path(text) / CARD_NAME).exists():
        kind = ModelCard.load(Path(text)).kind
        kinds = {entry.name: entry for entry in entry_points(group=KINDS)}
        if kind not in kinds:
            raise UserError(f"{text}: a model of kind {kind!r}; this installation plays: {', '.join(sorted(kinds))}")
        return kinds[kind].load()(text, options)
    if len(Path(text).parts) == 1 and not Path(text).exists():
        raise UserError(f"--model {text}: no such folder; a folder, a server's URL, or one of {', '.join(NAMED)}")
    return VisionAgent(text, options=options)
