"""A clip of a recording: its pictures in motion with the keys that were held drawn below them."""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from protege.core.actions import Action
from protege.core.session import Session
from protege.labeling.contact_sheet import shrunk

CAP: Final = 20
"""Width and height of a key, in pixels."""
STEP: Final = CAP + 3
FOOT: Final = 2 * STEP + 8
KEYS: Final = {
    "w": (1, 0), "a": (0, 1), "s": (1, 1), "d": (2, 1),
    "up": (5, 0), "left": (4, 1), "down": (5, 1), "right": (6, 1),
    "c": (8, 0), "space": (8, 1), "enter": (9, 0),
}  # fmt: skip
"""Column and row of every key of the action space, as on a keyboard."""
WIDE: Final = {"space": 3 * STEP - 3, "enter": 2 * STEP - 3}
ARROWS: Final = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
LIT: Final = (255, 205, 60)
UNLIT: Final = (70, 70, 78)
DARK: Final = (24, 24, 28)


def clip(
    sessions: Sequence[Path], width: int = 320, quality: int = 55, hold_s: float = 1.5, most: int | None = None
) -> bytes:
    """An animated WebP of recordings one after the other, each one's last picture held for a moment.

    most: only so many pictures of each.
    """
    pictures: list[Image.Image] = []
    durations: list[int] = []
    for folder in sessions:
        session = Session.open(folder)
        shots = list(islice(_drawn(session, width), most))
        pictures += shots
        durations += [round(1000 / session.info.frame_hz)] * (len(shots) - 1) + [round(1000 * hold_s)]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=quality, method=4
    )
    return buffer.getvalue()


def _drawn(session: Session, width: int) -> Iterator[Image.Image]:
    """Every frame that belongs to a goal, with goal and keys."""
    held = session.info.space.decode(session.actions())
    for span in session.spans():
        for i in range(span.start, span.stop) if span.goal else ():
            yield with_keys(shrunk(session.path(i), width), held[i], span.goal or "")


def with_keys(picture: Image.Image, held: Action, text: str) -> Image.Image:
    """The picture above a line of text and a keyboard on which the held keys are lit."""
    whole = Image.new("RGB", (picture.width, picture.height + FOOT), DARK)
    whole.paste(picture)
    draw = ImageDraw.Draw(whole)
    top = picture.height + 4
    for key, (column, row) in KEYS.items():
        x, y = 6 + column * STEP, top + row * STEP
        _cap(draw, key, (x, y, x + WIDE.get(key, CAP), y + CAP), lit=key in held)
    font = ImageFont.load_default(14)
    draw.text((picture.width - 6, 8), text, "white", font, anchor="ra", stroke_width=2, stroke_fill="black")
    return whole


def _cap(draw: ImageDraw.ImageDraw, key: str, box: tuple[int, int, int, int], *, lit: bool) -> None:
    draw.rounded_rectangle(box, 4, fill=LIT if lit else UNLIT)
    ink = DARK if lit else (200, 200, 205)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if key in ARROWS:
        dx, dy = ARROWS[key]
        back_x, back_y = x - 4 * dx, y - 4 * dy
        draw.polygon(
            [(x + 6 * dx, y + 6 * dy), (back_x + 5 * dy, back_y + 5 * dx), (back_x - 5 * dy, back_y - 5 * dx)], ink
        )
    else:
        draw.text((x, y), key.upper() if len(key) == 1 else key, ink, ImageFont.load_default(11), anchor="mm")
