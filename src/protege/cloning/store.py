"""The zarr data set of episodes: its reader, which names whatever is wrong with one.

`episode_<i>/frames` [N, 3, H, W] uint8, `actions` [N, A] bool, optional `state` [N, S] float32 and `goal` [N] int32
(-1: none); root attributes `keys`, `attributes` (the state's columns), `goals` (sentences), `channel_order`. One chunk
is one frame, so that random access reads no more than it needs. Stores of zarr 2 and 3 are read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.core.text import one_line
from protege.errors import MissingExtra, UserError

try:
    from protege.cloning import groups
    from protege.cloning.checks import agree_on_actions, agree_on_rate, agree_on_size, check_state
    from protege.cloning.chunks import Frames, Stored, holds_only_fill, look
except ImportError as error:
    raise MissingExtra("zarr", "cloning") from error

ORDERS: Final = ("rgb", "bgr")
_ROWS: Final = ("actions", "state", "goal")
"""Read whole; any other array of an episode is somebody else's."""
_MAX_ROWS: Final = 256 << 20
"""Bytes of such an array."""


@dataclass(frozen=True)
class Episode:
    """One episode of a store, opened for reading; of its frames only what is asked for is read."""

    name: str
    folder: Path
    frames: Frames
    actions: NDArray[np.bool_]
    state: NDArray[np.float32] | None = None
    goal: NDArray[np.int32] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def identity(self) -> str:
        """The same wherever the store lies and whatever number the episode has: a hash of its actions and of its first
        and last picture.
        """
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


@dataclass(frozen=True)
class Dataset:
    """keys: the A actions' names; attributes: the S state columns'; goals: sentences; problems: what was found wrong,
    a line each; episodes: those that can be used, by number; bgr: whether colours are stored blue first; assumed: what
    the store does not say and was taken for granted, a line each.
    """

    path: Path
    keys: tuple[str, ...]
    attributes: tuple[str, ...]
    goals: tuple[str, ...]
    episodes: tuple[Episode, ...]
    problems: tuple[str, ...]
    bgr: bool = False
    assumed: tuple[str, ...] = ()

    @classmethod
    def open(
        cls, path: Path | str, use_state: bool = False, strict: bool = False, channel_order: str | None = None
    ) -> Self:
        """Read a store; episodes that cannot be used are left out, and named in `problems`.

        use_state: leave out episodes without state, too; channel_order: "rgb" or "bgr", for a store that does not say.
        UserError if there is no store, nothing in it can be used, or with `strict` anything is wrong with it.
        """
        root, path = groups.open_root(path), Path(path)
        about: dict[str, Any] = dict(root.attrs)
        named, attributes, goals = (groups.names(path, about, name) for name in ("keys", "attributes", "goals"))
        bgr, assumed = _channel_order(path, about, channel_order)
        problems: list[str] = []
        episodes, absent = _read_all(path, about, problems)
        if absent:
            assumed.append(f"{path}: {absent:,} chunks are not stored; zarr leaves out what holds only zeros, so zeros")
        keys, episodes = agree_on_actions(path, named, episodes, problems)
        episodes = agree_on_rate(agree_on_size(episodes, problems), problems)
        episodes = check_state(attributes, episodes, use_state, problems)
        if not episodes:
            hint = "; without its state: dataset.use_state=false" if use_state else ""
            raise UserError(f"{path}: no episode can be used; {problems[0]} ({len(problems)} problems in all){hint}")
        if strict and problems:
            raise UserError(f"{problems[0]} ({len(problems)} problems in all); set dataset.validate_episodes=true")
        return cls(path, keys, attributes, goals, tuple(episodes), tuple(problems), bgr, tuple(assumed))

    @property
    def frame_size(self) -> tuple[int, int]:
        """(width, height) of every frame."""
        return int(self.episodes[0].frames.shape[3]), int(self.episodes[0].frames.shape[2])

    @property
    def has_state(self) -> bool:
        return all(episode.state is not None for episode in self.episodes)


def _channel_order(path: Path, about: Mapping[str, Any], wanted: str | None) -> tuple[bool, list[str]]:
    """Whether blue comes first, and what was assumed."""
    said = about.get("channel_order")
    if said is None:
        if wanted is not None:
            return wanted == "bgr", []
        return False, [
            f"{path}: no channel_order is stored, so red first is assumed; OpenCV's order is blue first: "
            "dataset.channel_order=bgr (rgb: this line is not shown)"
        ]
    order = said.lower() if isinstance(said, str) else said
    if order not in ORDERS:
        raise UserError(f"{path}: the attribute channel_order is {one_line(repr(said), 60)}; expected rgb or bgr")
    if wanted not in (None, order):
        raise UserError(
            f"{path}: says that its channel_order is {order}, dataset.channel_order is {wanted}; leave that out, or "
            "correct the attribute in the store"
        )
    return order == "bgr", []


