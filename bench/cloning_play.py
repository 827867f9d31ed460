"""python -m bench cloning, playing: how often policies cloned from the expert reach a goal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.cloning_data import Say
from protege.core.actions import KEYBOARD_12
from protege.demo.pixels import NOISE, RECIPE, SIZE
from protege.evaluation.figures import Figure
from protege.settings import shipped

MIN_SUCCESS: Final = 0.7
TRAIN_SEED: Final = 5_000
PLAIN: Final = (
    *("model.goal=none", "model.pool=mean", "model.conv_features=[32,64,128,256]", "model.dense_features=[512,256]"),
    *("model.dropout_rate=0.1", "dataset.frame_size=[30,40]", "dataset.augment.crop=1", "training.num_epochs=3"),
    "training.learning_rate=1e-3",
)
"""The documented network on small pictures, which is not told its goal: otherwise trained alike."""


def closed_loop(
    folder: Path, models: Mapping[str, Path | None], episodes: int, rooms: int, say: Say = lambda text: None
) -> list[Figure]:
    """Success in rooms that nothing was trained on, of both models and of random keys, all in the same rooms."""
    from protege.arena.rooms import EVAL_SEED_START
    from protege.arena.tasks import Task
    from protege.evaluation.arena import rate, rate_text, wilson
    from protege.evaluation.episodes import Player, jobs, play_all

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


def trained(
    folder: Path, name: str, episodes: int, say: Say = lambda text: None, overrides: Sequence[str] = ()
) -> Path:
    """The folder of a model, "goal" or "plain", trained where it is not there yet. overrides: of its configuration."""
    from protege.arena.record_steps import record_steps
    from protege.arena.tasks import Task
    from protege.cloning import config
    from protege.cloning.episodes import StepStore
    from protege.cloning.train import train

    path, model = folder / "arena.zarr", folder / name
    say(f"recording {episodes} episodes of the expert")
    with StepStore(path, KEYBOARD_12.pressable, SIZE, source="arena") as store:
        record_steps(store, episodes, TRAIN_SEED, NOISE, task=Task.GO_TO, corrected=True)
    changes = (*(PLAIN if name == "plain" else ()), *overrides)
    say(f"training {name}: {RECIPE} {' '.join(changes)}")
    places = (f"dataset.path={path}", f"training.checkpoint_dir={model}")
    train(config.load(shipped(RECIPE), [*places, *changes]))
    return model
