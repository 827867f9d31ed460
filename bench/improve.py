"""python -m bench improve: do corrections help more than as many frames of plain demonstrations?

A tiny vision model, or a policy from pixels, is trained on demonstrations (round 0). Then `protege improve` corrects it
for some rounds, and beside it the same loop gets as many frames of plain demonstrations instead, with the same
training. All models are scored in rooms other than those by which the loops choose.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.core.session import find_sessions
from protege.errors import ProtegeError, UserError
from protege.evaluation.figures import Figure

if TYPE_CHECKING:
    from protege.arena.record import Episode
    from protege.demo.places import Places
    from protege.improve.loop import Play
    from protege.improve.state import Played
    from protege.improve.steps import Turn

FIRST: Final = 5_000
BLOCK: Final = 1_600
"""Rooms of a seed: demonstrations first, corrections from 500 on, further demonstrations from 1,000 on."""
CORRECTIONS: Final = 500
FURTHER: Final = 1_000
SCORED: Final = 20_000
"""The first room to score in."""
SIZE: Final = (320, 240)
NOISE: Final = 0.05
VLM: Final = "vlm"
PIXELS: Final = "pixels"
SHORT: Final = 40
"""Decisions of a short episode: how many more are recorded at once."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class ImproveBench:
    """policy: "vlm" or "pixels"; seeds: how often all of it is done; rounds: of corrections; demonstrations: episodes
    to begin with; steps: of the vision model's training, at first and in each round; epochs: of the other's; minutes:
    of play a round; episodes: rooms to score each model in; choose: rooms by which a round's model is kept; goals:
    only these; folder: where everything is kept, None nowhere.
    """

    policy: str = VLM
    seeds: int = 3
    rounds: int = 3
    demonstrations: int = 200
    steps: int = 400
    epochs: int = 5
    minutes: float = 5.0
    episodes: int = 200
    choose: int = 60
    goals: tuple[str, ...] = ()
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.policy not in (VLM, PIXELS):
            raise UserError(f"--policy {self.policy}: expected {VLM} or {PIXELS}")
        if not 1 <= self.seeds <= 3 or not 3 <= self.demonstrations <= CORRECTIONS:
            raise UserError(f"expected 1 to 3 seeds and 3 to {CORRECTIONS} demonstrations, got {self}")


@dataclass(frozen=True)
class Outcome:
    """Of one seed: goals reached by the model after each round (round 0 first) and by that of the demonstrations, and
    the frames that either was given.
    """

    rounds: tuple[int, ...]
    demonstrations: int
    added: int
    demonstrated: int


def run(bench: ImproveBench, say: Say = lambda text: None) -> list[Figure]:
    """The figures over all seeds."""
    import torch

    torch.set_num_threads(1)  # a second one gains little, and waits where the cores are busy
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        outcomes: list[Outcome] = []
        for seed in range(bench.seeds):
            say(f"seed {seed + 1} of {bench.seeds}")
            outcomes.append(_one(bench, (bench.folder or Path(name)) / f"seed_{seed}", seed, say))
    of = bench.episodes
    found = [
        _rate(f"success_round_{n}", [outcome.rounds[n] for outcome in outcomes], of) for n in range(bench.rounds + 1)
    ]
    added = [outcome.added for outcome in outcomes]
    given = [outcome.demonstrated for outcome in outcomes]
    return [
        *found,
        _rate("success_demonstrations", [outcome.demonstrations for outcome in outcomes], of),
        Figure("frames_added", added, f"{added} frames corrected; demonstrated instead: {given}"),
    ]


def _rate(key: str, won: list[int], of: int) -> Figure:
    from protege.improve.state import Score

    score = Score(sum(won), of * len(won))
    each = ", ".join(f"{one / of:.0%}" for one in won)
    low, high = score.interval
    value = {"rate": round(score.rate, 4), "low": round(low, 4), "high": round(high, 4), "seeds": won, "of": of}
    return Figure(key, value, f"{score}; by seed {each}")


