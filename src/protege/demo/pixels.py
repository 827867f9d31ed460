"""The demo's second policy: a small network that learns from pictures alone, trained by configs/arena_goal.yaml."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from protege.arena import stage
from protege.core.actions import KEYBOARD_12
from protege.demo.places import Facts, Places
from protege.demo.progress import Progress, Say, lines_of
from protege.demo.scale import Scale
from protege.settings import shipped

if TYPE_CHECKING:
    from protege.cloning.config import CloningConfig

SEED: Final = stage.SEED + 100
"""The rooms of the recorded episodes."""
NOISE: Final = 0.1
"""Slips a decision in the training episodes: they lead to states that a policy's own mistakes lead to, too."""
SIZE: Final = (80, 60)
RECIPE: Final = "arena_goal.yaml"


def clone(places: Places, scale: Scale, say: Say) -> Facts:
    """Episodes recorded for it, and a network trained on them. After Ctrl-C the next run goes on with both."""
    from protege.arena.record_steps import record_steps
    from protege.cloning.episodes import StepStore
    from protege.cloning.train import train

    progress = Progress("episodes", scale.cloned, say)
    told = lambda *_: progress.step()  # noqa: E731
    with StepStore(places.steps, KEYBOARD_12.pressable, SIZE, source="arena") as store:
        for task, count in scale.tasks(scale.cloned).items():
            record_steps(store, count, SEED, NOISE, task=task, progress=told, corrected=True)
    with lines_of("protege.cloning", lambda text: say(text) if "\n" not in text else None):  # not the whole recipe
        trained = train(recipe(places, scale))
    if trained.interrupted:
        raise KeyboardInterrupt
    return {
        "episodes": scale.cloned,
        "epochs": scale.epochs,
        "steps": trained.steps,
        "exact_match": trained.scores["exact_match"],
    }


def recipe(places: Places, scale: Scale) -> "CloningConfig":
    """The shipped configuration, in the demo's places, for as many epochs as it has time for."""
    from protege.cloning.config import load

    found = load(shipped(RECIPE))
    return replace(
        found,
        dataset=replace(found.dataset, path=str(places.steps)),
        training=replace(found.training, num_epochs=scale.epochs, checkpoint_dir=str(places.cloned)),
        system=replace(found.system, compile_cache=str(places.work / "compiled")),
    )
