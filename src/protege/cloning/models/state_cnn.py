"""Vision and the game's state: convolutions beside a small network of numbers and animation embeddings."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.layers import Array, Encoder, Head, Inputs, Mlp, Model, Shape
from protege.cloning.models.base import ConvOptions
from protege.errors import UserError


@dataclass(frozen=True)
class Options(ConvOptions):
    """state_features: widths of the state's layers; embedding_size: of an animation."""

    state_features: tuple[int, ...] = (64, 64, 64)
    embedding_size: int = 16


class StateCnn(Model):
    """From the newest frame and the newest state."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, pool=config.pool)
        self.numbers = shape.state - len(shape.animations)
        self.state = Mlp(self.numbers, config.state_features, rngs=rngs, dtype=dtype)
        self.animations = nnx.List(
            nnx.Embed(size, config.embedding_size, dtype=dtype, rngs=rngs) for size in shape.animations
        )
        width = config.state_features[-1] + len(shape.animations) * config.embedding_size
        self.head = Head(self.encoder.features + width, config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = self.encode_goal(inputs)
        seen = self.encoder(inputs.frames[:, -1:], goal, train, inputs.valid)[:, -1]
        state = inputs.state
        assert state is not None, "create_model refuses data without state"
        parts = [seen, self.state(state[:, : self.numbers])]
        for column, embed in enumerate(self.animations, self.numbers):
            parts.append(embed(state[:, column].astype(jnp.int32)))
        return self.head(jnp.concatenate(parts, axis=-1), goal, train, inputs.valid, rngs)


def create_model(config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike = jnp.float32) -> StateCnn:
    """UserError for data without state."""
    if not shape.state:
        raise UserError("model.name=state_cnn needs the game's state; set dataset.use_state=true, or use pure_cnn")
    return StateCnn(config, shape, rngs=rngs, dtype=dtype)
