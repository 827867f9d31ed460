"""Reads one episode of a zarr store: its rows at once, its frames when they are asked for."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import zarr
from numpy.typing import NDArray

from protege.cloning import groups
from protege.cloning.chunks import Frames, Stored, holds_only_fill, look
from protege.errors import UserError

Number = TypeVar("Number", bound=np.generic)

_ROWS: Final = ("actions", "state", "goal", "mouse")
"""Arrays that are read whole; any other array of an episode is left alone."""
_MAX_ROWS: Final = 256 << 20
"""Bytes of such an array."""


@dataclass(frozen=True)
class Episode:
    """One episode of N frames.

    actions: (N, A)
    state: (N, S), None without
    goal: (N,) indices, -1 for none, None without
    mouse: (N, 2) counts right and down, None without
    attributes: as the store has them
    """

    name: str
    folder: Path
    frames: Frames
    actions: NDArray[np.bool_]
    state: NDArray[np.float32] | None = None
    goal: NDArray[np.int32] | None = None
    mouse: NDArray[np.float32] | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def fps(self) -> float | None:
        """Frames per second; None where the episode says something that is not a rate."""
        said = self.attributes.get("fps", groups.FPS)
        try:
            found = float(said) if isinstance(said, int | float | str) else math.nan
        except (ValueError, OverflowError):
            return None
        return found if 0 < found < math.inf else None

    @cached_property
    def identity(self) -> str:
        """A hash of its actions and of its first and last frame, whatever its number and wherever the store lies."""
        digest = hashlib.sha256(f"{self.frames.shape}{self.actions.shape}".encode())
        for part in (np.packbits(self.actions), self.read(0, 1), self.read(len(self) - 1, len(self))):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()[:16]

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """(n, 3, H, W) uint8 of frames [start, stop). UserError names a chunk that cannot be decoded."""
        try:
            return self.frames.read(start, stop)
        except (ValueError, RuntimeError, OSError) as error:
            raise UserError(
                f"{self.folder}: frames {start} to {stop} cannot be decoded ({error}); delete the episode or "
                "write it again"
            ) from error


def read_episode(folder: Path, ours: bool) -> tuple[Episode, int]:
    """An episode, and how many chunks of zeros it leaves out. ValueError or OSError in words if it is not usable.

    ours: the store has an attribute that only our writer gives
    """
    group = groups.open_group(folder)
    frames = groups.open_array(folder / "frames")
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != np.uint8 or not frames.shape[0]:
        raise ValueError(f"frames are {frames.shape} {frames.dtype}, expected (N, 3, H, W) uint8 with N > 0")
    arrays = {"frames": frames}
    for name in _ROWS:
        if name == "actions" or (folder / name).is_dir():
            arrays[name] = array = groups.open_array(folder / name)
            _require_rows(name, array, frames.shape[0])
    # Our writer stores chunks of zeros, too, so that an absent one was lost.
    complete = ours and "stored_resolution" in group.attrs
    absent = _look_at_chunks(folder, arrays, complete)
    rows = {name: _rows(array) for name, array in arrays.items() if name != "frames"}
    actions, state, goal, mouse = (rows.get(name) for name in _ROWS)
    if actions is None or actions.ndim != 2 or not np.isin(actions, (0, 1)).all():
        raise ValueError(f"actions are {arrays['actions'].shape} of other than 0 and 1, expected (N, A) bool")
    episode = Episode(
        folder.name,
        folder,
        Frames(frames, folder / "frames", filled=not complete),
        actions.astype(bool),
        None if state is None or state.ndim != 2 else _as(state, np.float32),
        None if goal is None or goal.ndim != 1 else _as(goal, np.int32),
        None if mouse is None or mouse.shape[1:] != (2,) else _as(mouse, np.float32),
        dict(group.attrs),
    )
    return episode, absent


def _require_rows(name: str, array: zarr.Array, count: int) -> None:
    """ValueError for an array of another length, of something else than numbers, or too large for memory."""
    if array.shape[:1] != (count,):
        raise ValueError(f"{count} frames but {array.shape[0] if array.ndim else 0} rows of {name}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} are {array.dtype}, expected numbers")
    if (size := int(np.prod([float(n) for n in array.shape])) * array.dtype.itemsize) > _MAX_ROWS:
        raise ValueError(f"{name} claims {size / 1e6:,.0f} MB; expected at most {_MAX_ROWS / 1e6:,.0f}")


def _look_at_chunks(folder: Path, arrays: Mapping[str, zarr.Array], complete: bool) -> int:
    """How many chunks of zeros are left out; ValueError where a chunk is lost or truncated."""
    stored: dict[str, Stored] = {name: look(array, folder / name) for name, array in arrays.items()}
    for name, found in stored.items():
        if found.damage:
            raise ValueError(found.damage.format(name))
    absent = sum(len(found.absent) for found in stored.values())
    if absent and (complete or stored["frames"].most_absent or _zeros_stored(arrays, stored)):
        name, found = next((name, found) for name, found in stored.items() if found.absent)
        raise ValueError(
            f"{len(found.absent)} of {found.count} chunks of {name} missing (zarr would read zeros), the first at "
            f"{found.absent[0]}"
        )
    return absent


def _zeros_stored(arrays: Mapping[str, zarr.Array], stored: Mapping[str, Stored]) -> bool:
    """Whether the episode's writer stores chunks of zeros: the smallest chunk is one."""
    return any(found.smallest is not None and holds_only_fill(arrays[n], found.smallest) for n, found in stored.items())


def _rows(array: zarr.Array) -> NDArray[np.generic]:
    with groups.zarr_errors():
        return np.asarray(array[:])


def _as(values: NDArray[np.generic], kind: type[Number]) -> NDArray[Number]:
    with np.errstate(over="ignore", invalid="ignore"):  # the checks name what is no number then
        return values.astype(kind)
