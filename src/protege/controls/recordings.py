"""Recorded demonstrations (`.npz`): reading, writing and checking them; nothing in a file is ever executed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.archive import Archive, Header, open_archive
from protege.controls.legacy import LEGACY, convert_v1
from protege.controls.tables import CONTROLS, DEFAULT_STATE, FRAME, HEADS, SCREEN, STATE
from protege.core.files import replacing
from protege.core.text import one_line
from protege.errors import UserError

VERSION: Final = 2
MIN_FRAMES: Final = 30
"""A shorter recording is not worth a file: one second."""
FPS_TOLERANCE: Final = 0.02
_SMALL: Final = {"version": "iufb", "fps": "iufb", "session_type": "US"}
"""Arrays of a single value, and the kinds that each may have."""
_ARRAYS: Final = ("frames", "controls", "game_state", "timestamps")
_UNITS: Final = {1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds"}


class BadRecording(UserError):
    """A file that cannot be used; reason: why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of N frames.

    frames: (N, 260) float32 landmarks, see `tables.INPUTS`.
    controls: (N, 28) and game_state: (N, 46) float32, see `tables.CONTROLS` and `tables.STATE`.
    timestamps: (N,) float64 seconds; fps: frames a second.
    session_type: what was played, "mixed" if unknown.
    absent_cursor: frames whose cursor was unknown (-1) and was taken from the frame before.
    """

    frames: NDArray[np.float32]
    controls: NDArray[np.float32]
    game_state: NDArray[np.float32]
    timestamps: NDArray[np.float64]
    fps: float = 30.0
    session_type: str = "mixed"
    path: Path = Path("unsaved.npz")
    absent_cursor: int = 0

    def __post_init__(self) -> None:
        length = len(self.frames)
        arrays = {name: getattr(self, name) for name in ("frames", "controls", "game_state", "timestamps")}
        _require_shapes(self.path, {name: array.shape for name, array in arrays.items()})
        if not length:
            raise BadRecording(self.path, "no frames; expected at least one; delete the file")
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                row = int(np.argwhere(~np.isfinite(values))[0, 0])
                raise BadRecording(self.path, f"{name} is not a number or infinite in frame {row}; record it again")
        if (np.diff(self.timestamps) < 0).any():
            raise BadRecording(self.path, "timestamps go backwards; expected seconds that grow; record it again")
        if (largest := float(np.abs(self.controls).max())) > 1.001:
            raise BadRecording(self.path, f"a control is {largest:g}; expected -1 to 1; record it again")
        if not 0 < self.fps < 1000:
            raise BadRecording(self.path, f"fps is {self.fps:g}; expected frames a second; record it again")
        _require_seconds(self.path, self.timestamps, self.fps)

    def __len__(self) -> int:
        return len(self.frames)

    def load(self) -> "Recording":
        """Itself, so that recordings in memory and on disk are prepared alike."""
        return self


@dataclass(frozen=True)
class RecordingFile:
    """A recording on disk of which only its metadata is read. length: frames."""

    path: Path
    length: int
    fps: float
    session_type: str

    def __len__(self) -> int:
        return self.length

    def load(self) -> Recording:
        return read(self.path)


Source = Recording | RecordingFile


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a search found: recordings to use, and files that were left out."""

    files: tuple[RecordingFile, ...]
    skipped: tuple[Skipped, ...] = field(default=())


def read(path: Path) -> Recording:
    """A recording of version 1 or 2, checked. BadRecording says what is wrong with it."""
    with _readable(path), open_archive(path) as archive:
        facts = _facts(path, archive)
        arrays = {name: archive.read(name) for name in facts.headers}
        if facts.version == 1:
            arrays = convert_v1(arrays)
        with np.errstate(over="ignore"):  # what is infinite then is named as such
            frames = np.asarray(arrays["frames"], dtype=np.float32)
            controls = np.array(arrays["controls"], dtype=np.float32)
            state = arrays.get("game_state")
            state = np.tile(DEFAULT_STATE, (len(frames), 1)) if state is None else np.asarray(state, dtype=np.float32)
        times = arrays.get("timestamps")
        times = np.arange(len(frames)) / facts.fps if times is None else np.asarray(times, dtype=np.float64)
    _require_shapes(path, {"frames": frames.shape, "controls": controls.shape, "game_state": state.shape})
    absent = fill_cursor(controls, state)
    return Recording(frames, controls, state, times, facts.fps, facts.session_type, path, absent)


