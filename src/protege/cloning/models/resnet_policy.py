"""A residual network as the encoder (He et al. 2016, Deep Residual Learning for Image Recognition)."""

from dataclasses import dataclass

from flax import nnx
from jax.typing import DTypeLike

from protege.cloning.convs import conv
from protege.cloning.layers import Array, Film, Head, Inputs, Model, Norm, Shape, pooled
from protege.cloning.models.base import ConvOptions
from protege.errors import UserError


@dataclass(frozen=True)
class Options(ConvOptions):
    """conv_features: channels of the stages, all but the first with stride 2; stage_sizes: blocks in each (ResNet-18
    by default).
    """

    conv_features: tuple[int, ...] = (64, 128, 256, 512)
    dense_features: tuple[int, ...] = (256,)
    stage_sizes: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.stage_sizes) != len(self.conv_features) or min(self.stage_sizes) < 1:
            raise UserError(f"model.stage_sizes has a number from 1 on for each of {list(self.conv_features)}")


class Block(nnx.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the size changes."""

    def __init__(
        self, inputs: int, features: int, stride: int, config: Options, *, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        def layer(a: int, kernel: int, step: int) -> nnx.Conv:
            size = (kernel, kernel)
            return nnx.Conv(a, features, size, step, use_bias=False, dtype=dtype, conv_general_dilated=conv, rngs=rngs)

        norm = config.use_batch_norm
        self.convs = nnx.List([layer(inputs, 3, stride), layer(features, 3, 1)])
        self.norms = nnx.List(Norm(features, norm, rngs=rngs, dtype=dtype) for _ in range(2))
        self.film = Film(config.goal_features, features, rngs=rngs, dtype=dtype) if config.goal != "none" else None
        self.short = layer(inputs, 1, stride) if stride > 1 or inputs != features else None

    def __call__(self, x: Array, goal: Array | None, train: bool, valid: Array | None) -> Array:
        y = nnx.relu(self.norms[0](self.convs[0](x), train, valid))
        y = self.norms[1](self.convs[1](y), train, valid)
        if self.film is not None and goal is not None:
            y = self.film(y, goal)
        return nnx.relu(y + (x if self.short is None else self.short(x)))


class ResnetPolicy(Model):
    """From the newest frame alone."""

    def __init__(self, config: Options, shape: Shape, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        super().__init__(config, shape, rngs=rngs, dtype=dtype)
        widths = config.conv_features
        self.stem = nnx.Conv(3, widths[0], (7, 7), strides=2, use_bias=False, dtype=dtype, rngs=rngs)
        self.norm = Norm(widths[0], config.use_batch_norm, rngs=rngs, dtype=dtype)
        self.pool = config.pool
        blocks, inputs = [], widths[0]
        for stage, (size, features) in enumerate(zip(config.stage_sizes, widths, strict=True)):
            for number in range(size):
                stride = 2 if stage and not number else 1
                blocks.append(Block(inputs, features, stride, config, rngs=rngs, dtype=dtype))
                inputs = features
        self.blocks = nnx.List(blocks)
        found = widths[-1] * (2 if config.pool == "keypoints" else 1)
        self.head = Head(found, config, shape, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: Inputs, *, train: bool = False, rngs: nnx.Rngs | None = None) -> Array:
        goal = self.encode_goal(inputs)
        x = nnx.relu(self.norm(self.stem(inputs.frames[:, -1]), train, inputs.valid))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for block in self.blocks:
            x = block(x, goal, train, inputs.valid)
        return self.head(pooled(x, self.pool), goal, train, inputs.valid, rngs)


create_model = ResnetPolicy
