"""`protege clone rollout`: a policy plays the arena, beside it what the scripted expert would do in each moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.arena.engine import Engine
from protege.arena.expert import Expert
from protege.arena.rooms import EVAL_SEED_START, Layout
from protege.arena.state import DECISION_HZ, ArenaState
from protege.arena.tasks import GOALS, Task
from protege.bench.arena import rate_text
from protege.bench.arena_episodes import Job, Player, Result, Runner, jobs
from protege.cloning import metrics
from protege.cloning.predictions import Evaluation, Predictions
from protege.errors import UserError
from protege.play.actions import KEYBOARD_12, Action

KEYS: Final = KEYBOARD_12.pressable


@dataclass(frozen=True)
class Played:
    """Episodes that were played, and every decision of them: pictures (N, 3, H, W), the keys the policy held and those
    of the expert in the same states.
    """

    model: str
    results: tuple[Result, ...]
    pictures: NDArray[np.uint8]
    held: tuple[Action, ...]
    expert: tuple[Action, ...]

    def lines(self) -> list[str]:
        """The essence, as a command prints it."""
        found = [f"reached the goal: {rate_text(self.results)}"]
        for result in self.results:
            found.append(f"  {episode_name(result)} after {result.seconds:.1f} s")
        return found


class _Watched:
    """An engine that notes each decision before it is played."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._expert = Expert()
        self.pictures: list[NDArray[np.uint8]] = []
        self.held: list[Action] = []
        self.expert: list[Action] = []

    def load(self, layout: Layout) -> ArenaState:
        self._expert.start_episode()
        return self._engine.load(layout)

    def step(self, action: Action, tics: int) -> ArenaState:
        self.pictures.append(self._engine.picture().transpose(2, 0, 1))
        self.held.append(action)
        self.expert.append(self._expert.act(self._engine.state()))
        return self._engine.step(action, tics)

    def picture(self) -> NDArray[np.uint8]:
        return self._engine.picture()

    def close(self) -> None:
        self._engine.close()


def play(
    player: Player,
    episodes: int = 10,
    seed: int = EVAL_SEED_START,
    task: Task | None = Task.GO_TO,
    progress: Callable[[int], None] = lambda done: None,
) -> Played:
    """Play some episodes from a seed on, which must be one for evaluation (UserError)."""
    if seed < EVAL_SEED_START:
        raise UserError(f"--seed {seed}: rooms for evaluation begin at {EVAL_SEED_START}")
    runner = Runner(player)
    watched: Any = _Watched(runner.engine)
    runner.engine = watched
    results = []
    try:
        for job in jobs(seed, episodes, task):
            results.append(runner.play(Job(job.seed)))
            progress(len(results))
    finally:
        runner.close()
    return Played(player.model, tuple(results), np.stack(watched.pictures), tuple(watched.held), tuple(watched.expert))


def compared(played: Played) -> Evaluation:
    """The keys that the policy held as predictions of the expert's, for those keys that either of them used."""
    pred, truth = (KEYBOARD_12.encode(actions)[:, :-1] for actions in (played.held, played.expert))
    used = np.flatnonzero((pred | truth).any(0))
    keys = tuple(KEYS[k] for k in used)
    pred, truth = pred[:, used], truth[:, used]
    episode = np.repeat(np.arange(len(played.results)), [result.decisions for result in played.results])
    scores = metrics.score(truth, pred, episode, keys)
    return Evaluation(
        predictions=Predictions(
            keys=keys,
            episodes=tuple(map(episode_name, played.results)),
            probs=pred[:, None].astype(np.float32),
            truth=truth[:, None],
            rows=np.arange(len(truth)),
            episode=episode,
        ),
        thresholds=np.full(len(keys), 0.5),
        scores=scores,
        cross_entropy=None,
        slots=(scores.exact_match,),
        others={},
        about={"model": Path(played.model).name},
    )


def write_page(played: Played, path: Path) -> None:
    """Write the page: numbers, time lines and videos, the expert's keys as the true ones."""
    from protege.cloning import pages

    intro = (
        f"{len(played.held)} decisions of {len(played.results)} episodes in the arena. Reached the goal: "
        f"{rate_text(played.results)}. The true keys are those that the scripted expert would hold in the same state; "
        "a policy that does something else is not always wrong."
    )
    pages.write_page(compared(played), played.pictures, path, intro, DECISION_HZ)


def episode_name(result: Result) -> str:
    return f"seed {result.seed}, {GOALS[result.goal].sentence}: {result.end.replace('_', ' ')}"


def to_json(played: Played) -> dict[str, Any]:
    """Success and how far the policy agrees with the expert, as plain values."""
    won: Sequence[bool] = [result.success for result in played.results]
    return {"success": sum(won) / len(won), "episodes": len(won), "agreement": compared(played).scores.to_json()}
