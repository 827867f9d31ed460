"""`protege sessions watch`: a recording as a film with the keys drawn below, for people without a browser."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from protege.core.files import write_bytes
from protege.core.frame import open_picture
from protege.core.keycaps import with_keys
from protege.core.session import Session, SessionError
from protege.errors import UserError
from protege.learn.video import encode

KINDS: Final = (".mp4", ".webp")
WIDTH: Final = 480
"""Of the picture, in pixels; a wider one is shrunk."""
LONGEST_WEBP: Final = 1200
"""Pictures: all of them are held in memory."""
Progress = Callable[[int, int], None]
"""Called with the pictures drawn so far and all of them."""


def film(
    folder: Path,
    out: Path,
    *,
    start_s: float = 0.0,
    stop_s: float | None = None,
    width: int = WIDTH,
    progress: Progress | None = None,
) -> int:
    """Writes a recording to an .mp4 or a .webp at its own speed, whole or not at all; how many pictures it has.

    start_s, stop_s: seconds of the recording; breaks take no time. UserError if there is nothing to show.
    """
    if out.suffix.lower() not in KINDS:
        raise UserError(f"--out {out}: a film is .mp4 or .webp, got {out.suffix or 'no ending'}; choose one of them")
    session = Session.open(folder)
    since = (session.t_ns - session.t_ns[:1]) / 1e9
    chosen = np.flatnonzero((since >= start_s) & (since < (np.inf if stop_s is None else stop_s)))
    if not len(chosen):
        raise UserError(
            f"{folder}: no picture between --from and --to; it lasts {since[-1] if len(since) else 0:.1f} s"
        )
    if out.suffix.lower() == ".webp" and len(chosen) > LONGEST_WEBP:
        raise UserError(f"--out {out}: {len(chosen)} pictures, a .webp has at most {LONGEST_WEBP}; take .mp4, or --to")
    pictures = _drawn(session, chosen.tolist(), width, progress)
    if out.suffix.lower() == ".mp4":
        write_bytes(out, encode(map(np.asarray, pictures), session.info.frame_hz))
        return len(chosen)
    first, *rest = pictures
    buffer = io.BytesIO()
    lasts = round(1000 / session.info.frame_hz)
    first.save(buffer, "WEBP", save_all=True, append_images=rest, duration=lasts, loop=0, quality=60, method=2)
    write_bytes(out, buffer.getvalue())
    return len(chosen)


def _drawn(session: Session, frames: list[int], width: int, progress: Progress | None) -> Iterator[Image.Image]:
    space = session.info.space
    held = space.decode(session.actions())
    held = [keys | turned for keys, turned in zip(held, space.turned(session.motion()), strict=True)]
    goals = {i: span.goal or "" for span in session.spans() for i in range(span.start, span.stop)}
    for done, i in enumerate(frames):
        try:
            with open_picture(session.path(i)) as image:
                image.draft("RGB", (width, width))
                picture = image.convert("RGB")
        except OSError as error:
            raise SessionError(
                f"{session.path(i)}: cannot be read ({error}); repair with: protege doctor {session.folder} --repair"
            ) from None
        picture.thumbnail((width, width))
        shown = with_keys(picture, held[i], goals.get(i, ""), space)
        # H.264 has even sides.
        yield shown.crop((0, 0, shown.width + shown.width % 2, shown.height + shown.height % 2))
        if progress is not None:
            progress(done + 1, len(frames))
