"""A plain video becomes a Session without keys: good for labeling, refused for learning what to press."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protege.play.events import Pause
from protege.play.session import SessionInfo, SessionWriter
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
from protege.recorder.staging import staged

SUFFIXES: Final = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi"})
FOREVER_NS: Final = 2**62


def import_video(path: Path, wanted: Wanted) -> Imported:
    """Frames at `fps` (10 unless asked otherwise); `extra` says {"keys": false}."""
    folder = wanted.out / path.stem
    hz = wanted.fps or DEFAULT_FPS
    counts: dict[str, Any] = {"video_frames": 0}
    with staged(folder) as part:
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
        writer = SessionWriter(part, info)
        t_ns, encoded, jpeg = 0, None, b""
        for t_ns, frame in resample(_through(first, frames, info.period_ns), info.period_ns, FOREVER_NS):
            if frame is None:
                break
            if frame is not encoded:
                encoded, jpeg = frame, jpeg_of(frame, size)
            writer.frame(t_ns, jpeg)
            wanted.report(folder.name, writer.frame_count)
        writer.event(Pause(t_ns, "stop"))
        writer.finish(extra={"counts": counts})
        return imported(folder, part, "video", counts)


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
    yield shown + min(gap, period_ns), None
