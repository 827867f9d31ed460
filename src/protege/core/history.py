"""Which earlier frames a vision-language model is shown beside the newest: one rule for training and playing.

Frames are counted from the first one of a goal's play. The earlier ones stand at multiples of a stride, so that what a
model is shown changes only once in a stride, and whatever was computed of it can be kept until then.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from protege.core.files import Json

MOST_FRAMES: Final = 3
MOST_STRIDE: Final = 10_000
LEAST_SCALE: Final = 0.05


@dataclass(frozen=True)
class History:
    """frames: how many earlier frames at most, from 1; stride: frames from one to the next; scale: of their width and
    height, beside the newest frame's. ValueError on anything else.
    """

    frames: int
    stride: int
    scale: float

    def __post_init__(self) -> None:
        whole = type(self.frames) is int and type(self.stride) is int and type(self.scale) in (int, float)
        if not (
            whole
            and 1 <= self.frames <= MOST_FRAMES
            and 1 <= self.stride <= MOST_STRIDE
            and LEAST_SCALE <= self.scale <= 1
        ):
            raise ValueError(f"history is {vars(self)}"[:200])

    def earlier(self, index: int) -> range:
        """The frames shown beside frame `index`, the oldest first: fewer at the beginning, none at the very first."""
        newest = (index - 1) // self.stride
        oldest = max(0, newest - self.frames + 1)
        return range(oldest * self.stride, newest * self.stride + 1, self.stride)

    def stands_for(self, index: int) -> int:
        """The multiple of the stride that a frame stands for as long as no newer one up to it is seen."""
        return -(-index // self.stride) * self.stride

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of an earlier frame, beside a newest one of these."""
        return max(1, round(width * self.scale)), max(1, round(height * self.scale))

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """The inverse of `to_json`; TypeError or ValueError on anything else."""
        if not isinstance(fields, Mapping) or fields.keys() != cls.__dataclass_fields__.keys():
            raise TypeError(f"history is {fields!r}"[:200])
        return cls(**fields)
