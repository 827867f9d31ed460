"""A vision transformer (Dosovitskiy et al. 2021, An Image is Worth 16x16 Words); the goal is a token of its own."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.layers import Array, Attention, Inputs, Model, Shape, positions
from protege.cloning.models.base import ModelConfig, require_heads
from protege.errors import UserError


@dataclass(frozen=True)
class Options(ModelConfig):
    """patch_size: side of the squares a picture is cut into; hidden_size, num_layers, num_heads: of the transformer."""

    patch_size: int = 16
    hidden_size: int = 192
    num_layers: int = 6
    num_heads: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_heads(self.hidden_size, self.num_heads)


class VitPolicy(Model):
    """From the newest frame alone, read at a token of the policy's own."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        width, size = config.hidden_size, config.patch_size
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        self.goal_token = None if self.goal is None else nnx.Linear(config.goal_features, width, rngs=rngs, dtype=dtype)
        self.patches = nnx.Conv(3, width, (size, size), strides=size, padding="VALID", dtype=dtype, rngs=rngs)
        height, across = shape.frame_size
        self.positions = positions((height // size) * (across // size), width, rngs)
        self.policy = positions(1, width, rngs)
        self.blocks = nnx.List(
            Attention(width, config.num_heads, config.dropout_rate, rngs=rngs, dtype=dtype)
            for _ in range(config.num_layers)
        )
        self.norm = nnx.LayerNorm(width, dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(width, config.horizon * shape.actions, dtype=dtype, rngs=rngs)
        self.horizon = config.horizon

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        found = self.patches(inputs.frames[:, -1])
        batch, width = found.shape[0], found.shape[-1]
        found = found.reshape(batch, -1, width) + self.positions[...].astype(found.dtype)
        tokens = [jnp.broadcast_to(self.policy[...].astype(found.dtype), (batch, 1, width)), found]
        if self.goal is not None and self.goal_token is not None:
            tokens.append(self.goal_token(self.goal(inputs.goal))[:, None])
        x = jnp.concatenate(tokens, axis=1)
        for block in self.blocks:
            x = block(x, train, rngs)
        return self.out(self.norm(x[:, 0])).astype(jnp.float32).reshape(batch, self.horizon, -1)


def create_model(config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike = jnp.float32) -> VitPolicy:
    """UserError for pictures smaller than a patch."""
    if min(shape.frame_size) < config.patch_size:
        raise UserError(f"model.patch_size {config.patch_size} is larger than a picture of {shape.frame_size}")
    return VitPolicy(config, shape, rngs=rngs, dtype=dtype)
