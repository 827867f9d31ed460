"""The documented baseline: four convolutions, the mean over the picture, two dense layers; 655,623 weights."""

from dataclasses import dataclass

from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.layers import Array, Encoder, Head, Inputs, Model, Shape
from protege.cloning.models.base import ConvOptions


@dataclass(frozen=True)
class Options(ConvOptions):
    """The documented sizes."""


class PureCnn(Model):
    """From the newest frame alone."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, pool=config.pool)
        self.head = Head(self.encoder.features, config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = self.encode_goal(inputs)
        seen = self.encoder(inputs.frames[:, -1:], goal, train, inputs.valid)[:, -1]
        return self.head(seen, goal, train, inputs.valid, rngs)


create_model = PureCnn
