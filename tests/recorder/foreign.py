"""Recordings as other tools leave them, made small for the tests."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from protege.core import encode_jpeg

OWAMCAP = Path(__file__).parents[1] / "fixtures" / "owamcap"


def video(path, frames=30, fps=30, size=(64, 48)):
    """A video whose n-th picture has brightness 8n."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 8 * i % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def origin(folder, frames, session="play", size=(32, 24)):
    """The origin's layout: (ms, action_sequence) pairs."""
    folder.mkdir(exist_ok=True)
    for i, (ms, actions) in enumerate(frames):
        picture = np.full((size[1], size[0], 3), i * 20 % 256, np.uint8)
        (folder / f"{session}_{ms}.jpg").write_bytes(encode_jpeg(picture))
        (folder / f"{session}_{ms}.json").write_text(json.dumps({"action_sequence": actions}))
    return folder
