"""What every importer shares: the wanted form of a recording, and the result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.quality import Quality, judge
from protege.core.session import library_versions
from protege.errors import UserError
from protege.recorder.config import check_name
from protege.recorder.importing.breaks import Break

DEFAULT_FPS: Final = 10.0

Count = int | float | str
"""Mostly a number; the names of files where several could be meant."""
Progress = Callable[[str, int], None]
"""Called with a session's name and the frames written so far."""


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
        if self.fps is not None and not 0.1 <= self.fps <= 240:
            raise UserError(f"--fps is between 0.1 and 240 frames a second, got {self.fps:g}")
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
    """A session made by importing; counts: what was kept and what was left out, by name; left_out: each break, in
    words.
    """

    folder: Path
    kind: str
    frames: int
    counts: Mapping[str, Any]
    quality: Quality
    left_out: tuple[str, ...] = ()


def imported(
    folder: Path, part: Path, kind: str, counts: dict[str, Count], breaks: Sequence[Break] = (), start_ns: int = 0
) -> Imported:
    """The report about the session in `part`, which will be `folder`; judges it. breaks: counted from `start_ns`."""
    quality = judge(part)
    return Imported(folder, kind, quality.frames, counts, quality, tuple(one.text(start_ns) for one in breaks))


def libraries() -> dict[str, str]:
    """Versions of what shaped the import."""
    return library_versions("av", "mcap", "opencv-python-headless")
