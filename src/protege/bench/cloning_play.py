"""protege bench cloning, playing: how often policies cloned from the expert reach a goal."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from protege.arena.expert import Expert
from protege.bench.cloning_data import Say
from protege.bench.report import Figure
from protege.play.actions import NO_KEYS, Action

MIN_SUCCESS: Final = 0.7
TRAIN_SEED: Final = 5_000
NOISE: Final = 0.1
"""Slips a decision in the training episodes: they lead to states that a policy's own mistakes lead to, too."""
SIZE: Final = (80, 60)
RECIPES: Final = {
    "goal": (
        *("model.name=pure_cnn", "model.goal=sentence", "model.pool=keypoints", "model.conv_features=[16,32,64,64]"),
        *("model.dense_features=[256,128]", "model.dropout_rate=0.2", "training.num_epochs=10"),
        "training.learning_rate=1.5e-3",
    ),
    "plain": ("model.name=pure_cnn", "dataset.frame_size=[30,40]", "dataset.augment.crop=1", "training.num_epochs=3"),
}
"""The best variant, which is told its goal and where each feature is, and the documented network on small pictures."""
SHARED: Final = (
    *("dataset.train_ratio=0.9", "dataset.val_ratio=0.05", "dataset.test_ratio=0.05", "dataset.augment.crop=2"),
    *("dataset.augment.brightness=0.15", "dataset.augment.contrast=0.15", "training.batch_size=64"),
    *("training.learning_rate=1e-3", "training.use_class_weights=false", "training.lr_schedule.warmup_epochs=0.5"),
    *("evaluation.best=loss", "evaluation.tune_thresholds=false", "evaluation.eval_every_n_epochs=100"),
)
"""The last weights play better than those of the best validation loss: they are the only ones that are judged.

Thresholds stay at 0.5: the best F1 of a key that is hardly ever pressed is reached by pressing it much too often, which
costs nothing in F1 and the goal in play.
"""


def closed_loop(
    folder: Path, models: Mapping[str, Path | None], episodes: int, rooms: int, say: Say = lambda text: None
) -> list[Figure]:
    """Success in rooms that nothing was trained on, of both recipes and of random keys, all in the same rooms."""
    from protege.arena.rooms import EVAL_SEED_START
    from protege.arena.tasks import Task
    from protege.bench.arena import rate, rate_text, wilson
    from protege.bench.arena_episodes import Player, jobs, play_all

    todo = jobs(EVAL_SEED_START, rooms, Task.GO_TO)
    players = {name: str(model or trained(folder, name, episodes, say)) for name, model in models.items()}
    results = {name: play_all(Player(model), todo, say=say) for name, model in {**players, "random": "random"}.items()}
    goal, plain, chance = (results[name] for name in ("goal", "plain", "random"))
    low, high = wilson(sum(r.success for r in goal), len(goal))
    met = rate(goal) > MIN_SUCCESS
    return [
        Figure("success", rate(goal), rate_text(goal), f"> {MIN_SUCCESS:.0%}", met),
        Figure("success_ci", [low, high], f"{low:.1%} to {high:.1%} (95 %)"),
        Figure("success_pure_cnn", rate(plain), f"{rate_text(plain)}: pure_cnn, which is not told its goal"),
        Figure("success_random", rate(chance), rate_text(chance)),
    ]


def trained(folder: Path, name: str, episodes: int, say: Say = lambda text: None) -> Path:
    """The folder of a recipe's model, trained where it is not there yet."""
    from protege.arena.tasks import Task
    from protege.cloning import config
    from protege.cloning.train import train

    store, model = folder / "arena.zarr", folder / name
    say(f"recording {episodes} episodes of the expert")
    record(store, episodes, TRAIN_SEED, SIZE, NOISE, task=Task.GO_TO, corrected=True)
    say(f"training {name}: {' '.join(RECIPES[name])}")
    places = (f"dataset.path={store}", f"training.checkpoint_dir={model}")
    train(config.load(None, [*places, *SHARED, *RECIPES[name]]))
    return model


class _Corrected(Expert):
    """An expert that slips; `meant` is what one who sees the same and does not slip holds."""

    def __init__(self, noise: float, seed: int) -> None:
        super().__init__(noise, seed)
        self._right = Expert(seed=seed)
        self.meant: Action = NO_KEYS

    def act(self, state: Any) -> Action:
        self.meant = self._right.act(state)
        return super().act(state)


def record(
    path: Path,
    episodes: int,
    seed: int,
    size: tuple[int, int],
    noise: float = 0.05,
    goal: str | None = None,
    task: Any = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    corrected: bool = False,
) -> tuple[int, int, int]:
    """Record the arena's expert as zarr episodes of any size; those that are there are kept.

    corrected: the keys that the expert should have held where it slips, not those it held (Laskey et al. 2017, DART).

    Returns how many are new, their frames, and how many of them reached their goal. UserError where the store holds
    frames of another size.
    """
    from protege.arena.engine import Engine
    from protege.arena.record import seeds_of, session_name, steps
    from protege.arena.rooms import layout
    from protege.arena.state import DECISION_HZ, Judge
    from protege.arena.tasks import find_goal
    from protege.bench.arena_episodes import drawn_size
    from protege.cloning.episodes import add_steps
    from protege.cloning.store import Writer
    from protege.play.actions import KEYBOARD_12

    asked = find_goal(goal) if goal else None
    writer = Writer(path, KEYBOARD_12.pressable, source="arena")
    writer.require_size(size)
    todo = [n for n in seeds_of(episodes, seed, task) if session_name(n, asked) not in writer.sessions]
    frames = won = 0
    with Engine(drawn_size(size)) as engine:
        for done, number in enumerate(todo, 1):
            made = layout(number, asked)
            judge = Judge(made)
            about: dict[str, Any] = {"session_name": session_name(number, asked), "seed": number, "noise": noise}
            about |= {"fps": DECISION_HZ, "task": str(made.goal.task), "corrected": corrected}
            expert = _Corrected(noise, number)
            played = ((picture, expert.meant if corrected else held) for picture, held in steps(engine, expert, judge))
            frames += add_steps(writer, played, size, made.goal.sentence, **about)
            won += judge.success
            progress(done, len(todo))
    return len(todo), frames, won
