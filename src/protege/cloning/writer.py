"""Writes zarr episodes, each whole or not at all, one writer at a time."""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from protege.cloning import groups
from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.files import locked, move, writing
from protege.errors import MissingExtra, UserError

try:
    import zarr
    from zarr.codecs import BloscCodec
except ImportError as error:
    raise MissingExtra("zarr", "cloning") from error

if TYPE_CHECKING:
    from zarr.core.array_spec import ArrayConfigLike
    from zarr.core.common import JSON

VERSION: Final = "1.0"
_ROWS: Final = 1000
"""Rows of actions and state in a chunk."""
_PIECE: Final = 64
"""Frames written at a time."""


def _not_told_yet(record: logging.LogRecord) -> bool:
    """False for asyncio's tracebacks of zarr's other threads after one has failed; the first error was raised."""
    error = record.exc_info[1] if record.exc_info else None
    text = record.getMessage()
    return not (isinstance(error, OSError) and "never retrieved" in text) and "destroyed but it is pending" not in text


logging.getLogger("asyncio").addFilter(_not_told_yet)


class Writer:
    """Adds episodes to a new store or to one that it wrote, under the next free numbers.

    Holds the store's lock until it is closed.
    """

    def __init__(
        self,
        path: Path,
        keys: Sequence[str],
        attributes: Sequence[str] = (),
        source: str = "protege",
        doing: str = "protege export",
        space: ActionSpace | None = None,
    ) -> None:
        """Open or make the store.

        attributes: names of the state's columns
        source: what the episodes are made from
        doing: the command, named to a second writer
        space: of the actions, which is stored, so that a model presses the very same; None for a store of names alone

        UserError for a store with other actions, something else in its place, or another writer.
        """
        self.path, self.keys = path, tuple(keys)
        self._stack = ExitStack()
        with ExitStack() as failed:
            failed.callback(self.close)
            self._stack.enter_context(locked(path.resolve(), doing))
            self._open(attributes, source, space)
            failed.pop_all()

    def _open(self, attributes: Sequence[str], source: str, space: ActionSpace | None) -> None:
        path = self.path
        if path.exists() and not (path / "zarr.json").exists() and (path.is_file() or any(path.iterdir())):
            raise UserError(f"{path}: holds something that is not a zarr 3 store; name a new folder")
        about = dict(groups.open_root(path).attrs) if (path / "zarr.json").exists() else {}
        if "keys" in about and (named := groups.names(path, about, "keys")) != self.keys:
            raise UserError(f"{path}: has the actions {' '.join(named)}, these are {' '.join(self.keys)}")
        if space in (None, KEYBOARD_12):
            space = None  # a store of the twelve keys stays what it was
        there = groups.space(path, about)
        if "keys" in about and there != space and (there or (space and space.look)):
            raise UserError(
                f"{path}: was written for {there.name if there else 'keys alone'}, these are of "
                f"{space.name if space else 'keys alone'}; name a new store"
            )
        self._goals = list(groups.names(path, about, "goals"))
        with writing(path):
            self._root = zarr.open_group(path, mode="a", zarr_format=3, use_consolidated=False)
            about |= {"keys": list(self.keys), "attributes": list(attributes), "version": VERSION}
            about |= {} if space is None else {groups.SPACE: space.to_json()}
            about |= {"format": "framewise", "channel_order": "rgb", "source": source}
            if about != dict(self._root.attrs):
                self._root.attrs.update(about)
        there = self._finished()
        self._next = max(there, default=-1) + 1
        self.sessions = {name: about for about in there.values() if (name := _session(about)) is not None}
        """By name, the recordings that the store had: attributes of one of their episodes."""
        self.size = next((size for about in there.values() if (size := _size(about))), None)
        """(width, height) of the store's frames, None while it has none."""

    def close(self) -> None:
        """Release the store's lock."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _finished(self) -> dict[int, Mapping[str, object]]:
        """By number, the attributes of the store's episodes, after those of a half-written recording were deleted."""
        folders = groups.episode_folders(self.path)
        about: dict[Path, Mapping[str, object]] = {}
        for _, folder in folders:
            try:
                about[folder] = dict(groups.open_group(folder).attrs)
            except (OSError, ValueError) as error:
                raise UserError(f"{folder}: not an episode ({error}); move it elsewhere, or name a new store") from None
        found = Counter(_session(each) for each in about.values())
        for folder, each in about.items():
            if _session(each) is not None and found[_session(each)] < _episodes(each):
                shutil.rmtree(folder)
        return {number: about[folder] for number, folder in folders if folder.exists()}

    def goal(self, sentence: str) -> int:
        """The index of a goal, which is added where it is new."""
        if sentence not in self._goals:
            self._goals.append(sentence)
            with writing(self.path):
                self._root.attrs["goals"] = self._goals
        return self._goals.index(sentence)

    def require_size(self, size: tuple[int, int]) -> None:
        """UserError where the store has frames of another (width, height)."""
        if self.size not in (None, size):
            there = "x".join(map(str, self.size or ()))
            raise UserError(f"{self.path}: holds frames of {there}, these are {size[0]}x{size[1]}; give --size {there}")

    def episode(
        self,
        frames: Iterable[NDArray[np.uint8]],
        actions: NDArray[np.bool_],
        state: NDArray[np.float32] | None = None,
        goal: NDArray[np.int32] | None = None,
        attributes: Mapping[str, object] | None = None,
        mouse: NDArray[np.float32] | None = None,
    ) -> str:
        """Write one episode of N (3, H, W) frames, taken as they come, and (N, A) actions; returns its name.

        state: (N, S). goal: (N,) indices that `goal` gave, -1 for none. attributes: of the episode, as JSON.
        mouse: (N, 2) counts right and down of a space that looks with it.

        UserError where the frames are not the size of the store's; ValueError where N or A are not what they should
        be; ProtegeError where the disk is full.
        """
        count = len(actions)
        if not count or actions.shape[1:] != (len(self.keys),):
            raise ValueError(f"expected (N, {len(self.keys)}) actions with N > 0, got {actions.shape}")
        name = f"episode_{self._next}"
        part = self.path / f"part_{name}"  # left by a writer that was killed: this one holds the lock
        shutil.rmtree(part, ignore_errors=True)
        try:
            with writing(self.path):
                group = self._root.create_group(part.name)
                width, height = self._write_frames(group, frames, count)
                about = {"fps": groups.FPS, "frame_count": count, "stored_resolution": [width, height]}
                group.attrs.update(cast("dict[str, JSON]", {**about, **(attributes or {})}))
                _create(group, "actions", actions.shape, bool)[:] = actions
                if mouse is not None:
                    _create(group, "mouse", mouse.shape, np.float32)[:] = mouse
                if state is not None:
                    _create(group, "state", state.shape, np.float32)[:] = state
                if goal is not None:
                    _create(group, "goal", goal.shape, np.int32)[:] = goal
                move(part, self.path / name)
        except BaseException:
            _remove(part)
            raise
        self._next += 1
        return name

    def _write_frames(self, group: zarr.Group, frames: Iterable[NDArray[np.uint8]], count: int) -> tuple[int, int]:
        """Write frames, _PIECE at a time; returns their (width, height)."""
        array: zarr.Array | None = None
        waiting, written = [], 0
        for number, frame in enumerate(frames, 1):
            if array is None:
                self.require_size((frame.shape[2], frame.shape[1]))
                self.size = (frame.shape[2], frame.shape[1])
                array = _create(group, "frames", (count, 3, *frame.shape[1:]), np.uint8)
            waiting.append(frame)
            if len(waiting) == _PIECE or number == count:
                array[written:number] = np.stack(waiting)
                waiting, written = [], number
        if written != count or waiting or self.size is None:
            raise ValueError(f"{count} actions, but not as many frames")
        return self.size


