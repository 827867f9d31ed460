"""An episode as a video: its frames beside the true and the predicted keys."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from protege.cloning.metrics import Bools

WIDTH: Final = 480
"""Frames are enlarged by a whole factor to about this width, pixels."""
PANEL: Final = 220
ROW: Final = 20
HELD: Final = (235, 235, 235)
RIGHT: Final = (60, 190, 110)
WRONG: Final = (220, 60, 60)


def drawn(
    frames: Iterable[NDArray[np.uint8]], truth: Bools, pred: Bools, keys: Sequence[str]
) -> Iterator[NDArray[np.uint8]]:
    """Frames (3, H, W) with their keys beside them, as (h, w, 3) with even sides, as H.264 needs them.

    A predicted key is green where it is true and red where it is not; a red outline is a missed key.
    """
    panel: Image.Image | None = None
    for frame, true, said in zip(frames, truth, pred, strict=True):
        scale = max(1, round(WIDTH / frame.shape[2]))
        picture = frame.transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1)
        panel = panel or _panel(keys, picture.shape[0])
        beside = panel.copy()
        draw = ImageDraw.Draw(beside)
        for row in range(len(keys)):
            pressed, predicted = boxes(row)
            if true[row]:
                draw.rectangle(pressed, fill=HELD)
            if said[row]:
                draw.rectangle(predicted, fill=RIGHT if true[row] else WRONG)
            elif true[row]:
                draw.rectangle(predicted, outline=WRONG, width=2)
        whole = np.zeros((beside.height, picture.shape[1] + PANEL + picture.shape[1] % 2, 3), np.uint8)
        whole[: picture.shape[0], : picture.shape[1]] = picture
        whole[:, -PANEL:] = np.asarray(beside)
        yield whole


def _panel(keys: Sequence[str], height: int) -> Image.Image:
    """The panel of key names, the same beside every frame."""
    needed = ROW * (len(keys) + 1) + 8
    panel = Image.new("RGB", (PANEL, max(height, needed) + max(height, needed) % 2), (30, 30, 30))
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(12)
    for column, text in zip(boxes(-1), ("true", "model"), strict=True):
        draw.text(((column[0] + column[2]) / 2, column[1] + 7), text, font=font, fill=HELD, anchor="mm")
    for row, key in enumerate(keys):
        draw.text((8, boxes(row)[0][1] + 7), key[:18], font=font, fill=HELD, anchor="lm")
    return panel


def boxes(row: int) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """(left, top, right, bottom) of a key's two boxes; row -1 is the heading."""
    top = ROW * (row + 1) + 4
    return (PANEL - 86, top, PANEL - 56, top + 14), (PANEL - 42, top, PANEL - 12, top + 14)
