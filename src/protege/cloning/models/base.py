"""The settings that policies share: a policy's `Options` is one of these with the fields of its own."""

from dataclasses import dataclass
from typing import Final

from protege.errors import UserError
from protege.learn.checks import one_of, within

GOALS: Final = ("none", "index", "sentence")
POOLS: Final = ("mean", "keypoints")


@dataclass(frozen=True)
class ModelConfig:
    """The section `model` of every policy.

    name: the file in `models`
    horizon: H, actions predicted from one moment
    goal: "none", "index" (an embedding per goal of the data set) or "sentence" (an embedding of the goal's words, which
        new goals have, too)
    goal_features: width of the goal's embedding
    dropout_rate: before the last layers
    """

    name: str = "pure_cnn"
    horizon: int = 1
    goal: str = "none"
    goal_features: int = 32
    dropout_rate: float = 0.1

    # No fields here, so that a policy of one frame has no such settings; TemporalOptions makes them fields.
    num_frames = 1
    frame_skip = 1
    action_history = 0

    def __post_init__(self) -> None:
        within("model.horizon", self.horizon, 1, 256)
        one_of("model.goal", self.goal, GOALS)
        within("model.goal_features", self.goal_features, 1, 4096)
        within("model.dropout_rate", self.dropout_rate, 0, 0.9)
        within("model.num_frames", self.num_frames, 1, 64)
        within("model.frame_skip", self.frame_skip, 1, 64)
        within("model.action_history", self.action_history, 0, 256)
        for name, value in vars(self).items():  # the sizes of subclasses, whatever they are called
            for size in value if isinstance(value, tuple) else [value]:
                if type(size) is int and name != "action_history":
                    within(f"model.{name}", size, 1, 64 if name.endswith("layers") else 4096)
            if isinstance(value, tuple) and len(value) > 64:
                raise UserError(f"model.{name} has at most 64 numbers, got {len(value)}")


@dataclass(frozen=True)
class EncoderOptions(ModelConfig):
    """conv_features: channels of the 3x3 convolutions, all but the last with stride 2
    use_batch_norm: after every convolution and hidden layer
    """

    conv_features: tuple[int, ...] = (32, 64, 128, 256)
    use_batch_norm: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.conv_features:
            raise UserError("model.conv_features is a list of at least one width, each above 0")


@dataclass(frozen=True)
class ConvOptions(EncoderOptions):
    """dense_features: widths of the layers before the output
    pool: "mean" over the frame, or "keypoints": where each channel is strongest (Levine et al. 2016, End-to-End
        Training of Deep Visuomotor Policies), which tells left from right
    """

    dense_features: tuple[int, ...] = (512, 256)
    pool: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("model.pool", self.pool, POOLS)


@dataclass(frozen=True)
class TemporalOptions(ConvOptions):
    """num_frames: T, frames up to the newest, `frame_skip` steps apart
    frame_skip: steps from one of those frames to the next
    action_history: K, actions before now
    """

    num_frames: int = 4
    frame_skip: int = 1
    action_history: int = 4


def require_heads(hidden_size: int, num_heads: int) -> None:
    """UserError unless a token's width can be shared out evenly among the heads of attention."""
    if hidden_size % num_heads:
        raise UserError(f"model.hidden_size {hidden_size} is not a multiple of num_heads {num_heads}")
