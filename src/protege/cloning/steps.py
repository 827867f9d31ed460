"""One step of training and one of evaluation, each compiled once: data-parallel over all devices by sharding."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, NotRequired, Self, TypedDict, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from protege.cloning.augment import Mirror, Sample, augment, mirror
from protege.cloning.config import CloningConfig
from protege.cloning.goals import goal_table
from protege.cloning.layers import Inputs, Model, Shape
from protege.cloning.loader import Batch
from protege.cloning.losses import policy_loss
from protege.cloning.models import create_model
from protege.cloning.optim import optimizer
from protege.cloning.state import StateEncoder
from protege.core.actions import ActionSpace
from protege.core.files import Json
from protege.errors import UserError

HostArrays = Mapping[str, NDArray[np.generic]]
Arrays = Mapping[str, jax.Array]
"""A batch by the names of its arrays; `frames` stay uint8 until they are on the device."""


class State(NamedTuple):
    """Everything a training step changes.

    stats: running statistics of batch normalisation
    opt: state of the optimiser
    """

    step: jax.Array
    weights: nnx.State
    stats: nnx.State
    opt: optax.OptState


class SettingFields(TypedDict):
    """A `Setting` as JSON; space where the data set says one."""

    keys: list[str]
    goals: list[str]
    frame_size: list[int]
    state: Mapping[str, Json] | None
    space: NotRequired[Mapping[str, Json]]


@dataclass(frozen=True)
class Setting:
    """What the data set decides about a model, and a checkpoint keeps.

    keys: names of the A actions; with a mouse its bins are the last, those of yaw, then those of pitch
    goals: sentences, in the order of their indices
    frame_size: (height, width)
    state: how the game's state is encoded, None where it is not used
    space: of the actions, None where the data set has names alone
    """

    keys: tuple[str, ...]
    goals: tuple[str, ...]
    frame_size: tuple[int, int]
    state: StateEncoder | None = None
    space: ActionSpace | None = None

    @property
    def axes(self) -> tuple[slice, ...]:
        """The columns of each axis of the mouse; () without one."""
        if self.space is None or self.space.look is None:
            return ()
        keys, (yaw, pitch) = len(self.space.pressable), self.space.look.axes
        middle = keys + len(yaw.symbols)
        return slice(keys, middle), slice(middle, middle + len(pitch.symbols))

    @property
    def shape(self) -> Shape:
        state, goals = self.state, len(self.goals) + 1
        if state is None:
            return Shape(len(self.keys), self.frame_size, goals=goals)
        return Shape(len(self.keys), self.frame_size, state.num_features, state.vocabulary_sizes, goals)

    @property
    def mirror(self) -> Mirror:
        found = mirror(self.keys, self.state.mirrored if self.state else ())
        if not self.axes:
            return found
        yaw = self.axes[0]
        turned = range(yaw.stop - 1, yaw.start - 1, -1)
        return replace(found, actions=(*found.actions[: yaw.start], *turned, *range(yaw.stop, len(self.keys))))

    def to_json(self) -> SettingFields:
        fields: SettingFields = {
            "keys": list(self.keys),
            "goals": list(self.goals),
            "frame_size": list(self.frame_size),
            "state": self.state.to_json() if self.state else None,
        }
        if self.space is not None:
            fields["space"] = self.space.to_json()
        return fields

    @classmethod
    def from_json(cls, fields: SettingFields) -> Self:
        """The inverse of `to_json`. KeyError, TypeError or ValueError on anything else."""
        height, width = fields["frame_size"]
        state = StateEncoder.from_json(fields["state"]) if fields["state"] else None
        space = ActionSpace.from_json(fields["space"]) if "space" in fields else None
        return cls(tuple(fields["keys"]), tuple(fields["goals"]), (int(height), int(width)), state, space)


class Network:
    """A policy's structure, apart from its variables: initialises them, and runs them forward."""

    def __init__(self, config: CloningConfig, setting: Setting) -> None:
        self.config, self.setting = config, setting
        self.dtype = jnp.dtype(config.training.precision)
        abstract = nnx.eval_shape(lambda: self._make(jax.random.key(0)))
        self.graph, self.weights, self.stats = nnx.split(abstract, nnx.Param, ...)
        self._goals = goal_table(setting.goals) if config.model.goal == "sentence" else None

    def _make(self, key: jax.Array) -> Model:
        return create_model(self.config.model, self.setting.shape, rngs=nnx.Rngs(params=key), dtype=self.dtype)

    def init(self, key: jax.Array) -> tuple[nnx.State, nnx.State]:
        """New (weights, stats); to be called inside jit, where it takes a tenth of the time."""
        _, weights, stats = nnx.split(self._make(key), nnx.Param, ...)
        return weights, stats

    @property
    def num_weights(self) -> int:
        return count_weights(self.weights)

    def inputs(self, batch: Arrays, frames: jax.Array | None = None) -> Inputs:
        """What the policy sees of a batch on the device. frames: (B, T, 3, H, W), 0 to 255, instead of the batch's."""
        seen = batch["frames"] if frames is None else frames
        seen = seen.transpose(0, 1, 3, 4, 2).astype(self.dtype)
        if self.config.dataset.normalize_frames:
            seen = seen / 255
        history = self.config.model.action_history
        previous = batch["previous"]
        previous = previous[:, previous.shape[1] - history :]
        return Inputs(seen, previous, batch.get("state"), self._goal(batch["goal"]), batch.get("valid"))

    def _goal(self, goal: jax.Array) -> jax.Array | None:
        """The policy's input for (B,) goals of the data set, -1 for none, or for (B, W) word numbers."""
        if self.config.model.goal == "none":
            return None
        if goal.ndim == 2:
            return goal
        index = jnp.where(goal < 0, len(self.setting.goals), goal)
        return index if self._goals is None else jnp.asarray(self._goals)[index]

    def logits(self, weights: nnx.State, stats: nnx.State, inputs: Inputs) -> jax.Array:
        """(B, H, A) logits without dropout."""
        return nnx.merge(self.graph, weights, stats, copy=True)(inputs)

    def probabilities(self, weights: nnx.State, stats: nnx.State, batch: Arrays) -> jax.Array:
        """(B, H, A): of a key that it is held, of a bin of the mouse that it is the one of its axis."""
        logits = self.logits(weights, stats, self.inputs(batch))
        axes = self.setting.axes
        keys = nnx.sigmoid(logits[..., : axes[0].start] if axes else logits)
        return jnp.concatenate([keys, *(nnx.softmax(logits[..., axis], axis=-1) for axis in axes)], axis=-1)

    def train_logits(
        self, weights: nnx.State, stats: nnx.State, inputs: Inputs, key: jax.Array
    ) -> tuple[jax.Array, nnx.State]:
        """(B, H, A) logits with dropout, and the updated statistics."""
        model = nnx.merge(self.graph, weights, stats, copy=True)
        logits = model(inputs, train=True, rngs=nnx.Rngs(dropout=key))
        _, _, updated = nnx.split(model, nnx.Param, ...)
        return logits, updated


