"""One step of training and one of evaluation, each compiled once: data-parallel over all devices by sharding."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from protege.cloning.layers import Inputs, Shape
from protege.cloning.loader import Batch
from protege.cloning.losses import action_loss
from protege.cloning.models import create_model
from protege.cloning.optim import optimizer
from protege.cloning.state import StateEncoder
from protege.errors import UserError

Arrays = dict[str, Any]


class State(NamedTuple):
    """Everything a step changes. stats: of batch normalisation."""

    step: jax.Array
    weights: Any
    stats: Any
    opt: Any


@dataclass(frozen=True)
class Setting:
    """What the data set decides: names and goals of actions, sizes, how state is encoded (None: not used)."""

    keys: tuple[str, ...]
    goals: tuple[str, ...]
    frame_size: tuple[int, int]
    state: StateEncoder | None = None

    @property
    def shape(self) -> Shape:
        state, goals = self.state, len(self.goals) + 1
        if state is None:
            return Shape(len(self.keys), self.frame_size, goals=goals)
        return Shape(len(self.keys), self.frame_size, state.num_features, state.vocabulary_sizes, goals)

    @property
    def mirror(self) -> Mirror:
        return mirror(self.keys, self.state.mirrored if self.state else ())


class Network:
    """A model's structure and what is done with its variables: made anew, run forward."""

    def __init__(self, config: CloningConfig, setting: Setting) -> None:
        self.config, self.setting = config, setting
        self.dtype = jnp.dtype(config.training.precision)
        abstract = nnx.eval_shape(lambda: self._make(jax.random.key(0)))
        self.graph, self.weights, self.stats = nnx.split(abstract, nnx.Param, ...)
        self._goals = goal_table(setting.goals) if config.model.goal == "sentence" else None

    def _make(self, key: jax.Array) -> nnx.Module:
        return create_model(self.config.model, self.setting.shape, rngs=nnx.Rngs(params=key), dtype=self.dtype)

    def init(self, key: jax.Array) -> tuple[Any, Any]:
        """Fresh (weights, stats); to be called inside jit, where it takes a tenth of the time."""
        _, weights, stats = nnx.split(self._make(key), nnx.Param, ...)
        return weights, stats

    @property
    def num_weights(self) -> int:
        return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(self.weights))

    def inputs(self, batch: Arrays, frames: jax.Array | None = None) -> Inputs:
        """What the model sees of a batch on the device; frames: (B, T, 3, H, W), 0 to 255, instead of its own."""
        seen: jax.Array = batch["frames"] if frames is None else frames
        seen = seen.transpose(0, 1, 3, 4, 2).astype(self.dtype)
        if self.config.dataset.normalize_frames:
            seen = seen / 255
        history = self.config.model.action_history
        previous = batch["previous"]
        previous = previous[:, previous.shape[1] - history :]
        return Inputs(seen, previous, batch.get("state"), self._goal(batch["goal"]), batch.get("valid"))

    def _goal(self, goal: jax.Array) -> jax.Array | None:
        """Goals of the data set, -1 for none, or (B, W) word numbers as they are, as the model takes them."""
        if self.config.model.goal == "none":
            return None
        if goal.ndim == 2:
            return goal
        index = jnp.where(goal < 0, len(self.setting.goals), goal)
        return index if self._goals is None else jnp.asarray(self._goals)[index]

    def logits(self, weights: Any, stats: Any, inputs: Inputs) -> jax.Array:
        """(B, H, A) without dropout."""
        return nnx.merge(self.graph, weights, stats, copy=True)(inputs)

    def train_logits(self, weights: Any, stats: Any, inputs: Inputs, key: jax.Array) -> tuple[jax.Array, Any]:
        """(B, H, A) with dropout, and the statistics that came of it."""
        model = nnx.merge(self.graph, weights, stats, copy=True)
        logits = model(inputs, train=True, rngs=nnx.Rngs(dropout=key))
        return logits, nnx.split(model, nnx.Param, ...)[2]


def to_arrays(batch: Batch, setting: Setting) -> Arrays:
    """What of a batch goes to the device: frames stay uint8."""
    arrays: Arrays = {
        name: getattr(batch, name) for name in ("frames", "actions", "previous", "goal", "valid", "known")
    }
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

    def place(self, arrays: Arrays) -> Arrays:
        """Arrays that every host has, on the devices: rows shared out, each host's own put there by itself."""
        return {
            name: jax.make_array_from_callback(each.shape, self.split, each.__getitem__)
            for name, each in arrays.items()
        }

    def ahead(self, batches: Iterable[Batch], setting: Setting, one_ahead: bool) -> Iterator[tuple[Batch, Arrays]]:
        """Batches and their arrays on the devices, rows shared out; the next one on its way while one is used."""
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
    """The compiled functions. init: a key -> State; train: (State, batch) -> (State, numbers), which uses its State
    up; probabilities: (weights, stats, batch) -> (B, H, A).
    """

    init: Callable[[jax.Array], State]
    train: Callable[[State, Arrays], tuple[State, dict[str, jax.Array]]]
    probabilities: Callable[[Any, Any, Arrays], jax.Array]


def _quick() -> dict[str, Any] | None:
    """For what runs once: compiled as it stands, in a quarter of the time. Only the CPU's compiler has the option."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def make_steps(network: Network, devices: Devices, weights: NDArray[np.float32], batches: int) -> Steps:
    """weights: (A,) of the classes; batches: in an epoch."""
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

        def loss_of(made: Any) -> tuple[jax.Array, Any]:
            logits, stats = network.train_logits(made, state.stats, inputs, drop)
            total, share = action_loss(
                logits,
                sample.actions,
                sample.previous[:, -1],
                batch["known"],
                jnp.asarray(weights),
                config.training.loss,
                config.training.label_smoothing,
            )
            return total / jnp.maximum(share, 1), stats

        (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights)
        updates, opt = optim.update(gradients, state.opt, state.weights)
        numbers = {"loss": loss}
        if config.logging.log_gradients:
            numbers["gradient_norm"] = optax.tree.norm(gradients)
        return State(state.step + 1, optax.apply_updates(state.weights, updates), stats, opt), numbers

    def probabilities(made: Any, stats: Any, batch: Arrays) -> jax.Array:
        return nnx.sigmoid(network.logits(made, stats, network.inputs(batch)))

    same, split = devices.same, devices.split
    return Steps(
        jax.jit(init, out_shardings=same, compiler_options=_quick()),
        jax.jit(train, in_shardings=(same, split), out_shardings=(same, same), donate_argnums=0),
        jax.jit(probabilities, in_shardings=(same, same, split), out_shardings=same),
    )