def _read_all(path: Path, about: Mapping[str, Any], problems: list[str]) -> tuple[list[Episode], int]:
    """The episodes that can be read, and how many of their chunks are zeros that were not stored."""
    found = groups.episode_folders(path)
    if not found:
        raise UserError(f"{path}: no episode_<number> groups; expected at least one; write it with: protege export")
    numbers = {number for number, _ in found}
    if missing := max(numbers) + 1 - len(numbers):
        first = islice((n for n in range(max(numbers)) if n not in numbers), 5)
        names = ", ".join(f"episode_{n}" for n in first) + (", …" if missing > 5 else "")
        problems.append(f"{path}: {missing} missing in the numbering ({names}); the others are used")
    episodes, absent = [], 0
    for _, folder in found:
        try:
            episode, zeros = _read_episode(folder, "channel_order" in about)
        except (ValueError, OSError, RuntimeError) as error:
            problems.append(f"{folder}: {_reason(error)}; left out")
        else:
            episodes.append(episode)
            absent += zeros
    return episodes, absent


def _reason(error: Exception) -> str:
    return one_line(str(error.strerror if isinstance(error, OSError) and error.strerror else error), 300)


def _read_episode(folder: Path, ours: bool) -> tuple[Episode, int]:
    """An episode, and how many of its chunks are zeros that were not stored. ValueError or OSError in words if it
    cannot be used. ours: whether the store says what only our writer says.
    """
    group = groups.open_group(folder)
    frames = groups.open_array(folder / "frames")
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != np.uint8 or not frames.shape[0]:
        raise ValueError(f"frames are {frames.shape} {frames.dtype}, expected (N, 3, H, W) uint8 with N > 0")
    arrays: dict[str, Any] = {"frames": frames}
    for name in _ROWS:
        if name == "actions" or (folder / name).is_dir():
            arrays[name] = array = groups.open_array(folder / name)
            _require_rows(name, array, frames.shape[0])
    # What our writer stores has the chunks of zeros, too: one that is absent there was lost.
    complete = ours and "stored_resolution" in group.attrs
    absent = _look_at_chunks(folder, arrays, complete)
    rows = {name: _rows(array) for name, array in arrays.items() if name != "frames"}
    actions, state, goal = (rows.get(name) for name in _ROWS)
    if actions is None or actions.ndim != 2 or not np.isin(actions, (0, 1)).all():
        raise ValueError(f"actions are {arrays['actions'].shape} of other than 0 and 1, expected (N, A) bool")
    episode = Episode(
        folder.name,
        folder,
        Frames(frames, folder / "frames", filled=not complete),
        actions.astype(bool),
        None if state is None or state.ndim != 2 else _as(state, np.float32),
        None if goal is None or goal.ndim != 1 else _as(goal, np.int32),
        dict(group.attrs),
    )
    return episode, absent


def _require_rows(name: str, array: Any, count: int) -> None:
    """ValueError for another length, other than numbers, or more than is read into memory."""
    if array.shape[:1] != (count,):
        raise ValueError(f"{count} frames but {array.shape[0] if array.ndim else 0} rows of {name}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} are {array.dtype}, expected numbers")
    if (size := int(np.prod([float(n) for n in array.shape])) * array.dtype.itemsize) > _MAX_ROWS:
        raise ValueError(f"{name} claims {size / 1e6:,.0f} MB; expected at most {_MAX_ROWS / 1e6:,.0f}")


def _look_at_chunks(folder: Path, arrays: Mapping[str, Any], complete: bool) -> int:
    """How many chunks are zeros that were not stored; ValueError where one was lost, or is cut."""
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


def _zeros_stored(arrays: Mapping[str, Any], stored: Mapping[str, Stored]) -> bool:
    """Whether the episode has a chunk of nothing but zeros: its writer stored those, too. It would be the smallest."""
    return any(found.smallest is not None and holds_only_fill(arrays[n], found.smallest) for n, found in stored.items())


def _rows(array: Any) -> NDArray[Any]:
    with groups.zarr_errors():
        return np.asarray(array[:])


def _as(values: NDArray[Any], kind: Any) -> NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number then is named as such
        return values.astype(kind)
