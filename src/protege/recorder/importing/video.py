"""A plain video becomes a Session without keys: good for labeling, refused for learning what to press."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.core.actions import NO_KEYS
from protege.core.events import Held, Pause, longest_step_ns
from protege.core.session import SessionInfo, SessionWriter, staged_session
from protege.recorder.importing.breaks import Break, resample
from protege.recorder.importing.common import DEFAULT_FPS, Count, Imported, Wanted, imported, libraries
from protege.recorder.importing.decode import Pictures, Video, jpeg_of, size_of

if TYPE_CHECKING:
    from av import VideoFrame

SUFFIXES: Final = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi"})
FOREVER_NS: Final = 2**62
ROUNDING_NS: Final = 1_000_000
"""Matroska keeps milliseconds: 20 s of video are 200 frames at 10 Hz, not 201."""


def import_video(path: Path, wanted: Wanted, others: tuple[str, ...] = ()) -> Imported:
    """Frames at `fps` (10 unless asked otherwise); `extra` says {"keys": false}.

    Where pictures are missing or damaged the session has a break. others: videos of the same name that are not taken.
    """
    folder = wanted.folder(path, path.stem)
    hz = wanted.fps or DEFAULT_FPS
    video = Video(path)
    with staged_session(folder, "protege import") as part:
        pictures = iter(video)
        first = next(((t_ns, frame) for t_ns, frame in pictures if frame is not None), None)
        assert first is not None  # a video without a picture is refused by its decoder
        info = SessionInfo(
            space=wanted.space,
            frame_hz=hz,
            frame_size=wanted.size or size_of(first[1]),
            source="import:video",
            libraries=libraries(),
            extra={"keys": False, "file": path.name},
        )
        missing: list[Break] = []
        with SessionWriter(part, info) as writer:
            end_ns = _write(path, writer, _from_zero(first, pictures, info.period_ns), missing, wanted)
            if video.claimed_ns is not None and video.claimed_ns - end_ns > longest_step_ns(info.period_ns):
                missing.append(Break(end_ns, video.claimed_ns, "pictures"))
            counts = _counts(video, missing) | ({"not_taken": " ".join(others)} if others else {})
            for one in missing:
                writer.event(Pause(one.start_ns, one.why))
                if one.stop_ns < end_ns:
                    writer.event(Held(one.stop_ns, NO_KEYS))
            if not missing or missing[-1].stop_ns < end_ns:
                writer.event(Pause(end_ns, "stop"))
            writer.finish(extra={"counts": counts, **_missing_share(video, missing)})
        return imported(folder, part, "video", counts, missing)


def _write(
    path: Path,
    writer: SessionWriter,
    pictures: Pictures,
    missing: list[Break],
    wanted: Wanted,
) -> int:
    """Write the pictures at the session's rate; returns the time after the last, adds gaps to `missing`."""
    encoded, jpeg = None, b""
    for t_ns, frame in resample(pictures, writer.info.period_ns, FOREVER_NS, missing):
        if frame is not encoded:
            encoded, jpeg = frame, jpeg_of(frame, writer.info.frame_size, path)
        writer.frame(t_ns, jpeg)
        wanted.report(path.stem, writer.frame_count)
    return missing.pop().start_ns  # for ever after the last picture


def _from_zero(first: "tuple[int, VideoFrame]", rest: Pictures, period_ns: int) -> Pictures:
    """All pictures from time 0 on; the last stands for as long as the one before it, but for one period at most."""
    yield 0, first[1]
    shown, gap = 0, period_ns
    for t_ns, frame in rest:
        if frame is not None:
            gap, shown = max(1, t_ns - first[0] - shown), t_ns - first[0]
        yield t_ns - first[0], frame
    yield shown + max(1, min(gap, period_ns) - ROUNDING_NS), None


def _counts(video: Video, missing: list[Break]) -> dict[str, Count]:
    """What was found, and what is missing against what the container claims."""
    counts: dict[str, Count] = {"video_frames": video.pictures}
    if video.claimed is not None and video.claimed > video.pictures:
        counts["video_frames_claimed"] = video.claimed
    if video.damaged:
        counts["damaged_pictures"] = video.damaged
    if missing:
        counts["seconds_missing"] = round(sum(one.stop_ns - one.start_ns for one in missing) / 1e9, 1)
        if video.claimed_ns is not None:
            counts["seconds_claimed"] = round(video.claimed_ns / 1e9, 1)
    return counts


def _missing_share(video: Video, missing: list[Break]) -> dict[str, int]:
    """For the verdict: pictures missing or damaged, and of how many; by the time they would fill where uncounted."""
    if video.claimed is not None:
        return {"pictures_missing": max(0, video.claimed - video.pictures), "pictures_claimed": video.claimed}
    lost_s = sum(one.stop_ns - one.start_ns for one in missing) / 1e9
    lost = video.damaged
    if missing and video.claimed_ns:
        shown_s = max(video.claimed_ns / 1e9 - lost_s, 1e-9)
        lost = max(lost, round(video.pictures * lost_s / shown_s))
    return {"pictures_missing": lost, "pictures_claimed": video.pictures + lost}
