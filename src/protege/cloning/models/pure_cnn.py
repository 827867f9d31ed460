"""The documented baseline: four convolutions, the mean over the picture, two dense layers; 655,623 weights."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from protege.cloning.layers import Array, ConvOptions, Encoder, GoalEncoder, Head, Inputs, Shape


@dataclass(frozen=True)
class Options(ConvOptions):
    """The documented sizes."""


class PureCnn(nnx.Module):
    """From the newest frame alone."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: Any) -> None:
        self.goal = GoalEncoder(config, shape.goals, rngs=rngs, dtype=dtype) if config.goal != "none" else None
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, pool=config.pool)
        self.head = Head(self.encoder.features, config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = None if self.goal is None else self.goal(inputs.goal)
        seen = self.encoder(inputs.frames[:, -1:], goal, train, inputs.valid)[:, -1]
        return self.head(seen, goal, train, inputs.valid, rngs)


def create_model(config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: Any = jnp.float32) -> PureCnn:
    return PureCnn(config, shape, rngs=rngs, dtype=dtype)
