"""Checkpoints of a run, through orbax, and the model's folder that playing and scoring load.

`<folder>/checkpoints/<step>/` holds `model` (weights and statistics), `optimizer` and `about` (configuration, names of
actions and goals, thresholds, scores); beside them lie `config.yaml` and `card.json`.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NotRequired, TypeVar, cast

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from numpy.typing import NDArray
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from protege.cloning.config import CloningConfig, from_fields
from protege.cloning.goals import goal_numbers
from protege.cloning.loader import Batch
from protege.cloning.steps import HostArrays, Network, Setting, SettingFields, State, count_weights, to_arrays
from protege.core.actions import KEYBOARD_12, NONE, ActionSpace
from protege.core.card import ModelCard
from protege.core.files import Json
from protege.core.text import one_line
from protege.errors import UserError
from protege.learn.resume import damaged
from protege.settings import to_fields

T = TypeVar("T")

CHECKPOINTS: Final = "checkpoints"


class About(SettingFields):
    """What is saved beside a checkpoint's weights, as JSON; what is not required, earlier versions did not write.

    config: the whole configuration
    frame_hz: frames per second of the episodes
    thresholds: by action, the probability from which it is held
    splits: names of the episodes to train, to validate and to test on
    identities, frames: by an episode's name, a hash of its content and its length
    run, new, runs: the run's identity, its samples that the run before did not have, and the runs before it
    step: steps done
    best: the best score so far, None before the first
    stale: evaluations since then
    scores: of the validation episodes, missing where these weights were not judged
    """

    config: Mapping[str, Json]
    frame_hz: float
    thresholds: dict[str, float]
    splits: dict[str, list[str]]
    identities: NotRequired[dict[str, str]]
    frames: NotRequired[dict[str, int]]
    run: NotRequired[str]
    new: NotRequired[int]
    runs: NotRequired[list[Mapping[str, Json]]]
    step: NotRequired[int]
    best: NotRequired[float | None]
    stale: NotRequired[int]
    scores: NotRequired[dict[str, Any]]


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

    def save(self, state: State, about: About, score: float | None) -> None:
        """Save a step, whole or not at all. score: of the validation episodes, higher is better, None if not judged."""
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

    def about(self, step: int) -> About:
        return _about(self._manager, step)

    def restore(self, step: int, like: State, sharding: jax.sharding.Sharding) -> State:
        """The state of a step, laid out as `like` (shapes are enough) on the devices of `sharding`."""
        weights, stats = _restore(self._manager, step, "model", (like.weights, like.stats), sharding)
        at, opt = _restore(self._manager, step, "optimizer", (like.step, like.opt), sharding)
        return State(at, weights, stats, opt)

    def close(self) -> None:
        self._manager.close()


@dataclass(frozen=True)
class Loaded:
    """A trained policy, ready to be run.

    model: the network in evaluation mode
    thresholds: (A,) probabilities from which an action is held
    frame_hz: frames per second of the episodes
    about: everything that was saved beside the weights
    """

    model: nnx.Module
    config: CloningConfig
    setting: Setting
    thresholds: NDArray[np.float64]
    frame_hz: float
    about: About
    _apply: Callable[[HostArrays], jax.Array]

    @property
    def keys(self) -> tuple[str, ...]:
        return self.setting.keys

    @property
    def goals(self) -> tuple[str, ...]:
        return self.setting.goals

    @property
    def num_weights(self) -> int:
        return count_weights(nnx.state(self.model, nnx.Param))

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
        arrays = {
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
    with _reading(folder) as manager:
        step = _best_step(manager)
        if step is None:
            raise UserError(f"{folder}: no finished checkpoint yet; train on with: protege clone train")
        about = _about(manager, step)
        config, setting, thresholds, frame_hz = parsed(about, folder / CHECKPOINTS / str(step))
        network = Network(config, setting)
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        weights, stats = _restore(manager, step, "model", (network.weights, network.stats), here)
    run = jax.jit(network.probabilities)
    return Loaded(
        nnx.merge(network.graph, weights, stats),
        config,
        setting,
        thresholds,
        frame_hz,
        about,
        functools.partial(run, weights, stats),
    )


def parsed(about: About, place: Path) -> tuple[CloningConfig, Setting, NDArray[np.float64], float]:
    """A checkpoint's configuration, setting, (A,) thresholds and frame rate; UserError if they are not as saved.

    place: of the checkpoint, for the error.
    """
    try:
        config, setting = from_fields(about["config"]), Setting.from_json(about)
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


def load_weights(folder: Path, like: State, sharding: jax.sharding.Sharding) -> tuple[State, About]:
    """The best weights of a model's folder in a new state (a new optimiser, step 0), and what was saved beside them."""
    with _reading(folder) as manager:
        step = _best_step(manager)
        assert step is not None, "a run that is resumed has a checkpoint"
        weights, stats = _restore(manager, step, "model", (like.weights, like.stats), sharding)
        return State(like.step, weights, stats, like.opt), _about(manager, step)


