"""A picture of the game and the moment it was taken; JPEG bytes are its form on disk."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG_QUALITY: Final = 90


@dataclass(frozen=True)
class Frame:
    """rgb: (H, W, 3) uint8; t_ns: when it was grabbed, on the monotonic clock."""

    rgb: NDArray[np.uint8]
    t_ns: int

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(f"a frame is (H, W, 3) uint8, got {self.rgb.shape} {self.rgb.dtype}")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """JPEG bytes of an (H, W, 3) uint8 picture."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode_jpeg(source: bytes | Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a JPEG, decoded to its last byte; OSError if it is cut off or no picture."""
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return np.asarray(image.convert("RGB"))
