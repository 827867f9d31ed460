"""All frames of a data set in one uint8 file, which batches are read from at the speed of the page cache.

`frames.u8` holds N_total frames of (3, H, W) one after another, `rows.npz` their actions, state and goals, and
`cache.json` says of every episode where it begins, what it was made from and the hash of its frames.
"""

import hashlib
import json
import math
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protege.cloning.store import Dataset, Episode
from protege.core import files
from protege.errors import UserError

_INDEX: Final = "cache.json"
_FRAMES: Final = "frames.u8"
_ROWS: Final = "rows.npz"
_MARK: Final = "lock"
"""An empty file that marks the folder as a cache."""
_VERSION: Final = 1
_PIECE: Final = 64
"""Frames read at a time, so that memory does not grow with an episode."""


@dataclass(frozen=True)
class Cache:
    """The N frames of a data set, and what belongs to each.

    frames: (N, 3, H, W) uint8, red first, a memory map; for batches use `read`
    actions: (N, A) bool
    state: (N, S) float32
    goals: (N,) int32, -1 for none
    offsets: by an episode's name, its rows [start, stop)
    """

    folder: Path
    frames: NDArray[np.uint8]
    actions: NDArray[np.bool_]
    state: NDArray[np.float32] | None
    goals: NDArray[np.int32] | None
    offsets: dict[str, tuple[int, int]]

    def rows(self, episodes: Iterable[Episode | str]) -> NDArray[np.int64]:
        """The rows of some episodes, in their order."""
        spans = [self.offsets[e if isinstance(e, str) else e.name] for e in episodes]
        return np.concatenate([np.arange(*span) for span in spans]) if spans else np.zeros(0, np.int64)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(…, 3, H, W) frames of (…) rows."""
        # Reads, since pages that a map touches count as this process's memory, and a page fault holds up other threads.
        shape = self.frames.shape[1:]
        found = np.empty((rows.size, *shape), np.uint8)
        with (self.folder / _FRAMES).open("rb", buffering=0) as file:
            for row, frame in zip(rows.flat, found, strict=True):
                file.seek(int(row) * math.prod(shape))
                if file.readinto(frame.data) != frame.nbytes:
                    raise UserError(f"{self.folder}: ends before frame {row}; delete the folder, it is built again")
        return found.reshape(*rows.shape, *shape)


class Entry(TypedDict):
    """An episode in `cache.json`: its rows [start, stop), the fingerprint of its source, the hash of its frames."""

    start: int
    stop: int
    source: str
    hash: int


def default_folder(dataset: Path, frame_size: tuple[int, int] | None = None) -> Path:
    """The default cache folder: hidden beside the data set, one for each (height, width)."""
    dataset = dataset.resolve()
    size = f".{frame_size[1]}x{frame_size[0]}" if frame_size else ""
    return dataset.with_name(f".{dataset.name}{size}.cache")


def build(
    dataset: Dataset,
    folder: Path | None = None,
    frame_size: tuple[int, int] | None = None,
    wait: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cache:
    """Build a data set's cache, or what is missing of it, episode by episode, so that a stop loses at most one.

    An episode is copied again where the store changed, or its bytes do not match their hash.

    folder: of the cache, None beside the store
    frame_size: (height, width) that frames are scaled to by area, None as stored
    wait: for another process that builds there, instead of an error
    progress: called with the frames that are ready and all frames

    UserError if the folder holds something else, another process is building there, or the disk is too small.
    """
    folder = folder or default_folder(dataset.path, frame_size)
    with _locked(folder, wait), files.writing(folder):
        _claim(folder)
        offsets = _offsets(dataset.episodes)
        total = max(stop for _, stop in offsets.values())
        shape = (total, 3, *(frame_size or dataset.episodes[0].frames.shape[2:]))
        done = _resumable(folder, dataset, offsets, shape)
        _require_space(folder, shape)
        ready = 0
        with (folder / _FRAMES).open("r+b") as frames:
            for episode in dataset.episodes:
                start, stop = offsets[episode.name]
                source = fingerprint(episode)
                entry = done.get(episode.name)
                if entry is None or entry["source"] != source or _hash(frames, start, stop, shape) != entry["hash"]:
                    written = _copy(episode, frames, start, shape, dataset.bgr)
                    done[episode.name] = {"start": start, "stop": stop, "source": source, "hash": written}
                    frames.flush()
                    _save_index(folder, shape, dataset, done)
                ready += len(episode)
                progress(ready, total)
        _save_rows(folder, dataset)
        return _open(folder, offsets, shape)


def fingerprint(episode: Episode) -> str:
    """A hash of the path, size and time of change of every file of an episode."""
    digest = hashlib.sha256()
    for path in sorted(path for path in episode.folder.rglob("*") if path.is_file()):
        about = path.stat()
        digest.update(f"{path.relative_to(episode.folder)}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _claim(folder: Path) -> None:
    """Make the folder; UserError where it holds something else."""
    if folder.exists() and not (folder / _MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: holds something that is not a cache; name an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


@contextmanager
def _locked(folder: Path, wait: bool) -> Iterator[None]:
    """Hold the cache's lock; wait: for another holder, instead of raising `files.Locked`."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(files.locked(folder.resolve(), "building a cache"))
                break
            except files.Locked:
                if not wait:
                    raise
            time.sleep(0.1)
        yield


