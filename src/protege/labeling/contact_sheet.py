"""What a model is shown of a segment: a few pictures side by side with their times, and the held keys in words."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from protege.core import ActionSpace, Session
from protege.core.frame import open_picture
from protege.core.labeled import Segment
from protege.core.session import SessionError

PICTURES: Final = 3
PICTURE_WIDTH: Final = 448
GAP: Final = 8
QUALITY: Final = 85


def choose(segment: Segment, count: int) -> list[int]:
    """Positions of at most `count` frames of a segment: first, last and evenly between; of one, the last."""
    if count < 1:
        raise ValueError(f"a contact sheet has at least one picture, got {count}")
    if count == 1:
        return [segment.stop - 1]
    count = min(count, len(segment))
    spread = np.linspace(segment.start, segment.stop - 1, count).round().astype(int)
    return sorted({int(i) for i in spread})


def times_s(session: Session, segment: Segment, frames: Sequence[int]) -> list[float]:
    """Seconds from the segment's first frame to each of `frames`."""
    return [(int(session.t_ns[i]) - int(session.t_ns[segment.start])) / 1e9 for i in frames]


def contact_sheet(session: Session, segment: Segment, count: int) -> bytes:
    """JPEG of a segment's pictures from left to right, a time burned into each. SessionError names a bad one."""
    frames = choose(segment, count)
    pictures: list[Image.Image] = []
    for i, seconds in zip(frames, times_s(session, segment, frames), strict=True):
        try:
            picture = shrunk(session.path(i), PICTURE_WIDTH)
        except OSError as error:
            raise SessionError(
                f"{session.path(i)}: cannot be read ({error}); repair with: protege doctor {session.folder} --repair"
            ) from None
        stamp(picture, f"{seconds:.1f} s")
        pictures.append(picture)
    return jpeg(side_by_side(pictures))


def shrunk(path: Path, width: int) -> Image.Image:
    """A picture at most `width` pixels wide. OSError if it cannot be read."""
    with open_picture(path) as image:
        size = (min(width, image.width), max(1, round(image.height * min(width, image.width) / image.width)))
        image.draft("RGB", size)  # decodes at a fraction of the size where that is enough
        image = image.convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """One picture of several, with a gap between."""
    width = sum(p.width for p in pictures) + GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    return sheet


def stamp(picture: Image.Image, text: str, *, top: bool = True) -> None:
    """Burn a text into a corner, white on black to be legible on any picture."""
    draw = ImageDraw.Draw(picture)
    font = _font(max(10, picture.width // 16))
    x0, y0, x1, y1 = draw.textbbox((0, 0), text, font=font)
    height, pad = y1 - y0, 3
    y = 0 if top else picture.height - height - 2 * pad
    draw.rectangle((0, y, x1 - x0 + 2 * pad, y + height + 2 * pad), fill="black")
    draw.text((pad - x0, y + pad - y0), text, font=font, fill="white")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def jpeg(picture: Image.Image, quality: int = QUALITY) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def keys_in_words(
    rows: NDArray[np.bool_], space: ActionSpace, frame_hz: float, motion: NDArray[np.int64] | None = None
) -> str:
    """How long each key was held in (T, K) frames, longest first, with what it does where that is known, and how far
    (T, 2) counts of the mouse turned the view: "w 2.1 s, ctrl (fire) 0.8 s, looked right 40 degrees".
    """
    held = {key: int(rows[:, k].sum()) for k, key in enumerate(space.pressable)}
    spoken = [f"{space.told(k)} {n / frame_hz:.1f} s" for k, n in sorted(held.items(), key=lambda item: -item[1]) if n]
    if space.look is not None and motion is not None:
        degrees = np.round(motion.sum(axis=0) * space.look.degrees_per_count).astype(int).tolist()
        ways = zip(degrees, (("right", "left"), ("down", "up")), strict=True)
        spoken += [f"looked {way[turn < 0]} {abs(turn)} degrees" for turn, way in ways if turn]
    return ", ".join(spoken) or "none"
