"""Pictures as other tools store them: only the formats expected, within bounds, upright, eight bits a colour."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from protege.core.files import read_bytes
from protege.core.frame import decode_jpeg
from protege.errors import UserError
from protege.recorder.importing.decode import MAX_PIXELS, MAX_SIDE

FORMATS: Final = ("JPEG", "PNG")
ORIENTATION: Final = 0x0112
"""The EXIF tag that says how a camera was held."""


def read_picture(path: Path) -> tuple[NDArray[np.uint8], bytes | None]:
    """(H, W, 3) uint8 of a JPEG or PNG file, upright; and its bytes where they are a JPEG that shows just that.

    UserError if it is no such picture, is larger than 7680x4320, or is cut off.
    """
    try:
        data = read_bytes(path)
        with _quiet(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
                raise ValueError(f"{width}x{height} pixels, expected at most 7680x4320")
            if image.format == "JPEG" and image.getexif().get(ORIENTATION, 1) == 1:
                return decode_jpeg(data), data
            return np.asarray(_eight_bits(ImageOps.exif_transpose(image)).convert("RGB")), None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); expected a JPEG, copy it again or remove it and its .json"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own warning about large pictures: ours is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey; converted by the library it would turn white above 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image, dtype=np.int64) // 257).clip(0, 255).astype(np.uint8))