def _one(bench: ImproveBench, folder: Path, seed: int, say: Say) -> Outcome:
    from protege.improve import Improved, ImproveOptions, run

    first = FIRST + BLOCK * seed
    begun = _begin(bench, folder, seed, say)

    def improve(arm: str, play: "Play | None") -> Improved:
        data = folder / arm / "data"
        if not data.exists():
            data.parent.mkdir(parents=True, exist_ok=True)
            part = data.with_name("part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(folder / "data", part, ignore=shutil.ignore_patterns(".*"))
            part.rename(data)
        options = ImproveOptions(
            out=folder / arm / "rounds",
            model=begun,
            data=data,
            goals=bench.goals,
            rounds=bench.rounds,
            minutes=bench.minutes,
            episodes=bench.choose,
            seed=first + (CORRECTIONS if play is None else FURTHER),
        )
        return run(options, lambda text: say(f"{arm}: {text}"), play)

    corrected = improve("corrections", None)
    given = [each.play.corrected if each.play else 0 for each in corrected.rounds]
    shown = improve("demonstrations", lambda turn: _demonstrate(turn, given, bench.goals))
    kept = [begun, *corrected.kept]
    kept += [kept[-1]] * (bench.rounds + 1 - len(kept))  # it ended early, with nothing left to correct
    won = {model: _won(model, bench, say) for model in dict.fromkeys([*kept, shown.model])}
    return Outcome(
        tuple(won[model] for model in kept), won[shown.model], corrected.frames_added, shown.frames_added
    )  # fmt: skip


def _begin(bench: ImproveBench, folder: Path, seed: int, say: Say) -> Path:
    """A model trained on demonstrations."""
    from protege.arena.record import record_episodes
    from protege.demo.places import Places

    say(f"{bench.demonstrations} demonstrations")
    places = Places(folder)
    goals: list[str | None] = [*bench.goals] or [None]
    for n, goal in enumerate(goals):
        count = len(range(n, bench.demonstrations, len(goals)))
        record_episodes(places.episodes, count, FIRST + BLOCK * seed, SIZE, NOISE, goal)
    fit = _fit_vlm if bench.policy == VLM else _fit_pixels
    fit(bench, places, seed, say)
    return folder / "model"


def _fit_pixels(bench: ImproveBench, places: "Places", seed: int, say: Say) -> None:
    from protege.cloning.episodes import export_sessions
    from protege.cloning.train import train
    from protege.demo.pixels import SIZE as SMALL
    from protege.demo.pixels import recipe
    from protege.demo.scale import Scale

    found = recipe(places, Scale(epochs=bench.epochs))
    config = replace(
        found,
        dataset=replace(found.dataset, path=str(places.root / "data")),
        training=replace(found.training, checkpoint_dir=str(places.root / "model")),
        evaluation=replace(found.evaluation, eval_every_n_epochs=bench.epochs),
        system=replace(found.system, seed=seed),
    )
    export_sessions(places.episodes, places.root / "data", SMALL)
    say(f"training for {bench.epochs} epochs")
    if train(config).interrupted:
        raise KeyboardInterrupt


def _fit_vlm(bench: ImproveBench, places: "Places", seed: int, say: Say) -> None:
    from protege.demo.scale import Scale
    from protege.demo.stages import recipe
    from protege.labeling import Given, label
    from protege.training.run import train
    from protege.vlm.tiny import copy_base

    data = places.root / "data"
    result = label(find_sessions(places.episodes), data, Given())
    if result.problems:
        raise ProtegeError(result.problems[0])
    if not places.base.exists():
        copy_base(places.base)
    config = recipe(places, Scale(steps=bench.steps))
    config = replace(
        config,
        output=str(places.root / "model"),
        data=replace(config.data, folder=str(data)),
        training=replace(config.training, seed=seed),
    )
    say(f"training for {bench.steps} steps")
    if train(config).interrupted:
        raise KeyboardInterrupt


def _demonstrate(turn: "Turn", given: Sequence[int], goals: Sequence[str]) -> "Played":
    """Plain demonstrations in place of a round's corrections: as many frames, in rooms of their own."""
    from protege.arena.record import record_episodes
    from protege.improve.state import Played

    number = int(turn.folder.name.rpartition("_")[2])
    wanted = given[number - 1] if number <= len(given) else 0
    asked: list[str | None] = [*goals] or [None]
    done: list[Episode] = []
    while (frames := sum(episode.frames for episode in done)) < wanted:
        more = len(done) + 1 + (wanted - frames) // (3 * SHORT)
        done = [
            episode
            for n, goal in enumerate(asked)
            if (count := len(range(n, more, len(asked))))
            for episode in record_episodes(turn.runs, count, turn.first, SIZE, NOISE, goal)
        ]
    return Played(len(done), frames, frames, 0, turn.first + len(done))


def _won(model: Path, bench: ImproveBench, say: Say) -> int:
    from protege.arena.tasks import find_goal
    from protege.evaluation.episodes import Job, Player, play_all

    goals: list[str | None] = [find_goal(goal).name for goal in bench.goals] or [None]
    say(f"{model}: {bench.episodes} rooms")
    todo = [Job(SCORED + n, goals[n % len(goals)]) for n in range(bench.episodes)]
    return sum(result.success for result in play_all(Player(str(model), device="cpu"), todo, say=say))
