"""The next H actions at once (Zhao et al. 2023, Learning Fine-Grained Bimanual Manipulation): a transformer reads the
places of the feature maps, and one learned query an action asks it.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.layers import Array, Attention, Encoder, Inputs, Model, Shape, positions
from protege.cloning.models.base import EncoderOptions, require_heads


@dataclass(frozen=True)
class Options(EncoderOptions):
    """num_frames: T frames, frame_skip steps apart, the last one now; action_history: K actions before now;
    hidden_size: width of a token; encoder_layers, decoder_layers, num_heads: of the transformer.
    """

    horizon: int = 7
    num_frames: int = 1
    frame_skip: int = 1
    action_history: int = 0
    hidden_size: int = 256
    encoder_layers: int = 2
    decoder_layers: int = 2
    num_heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_heads(self.hidden_size, self.num_heads)


class ActionChunking(Model):
    """From T frames and the K actions before now. Each place of the picture is a token, so nothing is averaged away."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        width = config.hidden_size
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        self.goal_token = None if self.goal is None else nnx.Linear(config.goal_features, width, rngs=rngs, dtype=dtype)
        self.encoder = Encoder(config, rngs=rngs, dtype=dtype)
        self.places = nnx.Linear(config.conv_features[-1], width, dtype=dtype, rngs=rngs)
        height, across = shape.frame_size
        for _ in config.conv_features[:-1]:
            height, across = -(-height // 2), -(-across // 2)
        self.positions = positions(config.num_frames * height * across, width, rngs)
        self.actions = nnx.Linear(shape.actions, width, dtype=dtype, rngs=rngs)
        self.ages = positions(max(config.action_history, 1), width, rngs)
        self.queries = positions(config.horizon, width, rngs)

        def blocks(number: int, memory: bool) -> nnx.List:
            made = (config.num_heads, config.dropout_rate)
            return nnx.List(Attention(width, *made, rngs=rngs, dtype=dtype, memory=memory) for _ in range(number))

        self.readers, self.askers = blocks(config.encoder_layers, False), blocks(config.decoder_layers, True)
        self.norm = nnx.LayerNorm(width, dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(width, shape.actions, dtype=dtype, rngs=rngs)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = self.encode_goal(inputs)
        frames = inputs.frames
        batch = frames.shape[0]
        maps = self.encoder.maps(frames.reshape(-1, *frames.shape[2:]), goal, train, inputs.valid)
        places = self.places(maps.reshape(batch, -1, maps.shape[-1]))
        tokens = [places + self.positions[...].astype(places.dtype)]
        if inputs.previous.shape[1]:
            tokens.append(self.actions(inputs.previous) + self.ages[...].astype(places.dtype))
        if goal is not None and self.goal_token is not None:
            tokens.append(self.goal_token(goal)[:, None])
        memory = jnp.concatenate(tokens, axis=1)
        for block in self.readers:
            memory = block(memory, train, rngs)
        x = jnp.broadcast_to(self.queries[...].astype(memory.dtype), (batch, *self.queries.shape))
        for block in self.askers:
            x = block(x, train, rngs, memory=memory)
        return self.out(self.norm(x)).astype(jnp.float32)


create_model = ActionChunking
