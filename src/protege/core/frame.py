"""A picture of the game and the moment it was taken; JPEG bytes are its form on disk."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from protege.core.files import read_bytes
from protege.errors import ProtegeError

JPEG_QUALITY: Final = 90
JPEG: Final = ("JPEG",)
PICTURES: Final = ("JPEG", "PNG", "BMP", "WEBP")
"""Formats of pictures that come from elsewhere. Never all that Pillow knows: PostScript would start Ghostscript."""
MAX_SIDE: Final = 7680
MAX_PICTURE_BYTES: Final = 1 << 27

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_SIDE is stricter, and an error


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


def decode_jpeg(source: bytes | Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a JPEG, decoded to its last byte; turned as its camera says.

    size: the (width, height) it must have, looked at before anything is decoded. OSError in words if the file is not
    a regular one, is cut off (also where an end marker hides it), of another size, or no JPEG.
    """
    return decode_picture(source, JPEG, size)


def decode_picture(
    source: bytes | Path, formats: tuple[str, ...] = PICTURES, size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """`decode_jpeg` for a picture of one of several formats; 16-bit grey becomes 8-bit, transparency is dropped."""
    data = _picture_bytes(source)
    with open_picture(data, formats, size) as image:
        rgb = _rgb(image)
        # What is missing is decoded as grey, so only a grey end makes the second decoding necessary.
        if image.format == "JPEG" and (rgb[-1, -1] == 128).all() and not _has_its_end(data, rgb, formats):
            raise OSError("image file is truncated (its last rows are not there)")
        return rgb if image.getexif().get(_ORIENTATION, 1) == 1 else _turned(image, rgb)


@contextmanager
def open_picture(
    source: bytes | Path, formats: tuple[str, ...] = JPEG, size: tuple[int, int] | None = None
) -> Iterator[Image.Image]:
    """A picture whose header was read and nothing else yet, for whoever wants to decode it in another way.

    formats: as Pillow names them; size: the (width, height) it must have once it is turned. Everything that Pillow
    raises on it, here or in the block, becomes an OSError in words.
    """
    data = _picture_bytes(source)
    try:
        # From bytes in memory: Pillow reads a file lazily, and one that changes meanwhile is no longer what was
        # checked.
        with Image.open(io.BytesIO(data), formats=formats) as image:
            turned = image.size[::-1] if image.getexif().get(_ORIENTATION, 1) >= 5 else image.size
            if size is not None and turned != tuple(size):
                raise OSError("{}x{} pixels, expected {}x{}".format(*turned, *size))
            if max(image.size) > MAX_SIDE:
                raise OSError(f"{image.width}x{image.height} pixels, expected at most {MAX_SIDE}x{MAX_SIDE}")
            yield image
    except Image.UnidentifiedImageError:
        raise OSError(f"no {' or '.join(formats)} picture") from None
    except (OSError, ProtegeError):
        raise
    except Exception as error:  # on damaged data Pillow raises SyntaxError, struct.error, IndexError and more
        raise OSError(f"cannot be decoded ({error})") from None


_ORIENTATION: Final = 0x0112
"""The EXIF tag that says how a camera was held."""
_MORE: Final = bytes(i * 89 % 251 for i in range(256))
"""Picture data without a marker, that means something else than grey to every JPEG."""


def _picture_bytes(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return read_bytes(source, MAX_PICTURE_BYTES)
    except ValueError as error:
        raise OSError(str(error)) from None


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.max(initial=0) > 0xFFFF or grey.min(initial=0) < 0:
            raise OSError("more than 16 bits a pixel")
        return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise OSError("pixels are fractions, expected 8 or 16 bits")
    return np.asarray(image.convert("RGB"))


def _turned(image: Image.Image, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    turned = Image.fromarray(rgb)
    turned.getexif()[_ORIENTATION] = image.getexif()[_ORIENTATION]
    return np.asarray(ImageOps.exif_transpose(turned))


def _has_its_end(data: bytes, rgb: NDArray[np.uint8], formats: tuple[str, ...]) -> bool:
    """Whether a JPEG holds data for its last pixel, which is grey: the decoder makes grey of what is not there.

    It stays grey although more data follows before the end marker if and only if it was there.
    """
    end = data.rfind(b"\xff\xd9")
    with open_picture(data[:end] + _MORE + data[end:], formats) as image:
        return np.array_equal(_rgb(image), rgb)
