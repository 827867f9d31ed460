"""A clip of a recording: its pictures in motion with the keys that were held drawn below them."""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from protege.core.keycaps import with_keys
from protege.core.session import Session
from protege.labeling.contact_sheet import shrunk


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
            yield with_keys(shrunk(session.path(i), width), held[i], span.goal or "", session.info.space)
