"""Several frames at once: stacked as channels of one picture, or read one after another by an LSTM."""

from dataclasses import dataclass
from typing import Any, Final

import jax
import jax.numpy as jnp
from flax import nnx

from protege.cloning.layers import Array, Encoder, GoalEncoder, Head, Inputs, Mlp, Shape, TemporalOptions
from protege.errors import UserError

MODES: Final = ("stack", "recurrent")


@dataclass(frozen=True)
class Options(TemporalOptions):
    """mode: "stack" or "recurrent"; hidden_size: of the LSTM; action_features: width of the actions before now."""

    mode: str = "stack"
    hidden_size: int = 256
    action_features: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise UserError(f"model.mode is one of {', '.join(MODES)}; got {self.mode!r}")


class TemporalCnn(nnx.Module):
    """From T frames and the K actions before now."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: Any) -> None:
        self.goal = GoalEncoder(config, shape.goals, rngs=rngs, dtype=dtype) if config.goal != "none" else None
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
        goal = None if self.goal is None else self.goal(inputs.goal)
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


def create_model(config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: Any = jnp.float32) -> TemporalCnn:
    return TemporalCnn(config, shape, rngs=rngs, dtype=dtype)
