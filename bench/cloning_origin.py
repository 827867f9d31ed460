"""The way our origin loaded zarr episodes, trained on them and decided, told again to measure ourselves against.

Loading: for every sample the store's groups and arrays are opened anew, one frame and one row are read, and the frame
becomes float32 on the host; a batch is a Python list that is stacked. Training: a network of flax.linen, initialised
without jit on a whole batch; a jitted step on float32 pictures, whose loss is fetched before the next batch is loaded.
Deciding: the network is applied to one picture without jit. Usage: python bench/cloning_origin.py STORE
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import zarr
from flax import linen as nn
from flax.training.train_state import TrainState as LinenState
from numpy.typing import NDArray


class OriginDataset:
    """Samples by number, over all frames of all episodes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        root: Any = zarr.open_group(path, mode="r")
        self.index = [(name, i) for name in sorted(root.group_keys()) for i in range(root[name]["actions"].shape[0])]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> dict[str, Any]:
        name, i = self.index[number]
        episode: Any = zarr.open_group(self.path, mode="r")[name]
        frame = episode["frames"][i].astype(np.float32) / 255.0
        return {"frames": frame, "actions": episode["actions"][i].astype(np.float32)}


def batches(dataset: OriginDataset, size: int = 32, seed: int = 0) -> Iterator[dict[str, Any]]:
    """One shuffled epoch; the last batch is as small as it comes."""
    order = np.arange(len(dataset))
    np.random.default_rng(seed).shuffle(order)
    for start in range(0, len(order), size):
        items = [dataset[int(i)] for i in order[start : start + size]]
        yield {name: np.stack([item[name] for item in items]) for name in items[0]}


def epoch(path: Path, size: int = 32) -> int:
    """Go through all samples once; returns how many there were."""
    return sum(len(batch["frames"]) for batch in batches(OriginDataset(path), size))


class PureCnn(nn.Module):
    """(B, H, W, 3) float32, 0 to 1, -> (B, A) logits; all convolutions but the last have stride 2."""

    actions: int
    conv_features: tuple[int, ...] = (32, 64, 128, 256)
    dense_features: tuple[int, ...] = (512, 256)
    dropout_rate: float = 0.1

    @nn.compact
    def __call__(self, x: jax.Array, training: bool = False) -> jax.Array:
        for i, features in enumerate(self.conv_features):
            stride = 1 if i == len(self.conv_features) - 1 else 2
            x = nn.Conv(features, (3, 3), strides=(stride, stride), padding="SAME")(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not training)(x))
        x = x.mean(axis=(1, 2))
        for features in self.dense_features:
            x = nn.relu(nn.BatchNorm(use_running_average=not training)(nn.Dense(features)(x)))
            x = nn.Dropout(self.dropout_rate, deterministic=not training)(x)
        return nn.Dense(self.actions)(x)


class TrainState(LinenState):
    """With the statistics of batch normalisation."""

    batch_stats: Any


def create_state(actions: int, shape: tuple[int, int, int, int]) -> TrainState:
    """Fresh weights, made without jit on zeros of a batch's shape (B, H, W, 3)."""
    model = PureCnn(actions)
    variables = model.init(jax.random.key(0), jnp.zeros(shape), training=False)
    optimizer = optax.adamw(1e-4, weight_decay=1e-4)
    return TrainState.create(
        apply_fn=model.apply, params=variables["params"], tx=optimizer, batch_stats=variables["batch_stats"]
    )


@jax.jit
def train_step(
    state: TrainState, frames: jax.Array, actions: jax.Array, weights: jax.Array, key: jax.Array
) -> tuple[TrainState, jax.Array]:
    """frames: (B, H, W, 3); actions: (B, A); weights: (A,) of the classes. The new state and the loss."""

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        logits, changed = state.apply_fn(
            {"params": params, "batch_stats": state.batch_stats},
            frames,
            training=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.fold_in(key, state.step)},
        )
        return (optax.sigmoid_binary_cross_entropy(logits, actions) * weights).mean(), changed["batch_stats"]

    (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    return state.apply_gradients(grads=gradients, batch_stats=stats), loss


def train(path: Path, size: int = 32) -> Iterator[float]:
    """The loss of each step, epoch after epoch without end."""
    dataset = OriginDataset(path)
    channels, height, width = dataset[0]["frames"].shape
    weights = jnp.ones(len(dataset[0]["actions"]))
    state = create_state(len(weights), (size, height, width, channels))
    for number in itertools.count():
        for batch in batches(dataset, size, number):
            frames = jnp.asarray(batch["frames"].transpose(0, 2, 3, 1))
            state, loss = train_step(state, frames, jnp.asarray(batch["actions"]), weights, jax.random.key(1))
            yield float(loss)


def decide(state: TrainState, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(A,) probabilities for one picture (H, W, 3)."""
    frames = jnp.asarray(rgb.astype(np.float32) / 255.0)[None]
    logits = state.apply_fn({"params": state.params, "batch_stats": state.batch_stats}, frames, training=False)
    return np.asarray(nn.sigmoid(logits))[0]


if __name__ == "__main__":
    print(epoch(Path(sys.argv[1])))
