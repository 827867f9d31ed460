"""Vision and the game's state: convolutions beside a small network of numbers and animation embeddings."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from protege.cloning.layers import Array, ConvOptions, Encoder, GoalEncoder, Head, Inputs, Mlp, Shape
from protege.errors import UserError


@dataclass(frozen=True)
class Options(ConvOptions):
    """state_features: widths of the state's layers; embedding_size: of an animation."""

    state_features: tuple[int, ...] = (64, 64, 64)
    embedding_size: int = 16


class StateCnn(nnx.Module):
    """From the newest frame and the newest state."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: Any) -> None:
        self.goal = GoalEncoder(config, shape.goals, rngs=rngs, dtype=dtype) if config.goal != "none" else None
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, pool=config.pool)
        self.numbers = shape.state - len(shape.animations)
        self.state = Mlp(self.numbers, config.state_features, rngs=rngs, dtype=dtype)
        self.animations = nnx.List(
            nnx.Embed(size, config.embedding_size, dtype=dtype, rngs=rngs) for size in shape.animations
        )
        width = config.state_features[-1] + len(shape.animations) * config.embedding_size
        self.head = Head(self.encoder.features + width, config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = None if self.goal is None else self.goal(inputs.goal)
        seen = self.encoder(inputs.frames[:, -1:], goal, train, inputs.valid)[:, -1]
        state: Any = inputs.state
        parts = [seen, self.state(state[:, : self.numbers])]
        for column, embed in enumerate(self.animations, self.numbers):
            parts.append(embed(state[:, column].astype(jnp.int32)))
        return self.head(jnp.concatenate(parts, axis=-1), goal, train, inputs.valid, rngs)


def create_model(config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: Any = jnp.float32) -> StateCnn:
    """UserError for data without state."""
    if not shape.state:
        raise UserError("model.name=state_cnn needs the game's state; set dataset.use_state=true, or use pure_cnn")
    return StateCnn(config, shape, rngs=rngs, dtype=dtype)
