"""A plain video becomes a Session without keys: good for labeling, refused for learning what to press."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protege.core.events import Pause
from protege.core.session import SessionInfo, SessionWriter, staged_session
from protege.recorder.importing.common import (
    DEFAULT_FPS,
    Imported,
    Wanted,
    decode_video,
    imported,
    jpeg_of,
    libraries,
    resample,
)

SUFFIXES: Final = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi"})
FOREVER_NS: Final = 2**62
ROUNDING_NS: Final = 1_000_000
"""Matroska keeps milliseconds: 20 s of video are 200 frames at 10 Hz, not 201."""


def import_video(path: Path, wanted: Wanted) -> Imported:
    """Frames at `fps` (10 unless asked otherwise); `extra` says {"keys": false}."""
    folder = wanted.folder(path, path.stem)
    hz = wanted.fps or DEFAULT_FPS
    counts: dict[str, Any] = {"video_frames": 0}
    with staged_session(folder, "protege import") as part:
        frames = _counted(decode_video(path), counts)
        first = next(frames)
        size = wanted.size or (first[1].width, first[1].height)
        info = SessionInfo(
            space=wanted.space,
            frame_hz=hz,
            frame_size=size,
            source="import:video",
            libraries=libraries(),
            extra={"keys": False, "file": path.name},
        )
        with SessionWriter(part, info) as writer:
            end_ns = _write(writer, _through(first, frames, info.period_ns), wanted, folder.name)
            writer.event(Pause(end_ns, "stop"))
            writer.finish(extra={"counts": counts})
        return imported(folder, part, "video", counts)


def _write(writer: SessionWriter, pictures: Iterator[tuple[int, Any | None]], wanted: Wanted, name: str) -> int:
    """Write the pictures at the session's rate; returns the time after the last."""
    encoded, jpeg, t_ns = None, b"", 0
    for t_ns, frame in resample(pictures, writer.info.period_ns, FOREVER_NS):
        if frame is None:
            break
        if frame is not encoded:
            encoded, jpeg = frame, jpeg_of(frame, writer.info.frame_size)
        writer.frame(t_ns, jpeg)
        wanted.report(name, writer.frame_count)
    return t_ns


def _counted(frames: Iterator[tuple[int, Any]], counts: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    for t_ns, frame in frames:
        counts["video_frames"] += 1
        yield t_ns, frame


def _through(
    first: tuple[int, Any], rest: Iterator[tuple[int, Any]], period_ns: int
) -> Iterator[tuple[int, Any | None]]:
    """All pictures from time 0 on, then None when the last has been shown for as long as it lasts."""
    start = first[0]
    yield 0, first[1]
    shown, gap = 0, period_ns
    for t_ns, frame in rest:
        gap, shown = max(1, t_ns - start - shown), t_ns - start
        yield shown, frame
    yield shown + min(gap, period_ns) - ROUNDING_NS, None
