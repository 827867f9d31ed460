"""`protege clone rollout`: a policy plays the arena, beside it what the scripted expert would do in each moment."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.arena.expert import Expert
from protege.arena.rooms import EVAL_SEED_START, Layout
from protege.arena.state import DECISION_HZ, ArenaState
from protege.arena.tasks import ALL_GOALS, Rooms, Task
from protege.cloning import metrics
from protege.cloning.predictions import Evaluation, Predictions
from protege.core.actions import KEYBOARD_12, Action, ActionSpace
from protege.core.plan import Selective
from protege.errors import UserError
from protege.evaluation.arena import rate_text
from protege.evaluation.episodes import EpisodeEngine, Job, Player, Result, Runner, jobs

SHOWN: Final = 3
"""Episodes that a page shows, and whose pictures are kept while others are played."""


@dataclass(frozen=True)
class Played:
    """Episodes that were played, and every decision of them: the keys the policy held and those of the expert in the
    same states. pictures: (3, H, W) of the decisions of `SHOWN` episodes, one after another; filmed: which episodes;
    left_out: (seed, goal) of rooms that were not played, since the model does not know their goal.
    """

    model: str
    results: tuple[Result, ...]
    held: tuple[Action, ...]
    expert: tuple[Action, ...]
    pictures: tuple[NDArray[np.uint8], ...]
    filmed: tuple[int, ...]
    left_out: tuple[tuple[int, str], ...] = ()
    space: ActionSpace = KEYBOARD_12

    @property
    def episode(self) -> NDArray[np.int64]:
        """(N,) the episode of each decision."""
        return np.repeat(np.arange(len(self.results)), [result.decisions for result in self.results])

    def lines(self) -> list[str]:
        """The essence, as a command prints it."""
        found = [
            f"seed {seed} left out: the model was not trained on the goal {goal!r}" for seed, goal in self.left_out
        ]
        found += [f"reached the goal: {rate_text(self.results)}"]
        for result in self.results:
            found.append(f"  {episode_name(result)} after {result.seconds:.1f} s")
        return found


class _Watched:
    """An engine that notes each decision of an episode before it is played."""

    def __init__(self, engine: EpisodeEngine, space: ActionSpace) -> None:
        self._engine = engine
        self.size, self.space = engine.size, space
        self._expert = Expert(space=space)
        self.pictures: list[NDArray[np.uint8]] = []
        self.held: list[Action] = []
        self.expert: list[Action] = []

    def load(self, layout: Layout) -> ArenaState:
        self._expert.start_episode()
        self.pictures, self.held, self.expert = [], [], []
        return self._engine.load(layout)

    def step(self, action: Action, tics: int) -> ArenaState:
        self.pictures.append(self._engine.picture().transpose(2, 0, 1))
        self.held.append(action)
        self.expert.append(self._expert.act(self._engine.state()))
        return self._engine.step(action, tics)

    @property
    def moved(self) -> Sequence[tuple[int, int]]:
        return self._engine.moved

    def state(self) -> ArenaState:
        return self._engine.state()

    def picture(self) -> NDArray[np.uint8]:
        return self._engine.picture()

    def close(self) -> None:
        self._engine.close()


def play(
    player: Player,
    episodes: int = 10,
    seed: int = EVAL_SEED_START,
    task: Rooms = Task.GO_TO,
    progress: Callable[[int], None] = lambda done: None,
) -> Played:
    """Play some episodes from a seed on, which must be one for evaluation (UserError). Rooms whose goal a model cannot
    know are left out; UserError where that is all of them.
    """
    if seed < EVAL_SEED_START:
        raise UserError(f"--seed {seed}: rooms for evaluation begin at {EVAL_SEED_START}")
    runner = Runner(player)
    watched = _Watched(runner.engine, player.space)
    runner.engine = watched
    results: list[Result] = []
    held: list[Action] = []
    expert: list[Action] = []
    kept: list[_Episode] = []
    try:
        todo, left_out = _known(runner, jobs(seed, episodes, task))
        for job in todo:
            results.append(runner.play(job))
            held += watched.held
            expert += watched.expert
            kept = _keep([*kept, _Episode(len(results) - 1, watched.held, watched.expert, watched.pictures)])
            progress(len(results))
    finally:
        runner.close()
    kept.sort(key=lambda each: each.number)
    pictures = tuple(picture for each in kept for picture in each.pictures)
    filmed = tuple(each.number for each in kept)
    actions = tuple(held), tuple(expert)
    return Played(player.model, tuple(results), *actions, pictures, filmed, tuple(left_out), player.space)


def _known(runner: Runner, wanted: Sequence[Job]) -> tuple[list[Job], list[tuple[int, str]]]:
    """Rooms whose goal the policy can be told, and (seed, goal) of the others."""
    policy = runner.policy(wanted[0].seed)
    goals = {job.seed: job.layout.goal.sentence for job in wanted}
    known = {goal for goal in goals.values() if not isinstance(policy, Selective) or policy.knows(goal)}
    todo = [job for job in wanted if goals[job.seed] in known]
    if not todo:
        raise UserError(
            f"{runner.player.model}: none of the {len(wanted)} rooms has a goal that the model was trained on "
            f"({'; '.join(sorted(set(goals.values())))}); choose another --task, or train with model.goal=sentence"
        )
    return todo, [(seed, goal) for seed, goal in goals.items() if goal not in known]


@dataclass(frozen=True)
class _Episode:
    """An episode whose pictures are kept, and the keys held in it."""

    number: int
    held: Sequence[Action]
    expert: Sequence[Action]
    pictures: Sequence[NDArray[np.uint8]]

    @property
    def share(self) -> float:
        """Of the decisions, those in which the policy did what the expert would."""
        return sum(map(operator.eq, self.held, self.expert)) / len(self.held)


def _keep(episodes: list[_Episode]) -> list[_Episode]:
    """At most `SHOWN` episodes, best first: the best, the worst, and of the others those nearest to both's middle."""
    ranked = sorted(episodes, key=lambda each: -each.share)
    middle = (ranked[0].share + ranked[-1].share) / 2
    while len(ranked) > SHOWN:
        ranked.remove(max(ranked[1:-1], key=lambda each: abs(each.share - middle)))
    return ranked


