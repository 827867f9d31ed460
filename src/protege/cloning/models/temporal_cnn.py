"""Several frames at once: stacked as channels of one picture, or read one after another by an LSTM."""

from dataclasses import dataclass
from typing import Final

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.layers import Array, Encoder, Head, Inputs, Mlp, Model, Shape
from protege.cloning.models.base import TemporalOptions
from protege.learn.checks import one_of

MODES: Final = ("stack", "recurrent")


@dataclass(frozen=True)
class Options(TemporalOptions):
    """mode: "stack" or "recurrent"; hidden_size: of the LSTM; action_features: width of the actions before now."""

    mode: str = "stack"
    hidden_size: int = 256
    action_features: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("model.mode", self.mode, MODES)


class TemporalCnn(Model):
    """From T frames and the K actions before now."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        stacked = config.mode == "stack"
        channels = 3 * config.num_frames if stacked else 3
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype, channels=channels, pool=config.pool)
        width, hidden = self.encoder.features, config.hidden_size
        self.cell = None if stacked else nnx.OptimizedLSTMCell(width, hidden, dtype=dtype, rngs=rngs)
        known = config.action_history * shape.actions
        self.actions = Mlp(known, (config.action_features,), rngs=rngs, dtype=dtype) if known else None
        width = (width if stacked else hidden) + (config.action_features if known else 0)
        self.head = Head(width, config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = self.encode_goal(inputs)
        frames, cell = inputs.frames, self.cell
        batch, time, height, width, channels = frames.shape
        if cell is None:
            frames = frames.transpose(0, 2, 3, 1, 4).reshape(batch, 1, height, width, time * channels)
        seen = self.encoder(frames, goal, train, inputs.valid)
        if cell is not None:
            zeros = jnp.zeros((batch, cell.hidden_features), seen.dtype)
            _, seen = jax.lax.scan(cell, (zeros, zeros), seen.swapaxes(0, 1))
            last = seen[-1]
        else:
            last = seen[:, -1]
        if self.actions is not None:
            last = jnp.concatenate([last, self.actions(inputs.previous.reshape(batch, -1))], axis=-1)
        return self.head(last, goal, train, inputs.valid, rngs)


create_model = TemporalCnn
