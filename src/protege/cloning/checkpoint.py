"""Checkpoints of a run, through orbax, and the model's folder that playing and scoring load.

`<folder>/checkpoints/<step>/` holds `model` (weights and statistics), `optimizer` and `about` (configuration, names of
actions and goals, thresholds, scores); beside them lie `config.yaml` and `card.json`.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from numpy.typing import NDArray
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from protege.cloning.config import CloningConfig, from_fields
from protege.cloning.goals import goal_numbers
from protege.cloning.loader import Batch
from protege.cloning.state import StateEncoder
from protege.cloning.steps import Network, Setting, State, to_arrays
from protege.core.actions import KEYBOARD_12, NONE, ActionSpace
from protege.core.card import ModelCard
from protege.core.text import one_line
from protege.errors import UserError
from protege.learn.resume import damaged
from protege.settings import to_fields

CHECKPOINTS: Final = "checkpoints"


class Checkpoints:
    """Saves and restores; keeps the best, every n-th epoch's and the last n."""

    def __init__(self, folder: Path, config: CloningConfig, batches: int, place: Path | None = None) -> None:
        """folder: the model's; batches: in an epoch; place: where to save instead, to be moved there later."""
        options = config.training
        policy = keep.AnyPreservationPolicy(
            [
                keep.LatestN(options.keep_last_n_checkpoints),
                keep.EveryNSteps(options.save_every_n_epochs * batches),
                keep.BestN(get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False),
            ]
        )
        self._manager = _manager(place or folder / CHECKPOINTS, policy)

    def save(self, state: State, about: Mapping[str, Any], score: float | None) -> None:
        """Whole or not at all. about: JSON; score: of the validation episodes, higher is better, None where they were
        not judged.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(
            model=ocp.args.StandardSave(_flat((state.weights, state.stats))),
            optimizer=ocp.args.StandardSave(_flat((state.step, state.opt))),
            about=ocp.args.JsonSave(dict(about)),
        )
        self._manager.save(step, args=items, metrics={} if score is None else {"score": score})

    def latest(self) -> int | None:
        """The last step that was saved."""
        return self._manager.latest_step()

    def about(self, step: int) -> dict[str, Any]:
        return _about(self._manager, step)

    def restore(self, step: int, like: State, sharding: Any) -> State:
        """The state of a step, laid out as `like` (shapes are enough) on the devices of `sharding`."""
        weights, stats = _restore(self._manager, step, "model", (like.weights, like.stats), sharding)
        at, opt = _restore(self._manager, step, "optimizer", (like.step, like.opt), sharding)
        return State(at, weights, stats, opt)

    def close(self) -> None:
        self._manager.close()


@dataclass(frozen=True)
class Loaded:
    """A trained model, ready to be run. thresholds: (A,) probabilities from which an action is held; model: the network
    in evaluation mode; frame_hz: of the episodes; about: everything that was saved beside the weights.
    """

    model: nnx.Module
    config: CloningConfig
    setting: Setting
    thresholds: NDArray[np.float64]
    frame_hz: float
    about: Mapping[str, Any]
    _apply: Callable[[Mapping[str, Any]], jax.Array]

    @property
    def keys(self) -> tuple[str, ...]:
        return self.setting.keys

    @property
    def goals(self) -> tuple[str, ...]:
        return self.setting.goals

    def forward(self, batch: Batch) -> NDArray[np.float32]:
        """(B, H, A) probabilities of a batch of the loader; compiled once for each shape."""
        return np.asarray(self._apply(to_arrays(batch, self.setting)))

    def decide(
        self,
        frames: NDArray[np.uint8],
        previous: NDArray[np.floating],
        goal: str = "",
        state: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """(H, A) probabilities at one moment. frames: (T, 3, H, W), the newest last; previous: (K, A) actions before
        now; state: (S,) as the game gave it. UserError for a goal that the model cannot know.
        """
        known = goal_numbers(goal, self.goals, self.config.model.goal)
        arrays: dict[str, Any] = {
            "frames": frames[None],
            "previous": np.asarray(previous, np.float32)[None],
            "goal": np.full(1, -1, np.int32) if known is None else known,
        }
        if self.setting.state is not None:
            if state is None:
                raise UserError(f"model {self.config.model.name} was trained with the game's state, and there is none")
            arrays["state"] = self.setting.state.encode(state[None])
        return np.asarray(self._apply(arrays))[0]


def load_model(folder: Path | str) -> Loaded:
    """The best weights in a model's folder, or the last where none were judged. UserError if there are none."""
    folder = Path(folder)
    if not (folder / CHECKPOINTS).is_dir():
        raise UserError(f"{folder}: no {CHECKPOINTS} here; train a model with: protege clone train")
    manager = _manager(folder / CHECKPOINTS, None)
    try:
        step = best_step(manager)
        if step is None:
            raise UserError(f"{folder}: no finished checkpoint yet; train on with: protege clone train")
        about = _about(manager, step)
        config, setting, thresholds, frame_hz = parsed(about, folder / CHECKPOINTS / str(step))
        network = Network(config, setting)
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        weights, stats = _restore(manager, step, "model", (network.weights, network.stats), here)
    finally:
        manager.close()
    run = jax.jit(lambda weights, stats, batch: nnx.sigmoid(network.logits(weights, stats, network.inputs(batch))))
    return Loaded(
        nnx.merge(network.graph, weights, stats),
        config,
        setting,
        thresholds,
        frame_hz,
        about,
        functools.partial(run, weights, stats),
    )