def _remove(folder: Path) -> None:
    """Delete a folder that zarr's threads may still write to: after one has failed the others make it again."""
    quiet = 0
    for _ in range(40):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)
        quiet = 0 if folder.exists() else quiet + 1
        if quiet == 6:
            return


def _session(about: Mapping[str, object]) -> str | None:
    """The name of an episode's recording."""
    name = about.get("session_name")
    return name if isinstance(name, str) else None


def _episodes(about: Mapping[str, object]) -> int:
    """How many episodes an episode's recording has."""
    count = about.get("session_episodes")
    return count if isinstance(count, int) else 1


def _size(about: Mapping[str, object]) -> tuple[int, int] | None:
    size = about.get("stored_resolution")
    if isinstance(size, list) and len(size) == 2 and all(isinstance(part, int) for part in size):
        return size[0], size[1]
    return None


def _create(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> zarr.Array:
    """An empty array: a chunk holds one frame, or many rows of anything else."""
    chunks = (1, *shape[1:]) if name == "frames" else (min(_ROWS, shape[0]), *shape[1:])
    # zarr's own choice (bit shuffle) makes uint8 pictures larger; empty chunks are written, so that a lost one shows.
    blosc = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=np.dtype(dtype).itemsize)
    config: ArrayConfigLike = {"write_empty_chunks": True}
    return group.create_array(name, shape=shape, dtype=np.dtype(dtype), chunks=chunks, compressors=blosc, config=config)
