"""Decoding a video that nobody vouches for: past its damage, within bounds, and saying what is missing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from protege.core.events import NEVER_NS
from protege.core.files import regular_size
from protege.errors import MissingExtra, UserError
from protege.recorder.pipeline import encode_bgra

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

# FFmpeg knows formats that name other files or addresses (playlists, lists of parts) and goes there; only these hold
# the pictures themselves.
FORMATS: Final = "matroska,webm,mov,mp4,avi"
MAX_SIDE: Final = 7680
MAX_PIXELS: Final = 7680 * 4320
Pictures = Iterator[tuple[int, "VideoFrame | None"]]
"""(time in ns, picture); None where one is missing."""
Ticks = Iterator[tuple[int, "VideoFrame"]]
MAX_BAD_READS: Final = 20
"""So often in a row may a container fail to give a packet before the rest counts as lost."""


class Video:
    """The pictures of a video, read once by iterating.

    Iterating yields (pts in ns, PyAV frame) in order of display, and (pts, None) where pictures were lost: their
    packets are missing or damaged, and what the decoder would show in their place is a guess. UserError if there is no
    picture at all.

    pictures, damaged: decoded so far, and lost to damage; claimed: how many pictures the container says it holds,
    claimed_ns: how long it says it is (None where it does not say); size: (width, height) as shown, rotation obeyed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pictures = 0
        self.damaged = 0
        self.claimed: int | None = None
        self.claimed_ns: int | None = None

    def __iter__(self) -> Pictures:
        try:
            import av
            from av.error import FFmpegError
        except ImportError:
            raise MissingExtra("av", "record") from None
        try:
            regular_size(self.path)
            # An absolute path is never taken for an address: "concat:x.mp4" is a fine name of a file.
            options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
            with av.open(str(self.path.absolute()), options=options) as container:
                yield from self._decode(container, self._stream(container), FFmpegError)
        except (FFmpegError, ValueError) as error:
            what = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
            raise UserError(
                f"{self.path}: not a video that can be read ({what}); expected mp4 or mkv, copy it again"
            ) from None
        if not self.pictures:
            raise UserError(f"{self.path}: no pictures in it; expected a recording of the screen, copy it again")

    def _stream(self, container: "InputContainer") -> "VideoStream":
        if not container.streams.video:
            raise UserError(f"{self.path}: no video stream in it; expected a recording of the screen")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise UserError(
                f"{self.path}: its pictures are coded in a way that is not known; convert it to mp4 (H.264)"
            )
        width, height = stream.codec_context.width, stream.codec_context.height
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise UserError(
                f"{self.path}: its pictures are {width}x{height}, expected at most 7680x4320; make a smaller copy"
            )
        stream.thread_type = "AUTO"
        self.claimed = stream.frames or None
        if stream.duration and stream.time_base:
            self.claimed_ns = round(stream.duration * stream.time_base * 1_000_000_000)
        elif container.duration:  # counted from time 0, also where the first picture comes later
            self.claimed_ns = container.duration * 1000 - max(0, container.start_time or 0) * 1000
        return stream

    def _decode(self, container: "InputContainer", stream: "VideoStream", failure: type[Exception]) -> Pictures:
        last_ns: int | None = None
        lost = False
        for frame in self._frames(container, stream, failure):
            if frame is None or frame.is_corrupt:
                self.damaged += 1
                lost = True
                continue
            if frame.pts is None or frame.time_base is None:
                continue
            t_ns = round(frame.pts * frame.time_base * 1_000_000_000)
            if abs(t_ns) >= NEVER_NS or (last_ns is not None and t_ns <= last_ns):
                continue
            if lost and last_ns is not None:
                yield last_ns + max(1, min(self._period_ns(stream), t_ns - last_ns - 1)), None
            self.pictures += 1
            last_ns, lost = t_ns, False
            yield t_ns, frame
        if lost and last_ns is not None:
            yield last_ns + self._period_ns(stream), None

    def _period_ns(self, stream: "VideoStream") -> int:
        return round(1_000_000_000 / stream.average_rate) if stream.average_rate else 1

    def _frames(
        self, container: "InputContainer", stream: "VideoStream", failure: type[Exception]
    ) -> "Iterator[VideoFrame | None]":
        """Every frame, and None for each packet that cannot be decoded."""
        bad_reads = 0
        while bad_reads < MAX_BAD_READS:
            try:
                for packet in container.demux(stream):
                    bad_reads = 0
                    try:
                        frames = packet.decode()
                    except failure:
                        yield None
                        continue
                    yield from frames
                return
            except failure:  # the container is damaged here; reading goes on behind it
                bad_reads += 1


def decode_video(path: Path) -> Ticks:
    """(pts in ns, PyAV frame) of every picture of a video, in order of display; UserError if it has none."""
    return ((t_ns, frame) for t_ns, frame in Video(path) if frame is not None)


def size_of(frame: "VideoFrame") -> tuple[int, int]:
    """(width, height) of a PyAV frame as it is to be shown."""
    return (frame.height, frame.width) if _quarter_turns(frame) % 2 else (frame.width, frame.height)


def jpeg_of(frame: "VideoFrame", size: tuple[int, int] | None, path: Path) -> bytes:
    """JPEG bytes of a PyAV frame, turned as its flag says, encoded and stretched by the recorder's own code.

    UserError, which names the video `path`, if its pixels are of a kind that cannot be converted.
    """
    try:
        bgra = frame.to_ndarray(format="bgra")
    except (OSError, ValueError) as error:
        what = (error.strerror if isinstance(error, OSError) else "") or error
        raise UserError(
            f"{path}: its pictures ({frame.format.name}) cannot be converted ({what}); convert it to mp4"
        ) from None
    upright = np.ascontiguousarray(np.rot90(bgra, _quarter_turns(frame)), dtype=np.uint8)
    return encode_bgra(upright, size or size_of(frame))


def _quarter_turns(frame: "VideoFrame") -> int:
    """How often to turn it by 90 degrees to the left."""
    return round(frame.rotation / 90) % 4
