"""protege bench vizdoom --all: in five scenarios, how much of a scripted player's reward two policies learn to get."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.agent.baselines import ConstantPolicy, RandomPolicy
from protege.agent.vision import VisionOptions
from protege.core.files import Json, locked, read_json, write_json
from protege.demo.progress import Progress
from protege.errors import UserError
from protege.evaluation import vizdoom_train
from protege.evaluation.figures import Figure
from protege.evaluation.vizdoom_game import GOALS
from protege.evaluation.vizdoom_play import Act, PolicyAct, player_act, rewards
from protege.evaluation.vizdoom_players import PLAYERS
from protege.evaluation.vizdoom_record import FINE_TICS, SLIP, SLIP_DECISIONS, game, record
from protege.policies import load_policy

POLICIES: Final = ("pixels", "vlm")
RESAMPLES: Final = 10_000
TARGET_SHARE: Final = 0.8
TARGET_SCENARIOS: Final = 4
Say = Callable[[str], None]


@dataclass(frozen=True)
class VizdoomAll:
    """policies: of `POLICIES`, in the order they are trained in; folder: keeps all that is made, so that a second run
    goes on there, None for a temporary one; trained_on: recorded episodes; episodes: played by everybody; execute,
    vision: of the VLM; steps: of its training; overrides: of the pixel policy's recipe.
    """

    policies: tuple[str, ...] = POLICIES
    folder: Path | None = None
    trained_on: int = 100
    episodes: int = 50
    seed: int = 0
    execute: int = 1
    vision: VisionOptions = field(default_factory=VisionOptions)
    steps: int = 300
    overrides: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = tuple(PLAYERS)

    def __post_init__(self) -> None:
        if not set(self.policies) <= set(POLICIES) or len(set(self.policies)) != len(self.policies):
            raise UserError(f"--policies {','.join(self.policies)}: expected pixels, vlm or pixels,vlm")
        if self.episodes < 1 or self.trained_on < 3 or not 1 <= self.execute <= 7:
            raise UserError("expected at least one episode, --trained-on from 3 on, and --execute from 1 to 7")

    @property
    def identity(self) -> dict[str, Json]:
        """What must be the same where a folder is used again; more episodes may be played."""
        return {
            **{"trained_on": self.trained_on, "seed": self.seed, "execute": self.execute, "steps": self.steps},
            **{"temperature": self.vision.temperature, "decoding": self.vision.decoding},
            **{"tics": FINE_TICS, "slip": [SLIP, *SLIP_DECISIONS], "recipe": [*vizdoom_train.RECIPE, *self.overrides]},
        }


def run(bench: VizdoomAll, say: Say = lambda text: None) -> list[Figure]:
    """Every scenario's figures; the policies are trained one after another, the first one in all scenarios first."""
    with ExitStack() as stack:
        folder = bench.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protege-vizdoom-")))
        stack.enter_context(locked(folder, "protege bench vizdoom"))
        _require_same(folder, bench)
        runs = {name: _Scenario(bench, name, folder / name, say) for name in bench.scenarios}
        found = {name: {who: one.baseline(who) for who in _BASELINES} for name, one in runs.items()}
        for policy in bench.policies:
            for name, one in runs.items():
                found[name][policy] = one.policy(policy)
    return figures(found, bench.policies)


_BASELINES: Final = ("random", "w", "scripted")


def _require_same(folder: Path, bench: VizdoomAll) -> None:
    path = folder / "bench.json"
    if not path.exists():
        write_json(path, bench.identity)
        return
    before = read_json(path)
    if not isinstance(before, dict):
        raise UserError(f"{path}: not what this command wrote; name another --folder")
    for key, value in bench.identity.items():
        if before.get(key) != value:
            raise UserError(f"{folder}: was begun with {key} {before.get(key)}, not {value}; name another --folder")