def compared(played: Played) -> Evaluation:
    """The keys that the policy held as predictions of the expert's, for those keys that either of them used."""
    space = played.space
    pred, truth = (
        space.encode([space.only(action) for action in actions])[:, :-1] for actions in (played.held, played.expert)
    )
    used = np.flatnonzero((pred | truth).any(0))
    keys = tuple(space.pressable[k] for k in used)
    pred, truth = pred[:, used], truth[:, used]
    episode = played.episode
    scores = metrics.score(truth, pred, episode, keys)
    filmed = np.isin(episode, played.filmed)
    return Evaluation(
        predictions=Predictions(
            keys=keys,
            episodes=tuple(map(episode_name, played.results)),
            probs=pred[:, None].astype(np.float32),
            truth=truth[:, None],
            rows=np.where(filmed, np.cumsum(filmed) - 1, -1),
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
    if played.left_out:
        rooms = ", ".join(f"seed {seed} ({goal})" for seed, goal in played.left_out)
        intro += f" Left out, since the model was not trained on their goals: {rooms}."
    pages.write_files({path: pages.page_of(compared(played), played.pictures, intro, DECISION_HZ)})


def episode_name(result: Result) -> str:
    return f"seed {result.seed}, {ALL_GOALS[result.goal].sentence}: {result.end.replace('_', ' ')}"


def to_json(played: Played) -> dict[str, object]:
    """Success and how far the policy agrees with the expert, as plain values."""
    won: Sequence[bool] = [result.success for result in played.results]
    return {"success": sum(won) / len(won), "episodes": len(won), "agreement": compared(played).scores.to_json()}
