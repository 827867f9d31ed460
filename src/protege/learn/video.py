"""Pictures as a video."""

import io
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from protege.errors import MissingExtra


def encode(pictures: Iterable[NDArray[np.uint8]], fps: float) -> bytes:
    """MP4 (H.264, which every browser plays) of at least one picture (h, w, 3)."""
    try:
        import av
    except ImportError:
        raise MissingExtra("av", "record") from None
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "26", "threads": "1"}
        )
        stream.pix_fmt = "yuv420p"
        first = True
        for picture in pictures:
            if first:
                stream.height, stream.width = picture.shape[:2]
                first = False
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
