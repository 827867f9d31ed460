"""A recurrent policy: every frame through one encoder, then gated recurrent units over time."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.layers import Array, Encoder, Head, Inputs, Mlp, Model, Shape
from protege.cloning.models.base import TemporalOptions


@dataclass(frozen=True)
class Options(TemporalOptions):
    """hidden_size, num_layers: of the recurrence; action_features: width of the actions before now."""

    hidden_size: int = 256
    num_layers: int = 1
    action_features: int = 64


class Gru(Model):
    """From T frames, read in order, and the K actions before now. Each layer starts from its own zero state."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, pool=config.pool)
        hidden = config.hidden_size
        widths = (self.encoder.features, *[hidden] * (config.num_layers - 1))
        self.cells = nnx.List(nnx.GRUCell(width, hidden, dtype=dtype, rngs=rngs) for width in widths)
        known = config.action_history * shape.actions
        self.actions = Mlp(known, (config.action_features,), rngs=rngs, dtype=dtype) if known else None
        self.head = Head(hidden + (config.action_features if known else 0), config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = self.encode_goal(inputs)
        steps = self.encoder(inputs.frames, goal, train, inputs.valid).swapaxes(0, 1)
        for cell in self.cells:
            start = jnp.zeros((steps.shape[1], cell.hidden_features), steps.dtype)
            _, steps = jax.lax.scan(cell, start, steps)
        last = steps[-1]
        if self.actions is not None:
            last = jnp.concatenate([last, self.actions(inputs.previous.reshape(len(last), -1))], axis=-1)
        return self.head(last, goal, train, inputs.valid, rngs)


create_model = Gru
