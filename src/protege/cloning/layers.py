"""Building blocks of the policies in Flax NNX: encoders of frames and goals, transformer blocks, the head."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.convs import conv
from protege.cloning.goals import BUCKETS
from protege.cloning.models.base import ConvOptions, EncoderOptions, ModelConfig

Array = jax.Array


class Inputs(NamedTuple):
    """The inputs of a policy.

    frames: (B, T, H, W, 3) float, newest last
    previous: (B, K, A) float, actions before now, newest last
    state: (B, S) float, its last columns indices of animations; None where it is not used
    goal: (B,) indices or (B, W) word numbers, None for a policy without goals
    valid: (B,) bool, False for rows that only pad a batch; None when all are real
    """

    frames: Array
    previous: Array
    state: Array | None = None
    goal: Array | None = None
    valid: Array | None = None


@dataclass(frozen=True)
class Shape:
    """The sizes that a data set decides.

    actions: A
    frame_size: (height, width)
    state: S columns, 0 without
    animations: vocabulary sizes of the last columns of the state
    goals: how many there are
    """

    actions: int
    frame_size: tuple[int, int]
    state: int = 0
    animations: tuple[int, ...] = ()
    goals: int = 1


class Norm(nnx.Module):
    """Batch normalisation of (N, …, C) without padding rows; the identity where `use` is false."""

    def __init__(self, features: int, use: bool, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.norm = nnx.BatchNorm(features, momentum=0.9, dtype=dtype, rngs=rngs) if use else None

    def __call__(self, x: Array, train: bool, valid: Array | None) -> Array:
        norm = self.norm
        if norm is None or not train or valid is None:
            return x if norm is None else norm(x, use_running_average=not train)
        assert norm.scale is not None
        assert norm.bias is not None
        mean, variance = moments(x, valid)
        for kept, found in ((norm.mean, mean), (norm.var, variance)):
            kept[...] = norm.momentum * kept[...] + (1 - norm.momentum) * found
        scale = norm.scale[...] * jax.lax.rsqrt(variance + norm.epsilon)
        shift = norm.bias[...] - mean * scale
        return x * scale.astype(x.dtype) + shift.astype(x.dtype)


def moments(x: Array, valid: Array) -> tuple[Array, Array]:
    """Mean and variance (C,), float32, of (B * T, …, C) over the valid (B,) rows.

    Masks the sums of rows rather than every number, as flax does: a forward pass on a CPU is a third shorter.
    """
    within = tuple(range(1, x.ndim - 1))
    x = x.astype(jnp.float32)
    there = jnp.repeat(valid, x.shape[0] // valid.shape[0])[:, None]
    number = jnp.maximum(there.sum(), 1) * (x[0].size // x.shape[-1])
    mean, square = ((sums * there).sum(0) / number for sums in (x.sum(within), jnp.square(x).sum(within)))
    return mean, jnp.maximum(square - jnp.square(mean), 0)


class Film(nnx.Module):
    """Scales and shifts channels by a goal (Perez et al. 2018, FiLM); starts as the identity."""

    def __init__(self, goal: int, features: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        zeros = nnx.initializers.zeros
        self.linear = nnx.Linear(goal, 2 * features, kernel_init=zeros, dtype=dtype, rngs=rngs)

    def __call__(self, x: Array, goal: Array) -> Array:
        """x: (B * T, …, C); goal: (B, G)."""
        both = jnp.repeat(self.linear(goal), x.shape[0] // goal.shape[0], axis=0)
        scale, shift = jnp.split(both.reshape(x.shape[0], *[1] * (x.ndim - 2), -1), 2, axis=-1)
        return x * (1 + scale) + shift


class ConvBlock(nnx.Module):
    """3x3 convolution, normalisation, the goal's scale and shift, ReLU."""

    def __init__(
        self, inputs: int, features: int, stride: int, norm: bool, goal: int, *, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        self.conv = nnx.Conv(inputs, features, (3, 3), stride, dtype=dtype, conv_general_dilated=conv, rngs=rngs)
        self.norm = Norm(features, norm, rngs=rngs, dtype=dtype)
        self.film = Film(goal, features, rngs=rngs, dtype=dtype) if goal else None

    def __call__(self, x: Array, goal: Array | None, train: bool, valid: Array | None) -> Array:
        x = self.norm(self.conv(x), train, valid)
        if self.film is not None and goal is not None:
            x = self.film(x, goal)
        return nnx.relu(x)


class Encoder(nnx.Module):
    """Frames to features. All frames of a window go through at once, so that statistics are updated once a step."""

    def __init__(
        self, config: EncoderOptions, *, rngs: nnx.Rngs, dtype: DTypeLike, channels: int = 3, pool: str = "mean"
    ) -> None:
        widths = config.conv_features
        goal = goal_width(config)
        self.pool = pool
        self.blocks = nnx.List(
            ConvBlock(a, b, 1 if i == len(widths) - 1 else 2, config.use_batch_norm, goal, rngs=rngs, dtype=dtype)
            for i, (a, b) in enumerate(zip((channels, *widths[:-1]), widths, strict=True))
        )
        self.features = widths[-1] * (2 if pool == "keypoints" else 1)

    def maps(self, frames: Array, goal: Array | None, train: bool, valid: Array | None) -> Array:
        """(N, H, W, 3) -> (N, h, w, C)."""
        for block in self.blocks:
            frames = block(frames, goal, train, valid)
        return frames

    def __call__(self, frames: Array, goal: Array | None, train: bool, valid: Array | None) -> Array:
        """(B, T, H, W, 3) -> (B, T, F)."""
        batch, time = frames.shape[:2]
        maps = self.maps(frames.reshape(-1, *frames.shape[2:]), goal, train, valid)
        return pooled(maps, self.pool).reshape(batch, time, -1)


def pooled(maps: Array, pool: str) -> Array:
    """(N, h, w, C) -> (N, C) by mean, or (N, 2 C): the expected x and y, from -1 to 1, of each channel's softmax."""
    if pool == "mean":
        return maps.mean((1, 2))
    number, height, width, channels = maps.shape
    weights = nnx.softmax(maps.reshape(number, height * width, channels).astype(jnp.float32), axis=1)
    x = jnp.tile(jnp.linspace(-1, 1, width), height)
    y = jnp.repeat(jnp.linspace(-1, 1, height), width)
    found = jnp.einsum("npc,pk->nck", weights, jnp.stack([x, y], axis=1))
    return found.reshape(number, 2 * channels).astype(maps.dtype)


def goal_width(config: ModelConfig) -> int:
    return 0 if config.goal == "none" else config.goal_features


class GoalEncoder(nnx.Module):
    """Embeds a goal's index, or the mean of its words."""

    def __init__(self, config: ModelConfig, goals: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.words = config.goal == "sentence"
        self.embed = nnx.Embed(BUCKETS if self.words else goals, config.goal_features, dtype=dtype, rngs=rngs)
        self.linear = nnx.Linear(config.goal_features, config.goal_features, dtype=dtype, rngs=rngs)

    def __call__(self, goal: Array | None) -> Array:
        """(B,) or (B, W) -> (B, G)."""
        assert goal is not None, "a model with a goal is given one"
        found = self.embed(goal)
        if self.words:
            there = (goal > 0)[..., None]
            found = (found * there).sum(1) / jnp.maximum(there.sum(1), 1)
        return nnx.relu(self.linear(found))


class Model(nnx.Module):
    """A policy's network. goal: the encoder of its goal, None where `model.goal` is "none"."""

    def __init__(self, config: ModelConfig, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.goal = None if config.goal == "none" else GoalEncoder(config, shape.goals, rngs=rngs, dtype=dtype)

    def encode_goal(self, inputs: Inputs) -> Array | None:
        """(B, G) goals, or None."""
        return None if self.goal is None else self.goal(inputs.goal)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        """(B, H, A) float32 logits. train: with dropout, for which rngs are needed, and statistics of this batch."""
        raise NotImplementedError


class Head(nnx.Module):
    """Dense layers with dropout, then the logits of H actions."""

    def __init__(self, inputs: int, config: ConvOptions, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        widths = (inputs + goal_width(config), *config.dense_features)
        self.layers = nnx.List(nnx.Linear(a, b, dtype=dtype, rngs=rngs) for a, b in pairwise(widths))
        self.norms = nnx.List(Norm(b, config.use_batch_norm, rngs=rngs, dtype=dtype) for b in widths[1:])
        self.dropout = nnx.Dropout(config.dropout_rate)
        self.out = nnx.Linear(widths[-1], config.horizon * shape.actions, dtype=dtype, rngs=rngs)
        self.horizon = config.horizon

    def __call__(self, x: Array, goal: Array | None, train: bool, valid: Array | None, rngs: nnx.Rngs | None) -> Array:
        """(B, F) and (B, G) or None -> (B, H, A) float32."""
        x = x if goal is None else jnp.concatenate([x, goal.astype(x.dtype)], axis=-1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.dropout(nnx.relu(norm(layer(x), train, valid)), deterministic=not train, rngs=rngs)
        return self.out(x).astype(jnp.float32).reshape(x.shape[0], self.horizon, -1)


class Mlp(nnx.Module):
    """Dense layers, each followed by ReLU."""

    def __init__(self, inputs: int, widths: Sequence[int], *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        sizes = (inputs, *widths)
        self.layers = nnx.List(nnx.Linear(a, b, dtype=dtype, rngs=rngs) for a, b in pairwise(sizes))

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return x


class Attention(nnx.Module):
    """A pre-normalised transformer block; with `memory` it also looks at other tokens."""

    def __init__(
        self, width: int, heads: int, dropout: float, *, rngs: nnx.Rngs, dtype: DTypeLike, memory: bool = False
    ) -> None:
        def attend() -> nnx.MultiHeadAttention:
            return nnx.MultiHeadAttention(heads, width, decode=False, keep_rngs=False, dtype=dtype, rngs=rngs)

        self.attend, self.cross = attend(), attend() if memory else None
        self.norms = nnx.List(nnx.LayerNorm(width, dtype=dtype, rngs=rngs) for _ in range(3 if memory else 2))
        self.up = nnx.Linear(width, 4 * width, dtype=dtype, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, dtype=dtype, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)

    def __call__(
        self,
        x: Array,
        train: bool,
        rngs: nnx.Rngs | None,
        memory: Array | None = None,
        mask: Array | None = None,
    ) -> Array:
        """(B, N, width) -> (B, N, width)."""

        def drop(y: Array) -> Array:
            return self.dropout(y, deterministic=not train, rngs=rngs)

        x = x + drop(self.attend(self.norms[0](x), mask=mask))
        if self.cross is not None and memory is not None:
            x = x + drop(self.cross(self.norms[2](x), memory))
        return x + drop(self.down(nnx.gelu(self.up(self.norms[1](x)))))


def positions(number: int, width: int, rngs: nnx.Rngs) -> nnx.Param:
    """Learned positions (number, width)."""
    return nnx.Param(0.02 * jax.random.normal(rngs.params(), (number, width)))
