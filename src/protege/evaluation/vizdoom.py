"""protege bench vizdoom: any policy in ViZDoom's public scenarios by their own rewards, beside random keys and W."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from protege.agent.baselines import ConstantPolicy, RandomPolicy
from protege.agent.vision import VisionOptions
from protege.core.actions import Action
from protege.core.frame import Frame
from protege.core.plan import Policy
from protege.errors import UserError
from protege.evaluation.figures import Figure
from protege.evaluation.vizdoom_cloned import cloned
from protege.evaluation.vizdoom_game import GOALS, PRESSES, TICS, start
from protege.policies import load_policy

if TYPE_CHECKING:
    from vizdoom import DoomGame

CLONED: Final = "cloned"
"""The --model that is first trained on episodes of a scripted player."""


@dataclass(frozen=True)
class VizdoomBench:
    """model: as --model elsewhere, or "cloned"; trained_on: episodes for that; scenario: one of `GOALS`; goal: instead
    of its own.
    """

    model: str
    scenario: str = "deadly_corridor"
    episodes: int = 20
    execute: int = 1
    goal: str | None = None
    seed: int = 0
    temperature: float = 0.0
    trained_on: int = 100

    def __post_init__(self) -> None:
        if self.scenario not in GOALS:
            raise UserError(f"--scenario {self.scenario}: expected one of {', '.join(GOALS)}")
        if self.episodes < 1 or not 1 <= self.execute <= 7:
            raise UserError("expected at least one episode, and --execute from 1 to 7")


def run(bench: VizdoomBench, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """Mean reward with its standard error, of the policy, of random keys and of holding W in the same episodes."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="protege-vizdoom-") as folder:
        model = bench.model
        if model == CLONED:
            say(f"training on {bench.trained_on} episodes of a scripted player")
            model, scripted = cloned(Path(folder), bench.scenario, bench.trained_on)
            figures.append(_figure("reward_scripted", scripted))
        policy = load_policy(model, VisionOptions(temperature=bench.temperature))
    policy.warm_up()
    beside = {"random": RandomPolicy(bench.seed, hold_slots=1), "majority": ConstantPolicy()}
    ours = rewards(bench, policy, say)
    theirs = {name: rewards(bench, other, say) for name, other in beside.items()}
    figures += [_figure("reward", ours), *(_figure(f"reward_{name}", found) for name, found in theirs.items())]
    better = float(np.mean(ours)) - float(np.mean(theirs["random"]))
    return [*figures, Figure("reward_gain", round(better, 2), f"{better:+.2f} over random keys")]


def _figure(key: str, found: list[float]) -> Figure:
    mean, error = float(np.mean(found)), float(np.std(found, ddof=min(1, len(found) - 1)) / len(found) ** 0.5)
    return Figure(key, round(mean, 2), f"{mean:.1f} ± {error:.1f} of {len(found)} episodes")


def rewards(bench: VizdoomBench, policy: Policy, say: Callable[[str], None]) -> list[float]:
    """The scenario's total reward of every episode."""
    with tempfile.TemporaryDirectory(prefix="protege-vizdoom-") as folder:
        game = start(bench.scenario, Path(folder), bench.seed)
        keys = [PRESSES.get(button.name) for button in game.get_available_buttons()]
        found: list[float] = []
        try:
            while len(found) < bench.episodes:
                game.set_seed(bench.seed + len(found))
                game.new_episode()
                _episode(game, keys, policy, bench, len(found))
                found.append(float(game.get_total_reward()))
                if len(found) % 10 == 0:
                    say(f"{bench.scenario}: {len(found)} of {bench.episodes} episodes")
        finally:
            game.close()
    return found


def _episode(game: "DoomGame", keys: list[str | None], policy: Policy, bench: VizdoomBench, number: int) -> None:
    goal = bench.goal or GOALS[bench.scenario]
    decision = 0
    plan = None
    made = 0
    while not game.is_episode_finished():
        if plan is None or decision - made >= bench.execute:
            rgb = np.array(game.get_state().screen_buffer, dtype=np.uint8)
            t_ns = number * 3_600_000_000_000 + decision * 1_000_000_000 * TICS // 35
            plan, made = policy.predict(Frame(rgb, t_ns), goal), decision
        action: Action = plan.steps[min(decision - made, len(plan.steps) - 1)]
        game.make_action([key is not None and key in action for key in keys], TICS)
        decision += 1