def write(recording: Recording, path: Path) -> Path:
    """The inverse of `read`, as a compressed file of version 2 that appears whole or not at all."""
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            frames=recording.frames,
            controls=recording.controls,
            game_state=recording.game_state,
            timestamps=recording.timestamps,
            fps=np.float32(recording.fps),
            version=np.int32(VERSION),
            session_type=np.array(recording.session_type),
        )
    return path


def scan(places: Iterable[Path]) -> Scan:
    """Find recordings in files and folders, looking at headers only; files that cannot be used are listed with why.

    UserError when there is none to use, or when they were recorded at different rates.
    """
    places = list(places)
    found: list[RecordingFile] = []
    skipped: list[Skipped] = []
    for path in recording_files(places):
        try:
            found.append(_peek(path))
        except BadRecording as error:
            skipped.append(Skipped(path, error.reason))
    if not found:
        where = ", ".join(str(place) for place in places)
        why = f" ({len(skipped)} skipped; the first: {skipped[0].path}: {skipped[0].reason})" if skipped else ""
        raise UserError(f"{where}: no recording to use{why}; make some with: protege controls synth")
    require_one_rate(found)
    return Scan(tuple(found), tuple(skipped))


def recording_files(places: Iterable[Path]) -> Iterator[Path]:
    """Files as they are, folders by what is in them; UserError for what is not there."""
    for place in places:
        if place.is_dir():
            yield from sorted(file for file in place.glob("*.npz") if not file.name.startswith("."))
        elif place.exists():
            yield place
        else:
            raise UserError(f"{place}: no such file or folder; give recordings (.npz) or a folder of them")


def require_one_rate(sources: Sequence[Source]) -> float:
    """The frames a second that all were recorded at; UserError names two files that differ."""
    first = sources[0]
    for other in sources:
        if abs(other.fps - first.fps) > FPS_TOLERANCE * first.fps:
            raise UserError(
                f"{other.path}: {other.fps:g} frames a second, but {first.path} has {first.fps:g}; "
                "expected one rate; train on those of one rate"
            )
    return first.fps


def fill_cursor(controls: NDArray[np.float32], state: NDArray[np.float32]) -> int:
    """Put the last known place where a cursor is absent (-1), in place; returns how many frames had none.

    Before a first known place it is the screen's middle while a screen is open, and 0 as elsewhere while none is.
    """
    cursor = controls[:, HEADS["cursor"]]
    absent = (cursor < 0).any(axis=1)
    if not absent.any():
        return 0
    is_open = state[:, SCREEN] > 0
    last = np.maximum.accumulate(np.where(absent, -1, np.arange(len(cursor))))
    screens = np.cumsum(np.diff(is_open, prepend=False) & is_open)
    same = is_open & (last >= 0) & (screens[last] == screens) & is_open[last]
    cursor[absent] = np.where(is_open[absent], np.float32(0.5), np.float32(0))[:, None]
    filled = absent & same
    cursor[filled] = cursor[last[filled]]
    controls[:, HEADS["cursor"]] = cursor
    return int((absent & is_open).sum())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BadRecording(path, "no such file; give a recording (.npz)") from None
    except (ValueError, TypeError, IndexError) as error:  # of arrays that do not fit together, too
        reason = one_line(str(error), 200)
        raise BadRecording(path, f"not a recording ({reason}); expected .npz of version 1 or 2") from None


@dataclass(frozen=True)
class _Facts:
    """Metadata of a file. headers: of the arrays to be read, by name."""

    version: int
    fps: float
    session_type: str
    headers: Mapping[str, Header]


