"""What every importer shares: the wanted form of a recording, the result, pictures at a fixed rate."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.quality import Quality, judge
from protege.core.session import library_versions
from protege.errors import MissingExtra, UserError
from protege.recorder.config import check_name
from protege.recorder.pipeline import encode_bgra

DEFAULT_FPS: Final = 10.0

Progress = Callable[[str, int], None]
"""Called with a session's name and the frames written so far."""

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """How imported sessions shall be: fps None keeps a recording's own rate where it has one (else 10 Hz); size
    (width, height), None for its own; pictures of another size are stretched to it as the recorder does.
    """

    out: Path
    fps: float | None = None
    size: tuple[int, int] | None = (640, 480)
    space: ActionSpace = KEYBOARD_12
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps <= 240:
            raise UserError(f"--fps is between 0 and 240 frames a second, got {self.fps:g}")
        if self.size is not None and not all(16 <= side <= 7680 for side in self.size):
            raise UserError(f"--size {self.size[0]}x{self.size[1]}: expected sides of 16 to 7680 pixels")

    def folder(self, source: Path, name: str) -> Path:
        """Where the session made of `source` shall lie; UserError if no session can be called that."""
        try:
            check_name("the name", name)
        except UserError as error:
            raise UserError(f"{source}: {error}; rename it") from None
        return self.out / name

    def report(self, name: str, frames: int) -> None:
        if self.progress is not None:
            self.progress(name, frames)


@dataclass(frozen=True)
class Imported:
    """A session made by importing; counts: what was kept and what was left out, by name."""

    folder: Path
    kind: str
    frames: int
    counts: dict[str, Any]
    quality: Quality


def imported(folder: Path, part: Path, kind: str, counts: dict[str, Any]) -> Imported:
    """The report about the session in `part`, which will be `folder`; judges it."""
    quality = judge(part)
    return Imported(folder, kind, quality.frames, counts, quality)


def resample(pictures: Iterable[tuple[int, T]], period_ns: int, until_ns: int) -> Iterator[tuple[int, T]]:
    """At every tick from the first picture's time to `until_ns` (left out), the newest picture at or before it.

    pictures: in order of time (ns). A screen that did not change sent no picture: the old one stands.
    """
    latest: tuple[int, T] | None = None
    tick = 0
    for t_ns, picture in pictures:
        if latest is None:
            tick = t_ns
        else:
            while tick < min(t_ns, until_ns):
                yield tick, latest[1]
                tick += period_ns
        latest = (t_ns, picture)
    if latest is not None:
        while tick < until_ns:
            yield tick, latest[1]
            tick += period_ns


def decode_video(path: Path) -> Iterator[tuple[int, Any]]:
    """(pts in ns, PyAV frame) of every picture of a video, in order of display; UserError if it has none.

    A video that is cut off gives what it has.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError:
        raise MissingExtra("av", "record") from None
    seen = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"{path}: no video stream in it; expected a recording of the screen")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.pts is None or frame.time_base is None:
                    continue
                seen += 1
                yield round(frame.pts * frame.time_base * 1_000_000_000), frame
    except FFmpegError as error:
        if not seen:
            what = error.strerror or type(error).__name__
            raise UserError(
                f"{path}: not a video that can be read ({what}); expected mp4 or mkv, copy it again"
            ) from None
    if not seen:
        raise UserError(f"{path}: no pictures in it; expected a recording of the screen, copy it again")


def jpeg_of(frame: Any, size: tuple[int, int] | None) -> bytes:
    """JPEG bytes of a PyAV frame, encoded and stretched by the recorder's own code."""
    return encode_bgra(frame.to_ndarray(format="bgra"), size or (frame.width, frame.height))


def libraries() -> dict[str, str]:
    """Versions of what shaped the import."""
    return library_versions("av", "mcap", "opencv-python-headless")
