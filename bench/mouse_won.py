"""Looking with the mouse or turning with keys: the same policy learns the arena both ways and plays the same rooms."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from protege.arena.engine import ARENA_MOUSE
from protege.arena.record_steps import record_steps
from protege.cloning.episodes import StepStore
from protege.cloning.train import train
from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.demo.pixels import NOISE, SEED, SIZE, recipe
from protege.demo.places import Places
from protege.demo.scale import Scale
from protege.evaluation.arena import wilson
from protege.evaluation.episodes import Player, jobs, play_all
from protege.evaluation.figures import Figure

Say = Callable[[str], None]
ROOMS: Final = 60_000
"""The first room to play in."""
SPACES: Final = {"keys": KEYBOARD_12, "mouse": ARENA_MOUSE}


def run(demonstrations: int, epochs: int, episodes: int, say: Say) -> list[Figure]:
    """`success_keys` and `success_mouse` of the demo's policy from pixels, each trained on as many episodes of the
    expert in the same rooms, for as many epochs.
    """
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        return [
            _figure(who, *_won(Path(name) / who, space, demonstrations, epochs, episodes, say))
            for who, space in SPACES.items()
        ]


def _won(
    folder: Path, space: ActionSpace, demonstrations: int, epochs: int, episodes: int, say: Say
) -> tuple[int, dict[str, tuple[int, int]]]:
    """Rooms that were won, and (won, played) of each task."""
    folder.mkdir()
    scale, store = Scale(epochs=epochs), folder / "steps.zarr"
    looks = space if space.look is not None else None
    with StepStore(store, space.pressable, SIZE, source="arena", space=looks) as kept:
        for task, count in scale.tasks(demonstrations).items():
            say(f"{folder.name}: {count} episodes of {task} are recorded")
            record_steps(kept, count, SEED, NOISE, task=task, corrected=True, space=space)
    say(f"{folder.name}: trains {epochs} epochs")
    config = recipe(Places(folder), scale)
    trained = train(replace(config, dataset=replace(config.dataset, path=str(store))))
    if trained.interrupted:
        raise KeyboardInterrupt
    results = play_all(Player(str(Places(folder).cloned), device="cpu", game=space), jobs(ROOMS, episodes), say=say)
    tasks = {result.task: (0, 0) for result in results}
    for result in results:
        won, played = tasks[result.task]
        tasks[result.task] = won + result.success, played + 1
    return sum(result.success for result in results), tasks


def _figure(who: str, won: int, tasks: dict[str, tuple[int, int]]) -> Figure:
    played = sum(of for _, of in tasks.values())
    low, high = wilson(won, played)
    by_task = ", ".join(f"{task} {w} of {of}" for task, (w, of) in tasks.items())
    value = {"rate": round(won / played, 4), "low": round(low, 4), "high": round(high, 4)}
    return Figure(f"success_{who}", value, f"{won / played:.1%} of {played} ({low:.1%} to {high:.1%}): {by_task}")