def _facts(path: Path, archive: Archive) -> _Facts:
    """Read the metadata from headers and small arrays. BadRecording or BadArchive where it is inconsistent."""
    small = {name: _small(path, archive, name) for name in _SMALL if name in archive.names}
    version = _version(path, archive, small)
    wanted = (*_ARRAYS,) if version == VERSION else (*LEGACY, "controls", "game_state", "timestamps")
    headers = {name: archive.header(name) for name in wanted if name in archive.names}
    for name in ("frames", "controls") if version == VERSION else ("pose_world", "controls"):
        if name not in headers:
            raise BadRecording(path, f"there is no {name!r} in it; expected a recording; record it again")
    for name, header in headers.items():
        if header.kind.kind not in "biuf":
            kind = {"c": "complex numbers", "U": "text", "S": "text"}.get(header.kind.kind, str(header.kind))
            raise BadRecording(path, f"{name} holds {kind}; expected numbers; not a recording, or record it again")
    shapes = {name: header.shape for name, header in headers.items()}
    if version == VERSION:
        _require_shapes(path, shapes)
    elif len({shape[:1] for shape in shapes.values()}) != 1:
        found = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())
        raise BadRecording(path, f"arrays of different lengths ({found}); record it again")
    return _Facts(version, float(small.get("fps", 30.0)), str(small.get("session_type", "")) or "mixed", headers)


def _small(path: Path, archive: Archive, name: str) -> Any:
    """The value of an array that holds a single one."""
    header = archive.header(name)
    if header.shape not in ((), (1,)) or header.kind.kind not in _SMALL[name] or header.kind.itemsize > 1024:
        what = "a short text" if name == "session_type" else "a number"
        raise BadRecording(path, f"{name} is {header.kind} of {header.shape}; expected {what}; record it again")
    return archive.read(name).reshape(-1)[0]


def _version(path: Path, archive: Archive, small: Mapping[str, Any]) -> int:
    """What the file says, or else what its arrays show."""
    if "version" in small:
        if small["version"] not in (1, VERSION):
            found = f"version {small['version']}"
            raise BadRecording(path, f"{found}; expected 1 or 2 (3 has no landmarks to learn from)")
        return int(small["version"])
    if "frames" in archive.names and archive.header("frames").shape[1:] == (FRAME,):
        return VERSION
    if "pose_world" in archive.names:
        return 1
    if "frames" in archive.names:
        return VERSION  # whose widths it does not have, as is said then
    raise BadRecording(path, "there is no 'frames' in it; expected a recording; record it again")


def _require_seconds(path: Path, times: NDArray[np.float64], fps: float) -> None:
    """BadRecording for times in another unit than seconds: a frame would last far longer than the rate says."""
    step = float(np.median(np.diff(times))) * fps if len(times) > 1 else 1.0
    for scale, unit in _UNITS.items():
        if scale / 5 < step < scale * 5:
            raise BadRecording(
                path,
                f"timestamps grow by {step / fps:g} a frame at {fps:g} frames a second: {unit}; expected seconds; "
                f"divide them by {scale:,.0f}",
            )


def _require_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    length = shapes["frames"][0] if shapes["frames"] else 0
    widths = {"frames": (FRAME,), "controls": (len(CONTROLS),), "game_state": (len(STATE),), "timestamps": ()}
    for name, shape in shapes.items():
        if shape != (length, *widths[name]):
            expected = " x ".join(str(size) for size in (length, *widths[name]))
            found = " x ".join(str(size) for size in shape)
            raise BadRecording(path, f"{name} is {found}; expected {expected}; record it again")


def _peek(path: Path) -> RecordingFile:
    """Read the metadata only."""
    with _readable(path), open_archive(path) as archive:
        facts = _facts(path, archive)
    if (length := facts.headers["controls"].shape[0]) < MIN_FRAMES:
        raise BadRecording(path, f"{length} frames; expected {MIN_FRAMES} or more; record for longer")
    return RecordingFile(path, length, facts.fps, facts.session_type)