@dataclass(frozen=True)
class _Scenario:
    """One scenario's part of a run. Its folder: sessions/, a folder for each policy, and NAME.json with rewards."""

    bench: VizdoomAll
    name: str
    folder: Path
    say: Say

    def baseline(self, who: str) -> list[float]:
        acts: dict[str, Callable[[], Act]] = {
            "random": lambda: PolicyAct(RandomPolicy(self.bench.seed, hold_slots=1), GOALS[self.name]),
            "w": lambda: PolicyAct(ConstantPolicy(), GOALS[self.name]),
            "scripted": lambda: player_act(PLAYERS[self.name]),
        }
        return self._played(who, acts[who])

    def policy(self, who: str) -> list[float]:
        return self._played(who, lambda: self._act(who))

    def _act(self, who: str) -> Act:
        policy = load_policy(self._model(who), self.bench.vision)
        policy.warm_up()
        return PolicyAct(policy, GOALS[self.name], self.bench.execute if who == "vlm" else 1)

    def _model(self, who: str) -> Path:
        """A policy's model, recorded for and trained where a run before has not done so."""
        bench, sessions, folder = self.bench, self.folder / "sessions", self.folder / who
        trained = folder / "trained.json"
        if trained.exists():
            return folder / str(read_json(trained)["model"])
        counted = Progress(f"{self.name}: episodes recorded", bench.trained_on, self.say)
        record(sessions, self.name, bench.trained_on, counted.step)
        self.say(f"{self.name}: training {who}")
        tell = lambda text: self.say(f"{self.name} {who}: {text}")  # noqa: E731
        if who == "pixels":
            model = vizdoom_train.pixels(folder, sessions, tell, bench.overrides)
        else:
            model = vizdoom_train.vlm(folder, sessions, bench.steps, tell)
        write_json(trained, {"model": str(model.relative_to(folder))})
        return model

    def _played(self, who: str, act: Callable[[], Act]) -> list[float]:
        """The rewards of all episodes; those that a run before has played are read."""
        path = self.folder / f"{who}.json"
        before: list[float] = read_json(path)["rewards"] if path.exists() else []
        if len(before) >= self.bench.episodes:
            return before[: self.bench.episodes]
        keep = lambda found: write_json(path, {"rewards": found})  # noqa: E731
        tell = lambda text: self.say(f"{who} in {text}")  # noqa: E731
        plays = act()
        self.folder.mkdir(parents=True, exist_ok=True)
        with game(self.name, truth=who == "scripted") as played:
            return rewards(played, plays, self.bench.episodes, self.bench.seed, tell, before, keep)


def figures(found: dict[str, dict[str, list[float]]], policies: Sequence[str]) -> list[Figure]:
    """The rewards of everybody in every scenario, and the shares, each with its interval under KEY_ci.

    found: rewards by scenario and by who played, in the order of the seeds.
    """
    made: list[Figure] = []
    for name, by in found.items():
        for who, theirs in by.items():
            values = np.array(theirs)
            made += _with_interval(f"reward_{who}_{name}", values.mean(), values[_draws(len(values))].mean(1), 2)
        for policy in policies:
            key = f"share_{name}" if policy == "pixels" else f"share_{policy}_{name}"
            rows = np.array([by["random"], by["scripted"], by[policy]])
            drawn = _draws(rows.shape[1])
            made += _with_interval(key, float(share(rows.mean(1))), share(rows[:, drawn].mean(2)), 3, TARGET_SHARE)
    for policy in policies:
        prefix = "share_" if policy == "pixels" else f"share_{policy}_"
        shares = [figure.value for figure in made if figure.key in {f"{prefix}{name}" for name in found}]
        good = sum(value is not None and value >= TARGET_SHARE for value in shares)
        target = f"≥ {TARGET_SCENARIOS}"
        made.append(Figure(f"{prefix}reached", good, f"{good} of {len(shares)}", target, good >= TARGET_SCENARIOS))
    return made


def share(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the way from random keys (row 0) to the scripted player (row 1) the policy (row 2) has gone; nan
    where the player is not above random keys.
    """
    way = means[1] - means[0]
    return np.where(way > 0, (means[2] - means[0]) / np.where(way > 0, way, 1.0), np.nan)


def _draws(episodes: int) -> NDArray[np.int64]:
    """(RESAMPLES, N) episodes drawn with replacement, the same for everybody: an episode's seed is, too, so whole seeds
    are drawn.

    The intervals are percentiles of the bootstrap (Efron and Tibshirani 1993, An Introduction to the Bootstrap,
    chapter 13): no reward here is distributed normally.
    """
    return np.random.default_rng(0).integers(episodes, size=(RESAMPLES, episodes))


def _with_interval(
    key: str, value: float, resampled: NDArray[np.float64], digits: int, target: float | None = None
) -> list[Figure]:
    """A figure and its 95 % interval; None where it is not defined."""
    if not np.isfinite(value):
        return [
            Figure(key, None, "not defined: the scripted player is not above random keys"),
            Figure(f"{key}_ci", None, ""),
        ]
    low, high = (round(float(bound), digits) for bound in np.nanquantile(resampled, (0.025, 0.975)))
    text = f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    wanted = ("", None) if target is None else (f"≥ {target:g}", bool(value >= target))
    return [
        Figure(key, round(float(value), digits), text, *wanted),
        Figure(f"{key}_ci", [low, high], f"{low} to {high}"),
    ]