def last_about(folder: Path) -> About | None:
    """What is saved beside the last checkpoint of a model's folder; None where there is none. Changes nothing."""
    if not (folder / CHECKPOINTS).is_dir():
        return None
    with _reading(folder) as manager:
        step = manager.latest_step()
        return None if step is None else _about(manager, step)


def make_card(config: CloningConfig, setting: Setting, frame_hz: float) -> ModelCard:
    """The model's card: what it was trained for."""
    height, width = setting.frame_size
    return ModelCard(
        kind="cloning",
        base_model="",
        space=space_of(setting),
        horizon=config.model.horizon,
        frame_size=(width, height),
        frame_hz=frame_hz,
        chords=True,
        config=to_fields(config),
    )


def space_of(setting: Setting) -> ActionSpace:
    """The space that the data set says; else the keyboard where the actions are its twelve keys, or a space of their
    own.
    """
    if setting.space is not None:
        return setting.space
    names = tuple(key.lower().replace("+", "_") for key in setting.keys if key.lower() != NONE)
    if set(names) == set(KEYBOARD_12.pressable):
        return KEYBOARD_12
    movement, camera = (keys & frozenset(names) for keys in (KEYBOARD_12.movement, KEYBOARD_12.camera))
    return ActionSpace("CLONING", (*names, NONE), movement, camera)


def _score(metrics: Mapping[str, float]) -> float:
    """Weights that were not judged are worse than any that were."""
    return float(metrics.get("score", -math.inf))


@contextmanager
def _reading(folder: Path) -> Iterator[ocp.CheckpointManager]:
    """The checkpoints of a model's folder, to be read only."""
    manager = _manager(folder / CHECKPOINTS, None)
    try:
        yield manager
    finally:
        manager.close()


def _best_step(manager: ocp.CheckpointManager) -> int | None:
    """The step whose weights play: the best that was judged, else the last."""
    best = manager.best_step()
    return manager.latest_step() if best is None else best


def _manager(place: Path, policy: keep.PreservationPolicy | None) -> ocp.CheckpointManager:
    """place: the folder of checkpoints; policy: what to keep, None to read only."""
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policy,
        best_fn=_score,
        create=policy is not None,
        enable_async_checkpointing=False,  # the next step reuses the memory of the state that is being saved
        cleanup_tmp_directories=policy is not None,
    )
    return ocp.CheckpointManager(place.resolve(), options=options)


def _about(manager: ocp.CheckpointManager, step: int) -> About:
    found = _item(manager, step, "about", ocp.args.JsonRestore())
    if not isinstance(found, dict):
        raise damaged(Path(manager.directory) / str(step), f"about is a {type(found).__name__}")
    return cast(About, found)  # `parsed` checks what is in it


def _restore(manager: ocp.CheckpointManager, step: int, item: str, like: T, sharding: jax.sharding.Sharding) -> T:
    """An item of a checkpoint, laid out as `like` (shapes are enough) on the devices of `sharding`."""
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding) for name, leaf in _flat(like).items()
    }
    found = cast(Mapping[str, jax.Array], _item(manager, step, item, ocp.args.StandardRestore(wanted)))
    return jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in wanted])


def _item(manager: ocp.CheckpointManager, step: int, item: str, args: ocp.args.CheckpointArgs) -> object:
    """One item of a checkpoint; UserError where it is another model's, or damaged."""
    try:
        return manager.restore(step, args=ocp.args.Composite(**{item: args}))[item]
    except Exception as error:  # what is damaged can make the libraries below raise anything
        reason = one_line((str(error).splitlines() or [repr(error)])[0], 160)
        raise damaged(
            Path(manager.directory) / str(step), f"{item} is not a checkpoint of this model: {reason}"
        ) from error


def _flat(tree: object) -> dict[str, jax.Array]:
    """Leaves by the names of their paths, which a new version of a library does not change."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }
