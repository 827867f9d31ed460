"""protege bench vizdoom --model cloned: a policy cloned from a scripted player of the scenario, with seven actions."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import Action
from protege.errors import UserError
from protege.evaluation.vizdoom_game import GOALS, PRESSES, TICS, start

if TYPE_CHECKING:
    from vizdoom import DoomGame, GameState

SCENARIO: Final = "deadly_corridor"
SIZE: Final = (80, 60)
TRAIN_SEED: Final = 100_000
"""Episodes to learn from begin here, those that are scored at --seed, so that none is in both."""
_HOSTILE: Final = ("Zombieman", "ShotgunGuy", "ChaingunGuy", "MarineChainsaw", "DoomImp", "Demon")
_STRAIGHT_DEG: Final = 6.0
_TURN_PIXELS: Final = 40.0
"""By how much a decision's turn moves the picture, at most: whoever aims finer swings to and fro."""
RECIPE: Final = (
    *("model.name=pure_cnn", "model.pool=keypoints", "model.conv_features=[16,32,64,64]"),
    *("model.dense_features=[256,128]", "training.batch_size=64", "training.learning_rate=1e-3"),
    *("training.use_class_weights=false", "training.num_epochs=8", "evaluation.best=loss"),
    "evaluation.tune_thresholds=false",
)


def decide(state: "GameState", width: int) -> Action:
    """Turn to the enemy nearest to the middle of the picture and shoot him; else walk along the corridor."""
    seen = [label for label in state.labels or () if label.object_name in _HOSTILE]
    if seen:
        aside, half = min(((label.x + (label.width - width) / 2, label.width / 2) for label in seen), key=_off)
        if abs(aside) <= max(_TURN_PIXELS / 2, half):
            return frozenset(("space",))
        return frozenset(("right",)) if aside > 0 else frozenset(("left",))
    assert state.game_variables is not None
    angle = (float(state.game_variables[-1]) + 180) % 360 - 180
    if abs(angle) > _STRAIGHT_DEG:  # walking on meanwhile, since whoever hides behind a corner would stay hidden
        return frozenset(("w", "right" if angle > 0 else "left"))
    return frozenset(("w",))


def _off(enemy: tuple[float, float]) -> float:
    return abs(enemy[0])


def steps(game: "DoomGame", keys: list[str]) -> Iterator[tuple[NDArray[np.uint8], Action]]:
    """One episode of the scripted player: each (H, W, 3) picture and the action that answers it."""
    while not game.is_episode_finished():
        state = game.get_state()
        action = decide(state, state.screen_buffer.shape[1])
        yield np.array(state.screen_buffer, dtype=np.uint8), action
        game.make_action([key in action for key in keys], TICS)


def record(store: Path, folder: Path, scenario: str, episodes: int) -> list[float]:
    """Episodes of the scripted player as zarr; returns their rewards. folder: for what the engine writes."""
    import vizdoom

    from protege.cloning.episodes import StepStore

    if scenario != SCENARIO:
        raise UserError(f"--model cloned: its scripted player knows only {SCENARIO}, not {scenario}")
    game = start(scenario, folder, TRAIN_SEED, labels=True, variables=(vizdoom.GameVariable.ANGLE,))
    keys = [PRESSES[button.name] for button in game.get_available_buttons()]
    rewards = []
    try:
        with StepStore(store, keys, SIZE, source=f"vizdoom {scenario}") as kept:
            for number in range(episodes):
                game.set_seed(TRAIN_SEED + number)
                game.new_episode()
                kept.add(f"{scenario}_{number}", steps(game, keys), GOALS[scenario], {"fps": 35 / TICS})
                rewards.append(float(game.get_total_reward()))
    finally:
        game.close()
    return rewards


def cloned(folder: Path, scenario: str, episodes: int) -> tuple[Path, list[float]]:
    """A policy trained on so many episodes of the scripted player; returns its folder and the player's own rewards."""
    from protege.cloning import config
    from protege.cloning.train import train

    store, model = folder / "scripted.zarr", folder / "model"
    rewards = record(store, folder, scenario, episodes)
    places = (f"dataset.path={store}", f"training.checkpoint_dir={model}")
    train(config.load(None, [*places, *RECIPE]))
    return model, rewards
