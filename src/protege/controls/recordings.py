"""Recorded demonstrations (`.npz`): reading, writing and checking them; nothing in a file is ever executed."""

import io
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.legacy import convert_v1
from protege.controls.tables import CONTROLS, DEFAULT_STATE, FRAME, HEADS, SCREEN, STATE
from protege.errors import UserError

VERSION: Final = 2
MIN_FRAMES: Final = 30
"""A shorter recording is not worth a file: one second."""
FPS_TOLERANCE: Final = 0.02
UNREADABLE: Final = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)
"""What numpy and zipfile raise on files that are cut short, damaged or hold Python objects."""


class BadRecording(UserError):
    """A file that cannot be used, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


@dataclass(frozen=True, eq=False)
class Recording:
    """frames: (N, 260) float32, landmarks as in `tables.INPUTS`; controls: (N, 28) and game_state: (N, 46) float32 by
    `tables.CONTROLS` and `tables.STATE`; timestamps: (N,) float64 seconds; fps: frames a second; session_type: what
    was played, "mixed" if nobody said; path: its file; absent_cursor: frames whose cursor was unknown (-1) and was
    taken from the frame before.
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

    def __len__(self) -> int:
        return len(self.frames)

    def load(self) -> "Recording":
        """Itself: what is in memory already and what is still a file are prepared alike."""
        return self


@dataclass(frozen=True)
class RecordingFile:
    """A recording on disk of which only the small facts are read. length: frames."""

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
    with _readable(path), path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
        arrays = {name: _member(file.zip, name) for name in file.files}
    version = _version(path, arrays)
    with _readable(path):
        if version == 1:
            arrays = convert_v1(arrays)
        frames = np.asarray(arrays["frames"], dtype=np.float32)
        length = len(frames)
        controls = np.array(arrays["controls"], dtype=np.float32)
        state = arrays.get("game_state")
        state = np.tile(DEFAULT_STATE, (length, 1)) if state is None else np.asarray(state, dtype=np.float32)
        fps = float(arrays.get("fps", 30.0))
        times = arrays.get("timestamps")
        times = np.arange(length) / fps if times is None else np.asarray(times, dtype=np.float64)
        session_type = str(arrays.get("session_type", "mixed"))
    _require_shapes(path, {"frames": frames.shape, "controls": controls.shape, "game_state": state.shape})
    absent = fill_cursor(controls, state)
    return Recording(frames, controls, state, times, fps, session_type or "mixed", path, absent)


def write(recording: Recording, path: Path) -> Path:
    """The inverse of `read`, as a compressed file of version 2 that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
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
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
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
    except KeyError as error:
        raise BadRecording(path, f"there is no {error} in it; expected a recording; record it again") from None
    except UNREADABLE as error:
        what = "Python objects, which are never loaded" if "pickle" in str(error) else str(error).splitlines()[0]
        raise BadRecording(path, f"not a recording ({what}); expected .npz of version 1 or 2") from None


def _version(path: Path, arrays: Mapping[str, Any]) -> int:
    try:
        version = int(arrays.get("version", 1))
    except (TypeError, ValueError):
        version = -1
    if version not in (1, VERSION):
        raise BadRecording(path, f"version {arrays['version']!r}; expected 1 or 2 (3 has no landmarks to learn from)")
    return version


def _require_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    length = shapes["frames"][0] if shapes["frames"] else 0
    widths = {"frames": (FRAME,), "controls": (len(CONTROLS),), "game_state": (len(STATE),), "timestamps": ()}
    for name, shape in shapes.items():
        if shape != (length, *widths[name]):
            expected = " x ".join(str(size) for size in (length, *widths[name]))
            found = " x ".join(str(size) for size in shape)
            raise BadRecording(path, f"{name} is {found}; expected {expected}; record it again")


def _peek(path: Path) -> RecordingFile:
    """The facts of a file from its headers and its small arrays."""
    with _readable(path), path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
        small = {name: file[name] for name in ("version", "fps", "session_type") if name in file.files}
        version = _version(path, small)
        shapes = {name: _shape(file.zip, name) for name in file.files if name not in small}
        fps, session_type = float(small.get("fps", 30.0)), str(small.get("session_type", "mixed"))
        if version == VERSION:
            known = {n: shapes[n] for n in ("frames", "controls", "game_state", "timestamps") if n in shapes}
            _require_shapes(path, {"frames": shapes["frames"], "controls": shapes["controls"], **known})
        length = shapes["controls"][0]
    if length < MIN_FRAMES:
        raise BadRecording(path, f"{length} frames; expected {MIN_FRAMES} or more; record for longer")
    return RecordingFile(path, length, fps, session_type or "mixed")


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(f"{name}.npy") as member:
        return _header(member)[0]


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array, decompressed in one go into memory of its size, so it may be read only. Raises what np.load would."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:  # checks the member's own header and leaves the file where its data begin
        if info.compress_type != zipfile.ZIP_DEFLATED or archive.fp is None:
            data = member.read()
        else:
            data = zlib.decompress(archive.fp.read(info.compress_size), -zlib.MAX_WBITS, info.file_size)
            if zlib.crc32(data) != info.CRC:
                raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    stream = io.BytesIO(data)
    shape, by_column, kind = _header(stream)
    if kind.hasobject or by_column:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    return np.frombuffer(data, kind, math.prod(shape), stream.tell()).reshape(shape)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    major, _ = np.lib.format.read_magic(member)
    read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    return read_header(member)
