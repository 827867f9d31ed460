"""The arena as a Gymnasium environment: `import protege.arena.env; gymnasium.make("protege/Arena-v0")`."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.arena.engine import ARENA_MOUSE, Engine
from protege.arena.rooms import EVAL_SEED_START, layout
from protege.arena.state import DECISION_HZ, MAX_DECISIONS, ArenaState, End, Judge, tics_of
from protege.arena.tasks import Goal, find_goal
from protege.core.actions import KEYBOARD_12, Action, ActionSpace
from protege.errors import MissingExtra, UserError

try:
    import gymnasium
except ImportError as error:
    raise MissingExtra("gymnasium", "arena") from error

ENV_ID: Final = "protege/Arena-v0"


SPACES: Final = {"keys": KEYBOARD_12, ARENA_MOUSE.name: ARENA_MOUSE}
"""The action spaces of the environment, by name."""


def to_array(action: Action, space: ActionSpace = KEYBOARD_12) -> NDArray[np.int8]:
    """(K,) held keys as the environment's MultiBinary action, 11 of KEYBOARD_12; (K + 2,) with the bins of yaw and
    pitch in a space with a mouse.
    """
    keys = space.encode([space.only(action)])[0, :-1].astype(np.int8)
    if space.look is None:
        return keys
    turned = zip(space.look.axes, space.counts(action), strict=True)
    return np.append(keys, [axis.bins(np.array([counts]))[0] for axis, counts in turned]).astype(np.int8)


def to_action(array: NDArray[Any] | Sequence[int], space: ActionSpace = KEYBOARD_12) -> Action:
    """The inverse of `to_array`."""
    values, keys = np.asarray(array), len(space.pressable)
    if values.shape != (keys + (2 if space.look else 0),):
        what = " and a bin for each axis of the mouse" if space.look else ""
        raise ValueError(f"an action holds {keys} zeros and ones{what}, got shape {values.shape}")
    held = frozenset(key for key, down in zip(space.pressable, values[:keys], strict=True) if down)
    if space.look is None:
        return held
    chosen = zip(space.look.axes, values[keys:], strict=True)
    return (held | {axis.symbols[int(number)] for axis, number in chosen}) - space.at_rest


class ArenaEnv(gymnasium.Env[NDArray[np.uint8], Any]):
    """One room, one goal sentence, 10 decisions a second of game time.

    Observation: (H, W, 3) uint8. Action: (11,) zeros and ones over the keys of KEYBOARD_12, or the frozen set of keys.
    With `space="arena-mouse"` (or a space) the view turns by the mouse: (K + 2,) zeros and ones over its keys and the
    bins of yaw and pitch, or the frozen set of keys and bins.
    Reward 1 when the goal is reached. `info` has goal, task, seed, pose, state (for the expert), success, first_object,
    wrong_object, decisions, and `end`: None while it runs, then success, wrong_object or timeout. With
    `end_on_success=False` the episode goes on after success, so that a recording can hold the moment of standing still.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": DECISION_HZ}  # noqa: RUF012  Gymnasium's own form

    def __init__(
        self,
        size: tuple[int, int] = (320, 240),
        goal: Goal | str | None = None,
        max_decisions: int = MAX_DECISIONS,
        end_on_success: bool = True,
        render_mode: str | None = None,
        space: ActionSpace | str = KEYBOARD_12,
    ) -> None:
        if isinstance(space, str):
            if space not in SPACES:
                raise UserError(f"the arena has no action space {space!r}; expected {' or '.join(SPACES)}")
            space = SPACES[space]
        self.space = space
        self.engine = Engine(size, space=space)
        self.goal = find_goal(goal) if isinstance(goal, str) else goal
        self.max_decisions = max_decisions
        self.end_on_success = end_on_success
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (size[1], size[0], 3), np.uint8)
        keys, axes = len(space.pressable), space.look.axes if space.look else ()
        self.action_space = (
            gymnasium.spaces.MultiDiscrete([2] * keys + [len(axis.symbols) for axis in axes])
            if axes
            else gymnasium.spaces.MultiBinary(keys)
        )
        self._judge: Judge | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Starts the layout of a seed (a random training seed without one); options["goal"] asks for a goal."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(EVAL_SEED_START))
        goal = (options or {}).get("goal", self.goal)
        made = layout(seed, find_goal(goal) if isinstance(goal, str) else goal)
        state = self.engine.load(made)
        self._judge = Judge(made, self.max_decisions)
        return self.engine.picture(), self._info(state, self._judge)

    def step(
        self, action: Action | NDArray[Any] | Sequence[int]
    ) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Holds the keys for one decision (100 ms on average)."""
        if self._judge is None:
            raise RuntimeError("call reset before step")
        judge = self._judge
        held = action if isinstance(action, frozenset) else to_action(action, self.space)
        before = judge.success
        state = self.engine.step(held, tics_of(judge.decisions))
        end = judge.observe(state, held)
        info = self._info(state, judge)
        terminated = end is End.WRONG_OBJECT or (end is End.SUCCESS and self.end_on_success)
        truncated = judge.decisions >= self.max_decisions and not terminated
        return self.engine.picture(), float(judge.success and not before), terminated, truncated, info

    def _info(self, state: ArenaState, judge: Judge) -> dict[str, Any]:
        made = state.layout
        about = {"goal": made.goal.sentence, "task": str(made.goal.task), "seed": made.seed, "pose": state.pose}
        return about | {"state": state} | judge.report()

    def render(self) -> NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The picture the player sees, where render_mode is "rgb_array"."""
        return self.engine.picture() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Ends the engine."""
        self.engine.close()


def register() -> None:
    """Makes `gymnasium.make("protege/Arena-v0")` work; importing this module does it."""
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(ENV_ID, entry_point="protege.arena.env:ArenaEnv")


register()