def count_weights(weights: nnx.State) -> int:
    """How many numbers are trained."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(weights))


def to_arrays(batch: Batch, setting: Setting) -> HostArrays:
    """What of a batch goes to the device: its state encoded, its rows in the cache left out."""
    arrays = {name: each for name, each in vars(batch).items() if name not in ("rows", "state")}
    if setting.state is not None and batch.state is not None:
        arrays["state"] = setting.state.encode(batch.state)
    return arrays


class Devices:
    """The devices that share each batch, and how arrays lie on them."""

    def __init__(self, number: int, batch_size: int) -> None:
        """number: 0 for all, of all hosts. UserError where there are fewer, they cannot share a batch evenly, or some
        host would have none.
        """
        there = jax.devices()
        if number > len(there):
            raise UserError(f"system.devices is {number}, but there are {len(there)}; use 0 for all")
        used = there[: number or len(there)]
        if batch_size % len(used):
            raise UserError(f"training.batch_size {batch_size} is not a multiple of {len(used)} devices")
        if len({device.process_index for device in used}) < jax.process_count():
            raise UserError(f"system.devices is {number}, which leaves whole hosts out; use 0 for all")
        mesh: Mesh = jax.make_mesh((len(used),), ("data",), (AxisType.Auto,), devices=used)
        self.split = NamedSharding(mesh, PartitionSpec("data"))
        self.same = NamedSharding(mesh, PartitionSpec())
        self.number = len(used)

    def place(self, arrays: HostArrays) -> Arrays:
        """Put arrays that every host has on the devices: rows are shared out, and each host puts its own."""
        return {
            name: jax.make_array_from_callback(each.shape, self.split, each.__getitem__)
            for name, each in arrays.items()
        }

    def ahead(self, batches: Iterable[Batch], setting: Setting, one_ahead: bool) -> Iterator[tuple[Batch, Arrays]]:
        """Batches with their arrays on the devices; one_ahead: the next one is on its way while one is used."""
        waiting: tuple[Batch, Arrays] | None = None
        for batch in batches:
            placed = batch, self.place(to_arrays(batch, setting))
            if not one_ahead:
                yield placed
                continue
            if waiting is not None:
                yield waiting
            waiting = placed
        if waiting is not None:
            yield waiting


@dataclass(frozen=True)
class Steps:
    """The compiled functions.

    init: a key -> State
    train: (State, batch) -> (State, numbers); donates the State, which must not be used again
    probabilities: (weights, stats, batch) -> (B, H, A)
    """

    init: Callable[[jax.Array], State]
    train: Callable[[State, Arrays], tuple[State, dict[str, jax.Array]]]
    probabilities: Callable[[nnx.State, nnx.State, Arrays], jax.Array]


def _quick() -> dict[str, int] | None:
    """Compiler options for what runs once: no optimisation, a quarter of the time. Only the CPU's compiler has them."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def make_steps(network: Network, devices: Devices, classes: NDArray[np.float32], batches: int) -> Steps:
    """classes: (A,) weights of the actions; batches: in an epoch."""
    config = network.config
    optim, sides = optimizer(config.training, batches), network.setting.mirror
    root = jax.random.key(config.system.seed)

    def init(key: jax.Array) -> State:
        made, stats = network.init(key)
        return State(jnp.zeros((), jnp.int32), made, stats, optim.init(made))

    def train(state: State, batch: Arrays) -> tuple[State, dict[str, jax.Array]]:
        drop, change = jax.random.split(jax.random.fold_in(root, state.step))
        plain = Sample(batch["frames"].astype(jnp.float32), batch["actions"], batch["previous"], batch.get("state"))
        sample = augment(change, plain, config.dataset.augment, sides)
        changed = {**batch, "previous": sample.previous}
        if sample.state is not None:
            changed["state"] = sample.state
        inputs = network.inputs(changed, sample.frames)

        def loss_of(made: nnx.State) -> tuple[jax.Array, nnx.State]:
            logits, stats = network.train_logits(made, state.stats, inputs, drop)
            total, share = policy_loss(
                logits,
                sample.actions,
                sample.previous[:, -1],
                batch["known"],
                jnp.asarray(classes),
                config.training.loss,
                config.training.label_smoothing,
                network.setting.axes,
            )
            return total / jnp.maximum(share, 1), stats

        (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights)
        updates, opt = optim.update(gradients, state.opt, state.weights)
        numbers = {"loss": loss}
        if config.logging.log_gradients:
            numbers["gradient_norm"] = optax.tree.norm(gradients)
        weights = cast(nnx.State, optax.apply_updates(state.weights, updates))
        return State(state.step + 1, weights, stats, opt), numbers

    def probabilities(made: nnx.State, stats: nnx.State, batch: Arrays) -> jax.Array:
        return network.probabilities(made, stats, batch)

    same, split = devices.same, devices.split
    return Steps(
        jax.jit(init, out_shardings=same, compiler_options=_quick()),
        jax.jit(train, in_shardings=(same, split), out_shardings=(same, same), donate_argnums=0),
        jax.jit(probabilities, in_shardings=(same, same, split), out_shardings=same),
    )