def best_step(manager: ocp.CheckpointManager) -> int | None:
    """The step whose weights play: the best that was judged, else the last."""
    best = manager.best_step()
    return manager.latest_step() if best is None else best


def parsed(about: Mapping[str, Any], place: Path) -> tuple[CloningConfig, Setting, NDArray[np.float64], float]:
    """Configuration, setting, (A,) thresholds and frame rate that a checkpoint tells of; UserError if it cannot."""
    try:
        config, setting = from_fields(about["config"]), setting_from(about)
        thresholds = np.array([float(about["thresholds"][key]) for key in setting.keys])
        frame_hz = float(about["frame_hz"])
        named = [name for part in ("train", "validation", "test") for name in about["splits"][part]]
        if not all(isinstance(name, str) for name in (*setting.keys, *setting.goals, *named)):
            raise TypeError("names of actions, goals and episodes are texts")
        if not (0 < frame_hz < 10_000 and all(0 < size <= 16_384 for size in setting.frame_size)):
            raise ValueError(f"frames of {setting.frame_size} at {frame_hz} Hz cannot be")
        return config, setting, thresholds, frame_hz
    except (UserError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise damaged(place, one_line(repr(error), 160)) from None


def load_weights(folder: Path, like: State, sharding: Any) -> tuple[State, dict[str, Any]]:
    """The best weights of a model's folder in a state that has learned nothing else, and what was saved of them."""
    manager = _manager(folder / CHECKPOINTS, None)
    try:
        step = best_step(manager)
        assert step is not None, "a run that is gone on from has a checkpoint"
        weights, stats = _restore(manager, step, "model", (like.weights, like.stats), sharding)
        return State(like.step, weights, stats, like.opt), _about(manager, step)
    finally:
        manager.close()


def last_about(folder: Path) -> dict[str, Any] | None:
    """What the last checkpoint of a model's folder says of itself; None where there is none. Changes nothing."""
    if not (folder / CHECKPOINTS).is_dir():
        return None
    manager = _manager(folder / CHECKPOINTS, None)
    try:
        step = manager.latest_step()
        return None if step is None else _about(manager, step)
    finally:
        manager.close()


def setting_to(setting: Setting) -> dict[str, Any]:
    """What `setting_from` reads, as JSON."""
    return {
        "keys": list(setting.keys),
        "goals": list(setting.goals),
        "frame_size": list(setting.frame_size),
        "state": setting.state.to_json() if setting.state else None,
    }


def setting_from(about: Mapping[str, Any]) -> Setting:
    height, width = about["frame_size"]
    state = StateEncoder.from_json(about["state"]) if about["state"] else None
    return Setting(tuple(about["keys"]), tuple(about["goals"]), (int(height), int(width)), state)


def make_card(config: CloningConfig, setting: Setting, frame_hz: float) -> ModelCard:
    """The card that says what the model was made for."""
    height, width = setting.frame_size
    return ModelCard(
        kind="cloning",
        base_model="",
        space=space_of(setting.keys),
        horizon=config.model.horizon,
        frame_size=(width, height),
        frame_hz=frame_hz,
        chords=True,
        config=to_fields(config),
    )


def space_of(keys: tuple[str, ...]) -> ActionSpace:
    """The keyboard where all actions are its keys, else a space of the data set's own."""
    if set(keys) <= set(KEYBOARD_12.keys):
        return KEYBOARD_12
    names = tuple(key.lower().replace("+", "_") for key in keys if key.lower() != NONE)
    return ActionSpace("CLONING", (*names, NONE))


def _score(metrics: Mapping[str, float]) -> float:
    """What was not judged is worse than anything that was."""
    return float(metrics.get("score", -math.inf))


def _manager(place: Path, policy: Any) -> ocp.CheckpointManager:
    """place: the folder of checkpoints; policy: what to keep, None to read only.

    Synchronous, since a step reuses the memory of its state.
    """
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policy,
        best_fn=_score,
        create=policy is not None,
        enable_async_checkpointing=False,
        cleanup_tmp_directories=policy is not None,
    )
    return ocp.CheckpointManager(place.resolve(), options=options)


def _about(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    found = _item(manager, step, "about", ocp.args.JsonRestore())
    if not isinstance(found, dict):
        raise damaged(Path(manager.directory) / str(step), f"about is a {type(found).__name__}")
    return found


def _restore(manager: ocp.CheckpointManager, step: int, item: str, like: Any, sharding: Any) -> Any:
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding) for name, leaf in _flat(like).items()
    }
    found = _item(manager, step, item, ocp.args.StandardRestore(wanted))
    return jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in wanted])


def _item(manager: ocp.CheckpointManager, step: int, item: str, args: Any) -> Any:
    """UserError where the checkpoint is of another model, or not whole."""
    try:
        return manager.restore(step, args=ocp.args.Composite(**{item: args}))[item]
    except Exception as error:  # what is damaged can make the libraries below raise anything
        reason = one_line((str(error).splitlines() or [repr(error)])[0], 160)
        raise damaged(
            Path(manager.directory) / str(step), f"{item} is not a checkpoint of this model: {reason}"
        ) from error


def _flat(tree: Any) -> dict[str, Any]:
    """Leaves by the name of their path: plain names, which no version of a library owns."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }
