"""A trained cloning model as a `Policy`: compiled once, with the past frames and actions that it was trained on."""

from collections import OrderedDict
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.core.card import ModelCard
from protege.core.frame import Frame
from protege.core.plan import Plan
from protege.errors import MissingExtra, UserError

try:
    from protege.cloning.checkpoint import Loaded, load_model
    from protege.cloning.episodes import picture
    from protege.cloning.goals import goal_numbers
    from protege.cloning.memory import keep_freed_memory
    from protege.cloning.thresholds import played
except ImportError as error:
    raise MissingExtra(error.name or "jax", "cloning") from error

FORGET_S: Final = 1.0
"""Seconds without a decision after which the next frame starts a new episode."""


class CloningPolicy:
    """Plays a model's folder: probabilities above each action's threshold are keys held.

    In training an episode begins with its first frame repeated and with no key held; it does here, too: at the first
    picture, at another goal, and when time has jumped.
    """

    def __init__(self, folder: Path | str, horizon: int = 1) -> None:
        """horizon: steps of a plan; where the model has fewer its last action is repeated, since the live loop plays a
        plan until the next is ready. UserError if there is no model, or it needs the game's state.
        """
        self.loaded: Loaded = load_model(folder)
        self.card = ModelCard.load(Path(folder))
        self._horizon = max(horizon, self.card.horizon)
        if self.loaded.setting.state is not None:
            raise UserError(f"{folder}: a model that needs the game's state; only models of pictures alone can play")
        spelled = {key.lower().replace("+", "_"): n for n, key in enumerate(self.loaded.keys)}
        space = self.card.space
        names = (*space.pressable, *(space.look.yaw.symbols + space.look.pitch.symbols if space.look else ()))
        self._columns = [(spelled[key], key) for key in names if key in spelled]
        self._frames: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._plan: tuple[int, Plan] | None = None
        self._held: OrderedDict[int, Action] = OrderedDict()
        self._goal: str | None = None

    def predict(self, frame: Frame, goal: str) -> Plan:
        """The plan for a frame, given those before it. UserError for a goal that the model does not know."""
        slot = round(frame.t_ns * self.card.frame_hz / 1e9)
        self._continue(slot, goal)
        self._frames[slot] = picture(frame.rgb, self.card.frame_size)
        probabilities = self.loaded.decide(self._stack(slot), self._previous(slot), goal)
        steps = tuple(self._action(row) for row in played(probabilities, self.loaded.thresholds))
        plan = Plan(steps + steps[-1:] * (self._horizon - len(steps)))
        self._plan = slot, plan
        return plan

    def knows(self, goal: str) -> bool:
        """Whether the model knows a goal."""
        try:
            goal_numbers(goal, self.loaded.goals, self.loaded.config.model.goal)
        except UserError:
            return False
        return True

    def warm_up(self) -> None:
        """Compile, so that the first decision is as fast as the next."""
        width, height = self.card.frame_size
        goal = self.loaded.goals[0] if self.loaded.goals else ""
        self.predict(Frame(np.zeros((height, width, 3), np.uint8), 0), goal)
        self._forget()

    def _forget(self) -> None:
        self._frames.clear()
        self._held.clear()
        self._plan = self._goal = None

    def _continue(self, slot: int, goal: str) -> None:
        """Note what was played since the last frame, or start a new episode."""
        if self._plan is None or goal != self._goal or not 0 < slot - self._plan[0] <= FORGET_S * self.card.frame_hz:
            self._forget()
            self._goal = goal
            return
        made, plan = self._plan
        for passed in range(slot - made):
            self._held[made + passed] = plan.steps[passed] if passed < len(plan.steps) else NO_KEYS
        model = self.loaded.config.model
        oldest = slot - max((model.num_frames - 1) * model.frame_skip, model.action_history) - 1
        for kept in (self._held, self._frames):
            while len(kept) > 1 and next(iter(kept)) < oldest:
                kept.popitem(last=False)

    def _stack(self, slot: int) -> NDArray[np.uint8]:
        """(T, 3, H, W): at each time of the window the newest frame up to it, or the oldest there is."""
        model = self.loaded.config.model
        slots = np.array(list(self._frames))
        wanted = slot - np.arange(model.num_frames - 1, -1, -1) * model.frame_skip
        at = np.maximum(np.searchsorted(slots, wanted, side="right") - 1, 0)
        return np.stack([self._frames[int(slots[i])] for i in at])

    def _previous(self, slot: int) -> NDArray[np.float32]:
        """(K, A) the actions of the slots before this one, oldest first; K is at least 1, as in training."""
        length = max(1, self.loaded.config.model.action_history)
        rows = np.zeros((length, len(self.loaded.keys)), np.float32)
        for row, before in zip(rows, range(slot - length, slot), strict=True):
            if (held := self._held.get(before)) is None:
                continue
            held = held | self._resting(held)
            for column, key in self._columns:
                row[column] = key in held
        return rows

    def _action(self, held: NDArray[np.bool_]) -> Action:
        return frozenset(key for column, key in self._columns if held[column]) - self.card.space.at_rest

    def _resting(self, action: Action) -> Action:
        """The bins that stand still in an action, which it leaves out and the network was shown."""
        look = self.card.space.look
        return frozenset(a.rest for a in look.axes if not action.intersection(a.symbols)) if look else NO_KEYS


class Options(Protocol):
    """What the caller of `load` wants of a policy. space: the keys it may press; horizon: steps of a plan."""

    @property
    def space(self) -> ActionSpace: ...
    @property
    def horizon(self) -> int: ...


def load(folder: str, options: Options | None = None) -> CloningPolicy:
    """The policy of a model's folder, for `--model`. UserError where it presses other keys than `options.space` has."""
    card = ModelCard.load(Path(folder))
    card.require(kind="cloning")
    if options is not None:
        card.require(space=options.space)
    keep_freed_memory()  # saves a quarter of a decision's CPU time
    return CloningPolicy(folder, 1 if options is None else options.horizon)
