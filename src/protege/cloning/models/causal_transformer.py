"""A causal transformer over time: a token for each frame, with the action before it, read at the last one."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.layers import Array, Attention, Encoder, Head, Inputs, Model, Shape, positions
from protege.cloning.models.base import TemporalOptions, require_heads


@dataclass(frozen=True)
class Options(TemporalOptions):
    """hidden_size: width of a token; num_layers, num_heads: of the transformer."""

    num_frames: int = 8
    action_history: int = 8
    hidden_size: int = 256
    num_layers: int = 2
    num_heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_heads(self.hidden_size, self.num_heads)


class CausalTransformer(Model):
    """From K actions before now and T frames, in that order; a token sees none that is later."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        width = config.hidden_size
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, pool=config.pool)
        self.frames = nnx.Linear(self.encoder.features, width, dtype=dtype, rngs=rngs)
        self.actions = nnx.Linear(shape.actions, width, dtype=dtype, rngs=rngs)
        self.positions = positions(config.action_history + config.num_frames, width, rngs)
        self.blocks = nnx.List(
            Attention(width, config.num_heads, config.dropout_rate, rngs=rngs, dtype=dtype)
            for _ in range(config.num_layers)
        )
        self.norm = nnx.LayerNorm(width, dtype=dtype, rngs=rngs)
        self.head = Head(width, config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = self.encode_goal(inputs)
        seen = self.frames(self.encoder(inputs.frames, goal, train, inputs.valid))
        tokens = jnp.concatenate([self.actions(inputs.previous), seen], axis=1)
        tokens = tokens + self.positions[...].astype(tokens.dtype)
        mask = nnx.make_causal_mask(jnp.ones(tokens.shape[:2]))
        for block in self.blocks:
            tokens = block(tokens, train, rngs, mask=mask)
        return self.head(self.norm(tokens[:, -1]), goal, train, inputs.valid, rngs)


create_model = CausalTransformer
