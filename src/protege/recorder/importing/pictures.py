"""Pictures as other tools store them."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.files import read_bytes
from protege.core.frame import decode_picture, open_picture
from protege.errors import UserError

FORMATS: Final = ("JPEG", "PNG")
ORIENTATION: Final = 0x0112
"""The EXIF tag that says how a camera was held."""


def read_picture(path: Path) -> tuple[NDArray[np.uint8], bytes | None]:
    """(H, W, 3) uint8 of a JPEG or PNG file, upright; and its bytes where they are a JPEG that shows just that.

    UserError if it is no such picture, is too large, or is cut off.
    """
    try:
        data = read_bytes(path)
        with open_picture(data, FORMATS) as image:
            as_it_is = image.format == "JPEG" and image.getexif().get(ORIENTATION, 1) == 1
        return decode_picture(data, FORMATS), data if as_it_is else None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); expected a JPEG, copy it again or remove it and its .json"
        ) from None
