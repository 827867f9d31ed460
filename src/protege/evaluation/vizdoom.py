"""protege bench vizdoom: any policy in ViZDoom's public scenarios by their own rewards, beside random keys and W."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from protege.agent.baselines import ConstantPolicy, RandomPolicy
from protege.agent.vision import VisionOptions
from protege.core.plan import Policy
from protege.errors import UserError
from protege.evaluation import vizdoom_record, vizdoom_train
from protege.evaluation.figures import Figure
from protege.evaluation.vizdoom_game import GOALS, ScenarioGame
from protege.evaluation.vizdoom_play import Act, PolicyAct, player_act, rewards
from protege.evaluation.vizdoom_players import PLAYERS, require_player
from protege.policies import load_policy

CLONED: Final = "cloned"
"""The --model that is first trained on episodes of a scripted player."""


@dataclass(frozen=True)
class VizdoomBench:
    """model: as --model elsewhere, or "cloned"; trained_on: episodes for that; scenario: one of `GOALS`; goal: instead
    of its own; vision: how a vision-language model decodes.
    """

    model: str
    scenario: str = "deadly_corridor"
    episodes: int = 20
    execute: int = 1
    goal: str | None = None
    seed: int = 0
    trained_on: int = 100
    vision: VisionOptions = field(default_factory=VisionOptions)

    def __post_init__(self) -> None:
        if self.scenario not in GOALS:
            raise UserError(f"--scenario {self.scenario}: expected one of {', '.join(GOALS)}")
        if self.episodes < 1 or not 1 <= self.execute <= 7:
            raise UserError("expected at least one episode, and --execute from 1 to 7")
        if self.model == CLONED:
            require_player(self.scenario)


def run(bench: VizdoomBench, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """Mean reward with its standard error, of the policy, of random keys and of holding W in the same episodes.

    "cloned" plays, and everybody beside it, as often a second as it was recorded; others as `TICS` says.
    """
    with tempfile.TemporaryDirectory(prefix="protege-vizdoom-") as folder:
        cloned = bench.model == CLONED
        policy = load_policy(_clone(bench, Path(folder), say) if cloned else bench.model, bench.vision)
    policy.warm_up()
    policies: dict[str, Policy] = {"": policy, "random": RandomPolicy(bench.seed, hold_slots=1)}
    policies["majority"] = ConstantPolicy()
    goal = bench.goal or GOALS[bench.scenario]
    acts: dict[str, Act] = {name: PolicyAct(who, goal, bench.execute) for name, who in policies.items()}
    if cloned:
        acts["scripted"] = player_act(PLAYERS[bench.scenario])
    with vizdoom_record.game(bench.scenario, truth=True) if cloned else ScenarioGame(bench.scenario) as game:
        found = {name: rewards(game, act, bench.episodes, bench.seed, say) for name, act in acts.items()}
    figures = [_figure("_".join(filter(None, ("reward", name))), each) for name, each in found.items()]
    better = float(np.mean(found[""])) - float(np.mean(found["random"]))
    return [*figures, Figure("reward_gain", round(better, 2), f"{better:+.2f} over random keys")]


def _clone(bench: VizdoomBench, folder: Path, say: Callable[[str], None]) -> Path:
    say(f"training on {bench.trained_on} episodes of a scripted player")
    vizdoom_record.record(folder / "sessions", bench.scenario, bench.trained_on)
    return vizdoom_train.pixels(folder, folder / "sessions", say)


def _figure(key: str, found: list[float]) -> Figure:
    mean, error = float(np.mean(found)), float(np.std(found, ddof=min(1, len(found) - 1)) / len(found) ** 0.5)
    return Figure(key, round(mean, 2), f"{mean:.1f} ± {error:.1f} of {len(found)} episodes")