def _offsets(episodes: Iterable[Episode]) -> dict[str, tuple[int, int]]:
    offsets, start = {}, 0
    for episode in episodes:
        offsets[episode.name] = (start, start + len(episode))
        start += len(episode)
    return offsets


def _resumable(
    folder: Path, dataset: Dataset, offsets: dict[str, tuple[int, int]], shape: tuple[int, ...]
) -> dict[str, Entry]:
    """Episodes of an earlier build that are still at their rows; the file of frames is given its size."""
    done: dict[str, Entry] = {}
    path, frame = folder / _FRAMES, math.prod(shape[1:])
    try:
        index = files.read_json(folder / _INDEX)
        same = index["version"] == _VERSION and index["frame"] == list(shape[1:]) and index["bgr"] == dataset.bgr
        if same and path.stat().st_size >= max((e["stop"] for e in index["episodes"].values()), default=0) * frame:
            whole = {n: e for n, e in index["episodes"].items() if {"source", "hash"} <= e.keys()}
            done = {n: e for n, e in whole.items() if offsets.get(n) == (e["start"], e["stop"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        done = {}
    with path.open("ab") as file:
        file.truncate(math.prod(shape))
    return done


def _require_space(folder: Path, shape: tuple[int, ...]) -> None:
    """UserError where the disk cannot hold the rest of the frames: a full disk would end the process by a signal."""
    needed = math.prod(shape) - (folder / _FRAMES).stat().st_blocks * 512
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {needed / 1e9:.1f} GB needed for the frames, {free / 1e9:.1f} GB free; make room, or name a "
            "folder on another disk"
        )


def _copy(episode: Episode, frames: IO[bytes], start: int, shape: tuple[int, ...], bgr: bool) -> int:
    """Write an episode's frames to their rows; returns their hash (CRC-32: finds damage at a fraction of SHA-256's
    cost).
    """
    found = 0
    frames.seek(start * math.prod(shape[1:]))
    for at in range(0, len(episode), _PIECE):
        piece = episode.read(at, min(at + _PIECE, len(episode)))
        piece = scaled(np.ascontiguousarray(piece[:, ::-1] if bgr else piece), shape[2:])
        found = zlib.crc32(piece.data, found)
        frames.write(piece.data)
    return found


def scaled(frames: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """(N, 3, h, w) frames scaled to (height, width); each new pixel is the mean of the area it covers."""
    if frames.shape[2:] == size:
        return frames
    height, width = size
    small = np.empty((*frames.shape[:2], height, width), np.uint8)
    for picture, out in zip(frames, small, strict=True):
        image = Image.fromarray(picture.transpose(1, 2, 0)).resize((width, height), Image.Resampling.BOX)
        out[:] = np.asarray(image).transpose(2, 0, 1)
    return small


def _hash(frames: IO[bytes], start: int, stop: int, shape: tuple[int, ...]) -> int:
    frame = math.prod(shape[1:])
    found = 0
    frames.seek(start * frame)
    for at in range(start, stop, _PIECE):
        found = zlib.crc32(frames.read((min(at + _PIECE, stop) - at) * frame), found)
    return found


def _save_index(folder: Path, shape: tuple[int, ...], dataset: Dataset, done: dict[str, Entry]) -> None:
    index = {
        "version": _VERSION,
        "source": str(dataset.path),
        "frame": list(shape[1:]),
        "bgr": dataset.bgr,
        "episodes": done,
    }
    files.write_text(folder / _INDEX, json.dumps(index, indent=1))


def _save_rows(folder: Path, dataset: Dataset) -> None:
    rows: dict[str, NDArray[np.generic]] = {
        "actions": np.concatenate([episode.actions for episode in dataset.episodes])
    }
    states = [episode.state for episode in dataset.episodes if episode.state is not None]
    if len(states) == len(dataset.episodes):
        rows["state"] = np.concatenate(states)
    if any(episode.goal is not None for episode in dataset.episodes):
        none = [np.full(len(e), -1, np.int32) if e.goal is None else e.goal for e in dataset.episodes]
        rows["goals"] = np.concatenate(none)
    with files.replacing(folder / _ROWS) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **rows)


def _open(folder: Path, offsets: dict[str, tuple[int, int]], shape: tuple[int, ...]) -> Cache:
    with np.load(folder / _ROWS, allow_pickle=False) as rows:
        found = {name: rows[name] for name in rows.files}
    frames = np.memmap(folder / _FRAMES, dtype=np.uint8, mode="r", shape=shape)
    return Cache(folder, frames, found["actions"], found.get("state"), found.get("goals"), offsets)
