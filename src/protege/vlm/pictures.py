"""How a model takes pictures: as patches of one stream (Qwen3-VL), or as square tiles of fixed size (SmolVLM)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from protege.vlm.pixels import Grid, PixelSpec, scaled

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Idefics3Processor, Qwen3VLProcessor

CACHED: Final = 64


class Pictures(Protocol):
    """How a family's models take pictures: bytes in the data's workers, floats on the model's device."""

    @property
    def temporal(self) -> int:
        """How many values of the model a byte becomes."""
        ...

    def grid(self, width: int, height: int) -> Grid:
        """(time, rows, columns) into which a frame is cut."""
        ...

    def tokens(self, grid: Grid) -> NDArray[np.int64]:
        """(T,) tokens that stand for a frame in the prompt."""
        ...

    def patches(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(P, D) uint8 of an (H, W, 3) frame, in the order the model reads them."""
        ...

    def pixel_values(self, patches: "Tensor", out: "Tensor | None" = None) -> "Tensor":
        """(P, temporal * D) float32 of a tensor of patches, on its device; in `out`, if given."""
        ...

    def inputs(self, named: "Mapping[str, Tensor]", values: "Tensor") -> "dict[str, Tensor]":
        """What the model takes. named: tensors that are made for every family, see `Collator.batch`; values: of all
        pictures, as `pixel_values` gives them.
        """
        ...


def pictures_of(processor: "Qwen3VLProcessor | Idefics3Processor") -> Pictures:
    """How the model of a processor takes pictures."""
    from transformers import Idefics3Processor

    return Tiles.of(processor) if isinstance(processor, Idefics3Processor) else PixelSpec.of(processor)


@dataclass(frozen=True)
class Tiles:
    """Square tiles, row by row, and the whole frame in small behind them; the whole frame alone where the processor
    splits none (`do_image_splitting: false` in its preprocessor_config.json).

    The processor itself resizes and cuts, and writes which tokens stand for a picture.
    """

    processor: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int
    temporal: int = 1

    @classmethod
    def of(cls, processor: "Idefics3Processor") -> Self:
        """The values of a model's own image processor."""
        image: Any = processor.image_processor
        side = int(image.max_image_size["longest_edge"])
        return cls(processor, tuple(image.image_mean), tuple(image.image_std), side)

    def grid(self, width: int, height: int) -> Grid:
        """(1, rows, columns) of a frame's tiles; no rows where the whole frame is the only tile."""
        return _cut(self.processor.image_processor, width, height)

    def tokens(self, grid: Grid) -> NDArray[np.int64]:
        text = self.processor.replace_image_token({"rows": [[grid[1]]], "cols": [[grid[2]]]}, 0)
        return np.array(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)

    def patches(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(tiles, 3 * side * side) uint8 of an (H, W, 3) frame."""
        plain = {"do_rescale": False, "do_normalize": False, "input_data_format": "channels_last"}
        found = self.processor.image_processor(rgb, **plain, return_tensors="np")
        return found["pixel_values"].astype(np.uint8).reshape(-1, 3 * self.side**2)

    def pixel_values(self, patches: "Tensor", out: "Tensor | None" = None) -> "Tensor":
        return scaled(patches, self.mean, self.std, self.temporal, out)

    def inputs(self, named: "Mapping[str, Tensor]", values: "Tensor") -> "dict[str, Tensor]":
        """All samples' tiles as those of one: the model puts them where picture tokens stand, one after another."""
        used = {name: value for name, value in named.items() if name not in ("mm_token_type_ids", "image_grid_thw")}
        return {**used, "pixel_values": values.view(1, -1, 3, self.side, self.side)}


@lru_cache(CACHED)
def _cut(image_processor: Any, width: int, height: int) -> Grid:
    """(1, rows, columns), asked of an image processor: its own formula leaves rounding out."""
    blank = np.zeros((height, width, 3), np.uint8)
    found = image_processor(blank, input_data_format="channels_last", return_row_col_info=True)
    return 1, int(found["rows"][0][0]), int(found["cols"][0][0])
