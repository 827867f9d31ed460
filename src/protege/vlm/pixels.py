"""A frame's pixels as Qwen3-VL's vision tower reads them: equal to its own processor's values, several times faster.

`patches` reorders uint8 pixels on the CPU; `pixel_values` makes floats of them on the model's device. So a value is
moved as one byte, and the temporal repetition of a patch is not moved at all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protege.core.frame import decode_picture
from protege.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Qwen3VLProcessor

Grid = tuple[int, int, int]
"""(time, rows, columns) of a picture's patches, or of its tiles."""


def fit(rgb: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Resize a frame to the (width, height) of a model; training and playing must use the same filter."""
    if size is None or (rgb.shape[1], rgb.shape[0]) == size:
        return rgb
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of an image file; UserError where it is missing or damaged."""
    try:
        return decode_picture(path)
    except OSError as error:
        raise UserError(f"{path}: not a picture that can be read ({error}); label its session again") from None


@dataclass(frozen=True)
class PixelSpec:
    """How a model preprocesses a frame.

    patch: side of a square patch, pixels
    merge: a token is `merge` x `merge` patches
    temporal: how often each frame is repeated
    mean, std: by channel, for (x / 255 - mean) / std
    min_pixels, max_pixels: bounds of a frame's area
    image: the token that stands for a part of a picture
    """

    patch: int
    merge: int
    temporal: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_pixels: int
    max_pixels: int
    image: int = 0

    @classmethod
    def of(cls, processor: "Qwen3VLProcessor") -> Self:
        """The values of a model's own image processor."""
        image = processor.image_processor
        size = image.size
        return cls(
            patch=int(image.patch_size),
            merge=int(image.merge_size),
            temporal=int(image.temporal_patch_size),
            mean=tuple(image.image_mean),
            std=tuple(image.image_std),
            min_pixels=int(size["shortest_edge"]),
            max_pixels=int(size["longest_edge"]),
            image=int(processor.image_token_id),
        )

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) that a frame is resized to: whole tokens, within the bounds, nearly of the same shape."""
        cell = self.patch * self.merge
        w, h = round(width / cell) * cell, round(height / cell) * cell
        if w * h > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            w, h = (max(cell, math.floor(side / shrink / cell) * cell) for side in (width, height))
        elif w * h < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            w, h = (math.ceil(side * grow / cell) * cell for side in (width, height))
        return w, h

    def grid(self, width: int, height: int) -> Grid:
        """(time, rows, columns) of a frame's patches."""
        w, h = self.resized(width, height)
        return 1, h // self.patch, w // self.patch

    def tokens(self, grid: Grid) -> NDArray[np.int64]:
        """(T,) tokens that stand for a frame in the prompt."""
        return np.full(grid[0] * grid[1] * grid[2] // self.merge**2, self.image)

    def patches(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(patches, 3 * patch * patch) uint8 of an (H, W, 3) frame, in the order the model reads them."""
        size = self.resized(rgb.shape[1], rgb.shape[0])
        if (rgb.shape[1], rgb.shape[0]) != size:
            rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))
        planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))  # one slow copy; the cut below then moves whole rows
        _, h, w = planes.shape
        cell = self.patch * self.merge
        cut = planes.reshape(3, h // cell, self.merge, self.patch, w // cell, self.merge, self.patch)
        return cut.transpose(1, 4, 2, 5, 0, 3, 6).reshape(-1, 3 * self.patch**2)

    def pixel_values(self, patches: "Tensor", out: "Tensor | None" = None) -> "Tensor":
        """(patches, 3 * temporal * patch * patch) float32 of a tensor of `patches`, on its device.

        out: a tensor of that shape to fill, for callers that need one result at a time: new memory for every batch
        costs more than the arithmetic.
        """
        return scaled(patches, self.mean, self.std, self.temporal, out)

    def inputs(self, named: "Mapping[str, Tensor]", values: "Tensor") -> "dict[str, Tensor]":
        """What the model takes, of the tensors that are the same for all families and of pixel values."""
        return {**named, "pixel_values": values}


def scaled(
    patches: "Tensor",
    mean: tuple[float, ...],
    std: tuple[float, ...],
    temporal: int,
    out: "Tensor | None" = None,
) -> "Tensor":
    """(patches, 3 * temporal * D) float32 of (patches, 3 * D) uint8, each channel's D values `temporal` times."""
    import torch

    device, count = patches.device, len(patches)
    scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32, device=device)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device)
    if out is None:
        out = torch.empty(count, patches.shape[1] * temporal, device=device)
    parts = out.view(count, 3, temporal, -1)
    first = torch.mul(patches.view(count, 3, -1), scale[:, None], out=parts[:, :, 0])
    first.add_(shift[:, None])
    parts[:, :, 1:] = first[:, :, None]
    return out
