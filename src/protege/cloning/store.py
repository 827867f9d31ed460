"""The zarr data set of episodes: its writer and its reader, which names whatever is wrong with one.

`episode_<i>/frames` [N, 3, H, W] uint8, `actions` [N, A] bool, optional `state` [N, S] float32 and `goal` [N] int32
(-1: none); root attributes `keys`, `attributes` (the state's columns), `goals` (sentences), `channel_order`. One chunk
is one frame, so that random access reads no more than it needs. Stores of zarr 2 and 3 are read, zarr 3 is written.
"""

import hashlib
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.errors import MissingExtra, UserError

try:
    import zarr
    from zarr.codecs import BloscCodec

    from protege.cloning.chunks import Frames, broken
except ImportError as error:
    raise MissingExtra("zarr", "cloning") from error

VERSION: Final = "1.0"
_NAME: Final = re.compile(r"episode_(\d+)")
_ROWS: Final = 1000
"""Rows of actions and state in a chunk."""
_PIECE: Final = 64
"""Frames written at a time."""
_FPS: Final = 10.0
"""Of an episode that does not say its own."""
_SAME_RATE: Final = 0.01
"""Part by which two rates may differ and still be one: 29.97 and 30."""


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
    a line each; episodes: those that can be used, by number; bgr: whether colours are stored blue first.
    """

    path: Path
    keys: tuple[str, ...]
    attributes: tuple[str, ...]
    goals: tuple[str, ...]
    episodes: tuple[Episode, ...]
    problems: tuple[str, ...]
    bgr: bool = False

    @classmethod
    def open(cls, path: Path | str, use_state: bool = False, strict: bool = False) -> Self:
        """Read a store; episodes that cannot be used are left out, and named in `problems`.

        use_state: leave out episodes without state, too. UserError if there is no store, nothing in it can be used, or
        with `strict` anything is wrong with it.
        """
        path = Path(path)
        root = _open_root(path)
        problems: list[str] = []
        numbers = _numbers(root)
        if not numbers:
            raise UserError(f"{path}: no episode_<number> groups; expected at least one; write it with: protege export")
        if missing := sorted(set(range(numbers[-1] + 1)) - set(numbers)):
            names = ", ".join(f"episode_{n}" for n in missing[:5]) + (", …" if len(missing) > 5 else "")
            problems.append(f"{path}: {len(missing)} missing in the numbering ({names}); the others are used")
        read = (_read_episode(path, root, f"episode_{number}", problems) for number in numbers)
        episodes = [episode for episode in read if episode is not None]
        about: dict[str, Any] = dict(root.attrs)
        keys, episodes = _agree_on_actions(path, about.get("keys"), episodes, problems)
        episodes = _agree_on_rate(_agree_on_size(episodes, problems), problems)
        attributes = tuple(str(name) for name in about.get("attributes") or ())
        episodes = _check_state(attributes, episodes, use_state, problems)
        if not episodes:
            hint = "; without its state: dataset.use_state=false" if use_state else ""
            raise UserError(f"{path}: no episode can be used; {problems[0]} ({len(problems)} problems in all){hint}")
        if strict and problems:
            raise UserError(f"{problems[0]} ({len(problems)} problems in all); set dataset.validate_episodes=true")
        goals = tuple(str(goal) for goal in about.get("goals") or ())
        bgr = str(about.get("channel_order", "rgb")).lower() == "bgr"
        return cls(path, keys, attributes, goals, tuple(episodes), tuple(problems), bgr)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(width, height) of every frame."""
        return int(self.episodes[0].frames.shape[3]), int(self.episodes[0].frames.shape[2])

    @property
    def has_state(self) -> bool:
        return all(episode.state is not None for episode in self.episodes)


class Writer:
    """Adds episodes to a store, a new one or one that it wrote, each whole or not at all, with the next free number."""

    def __init__(
        self, path: Path, keys: Sequence[str], attributes: Sequence[str] = (), source: str = "protege"
    ) -> None:
        """UserError if there is a store with other actions, or something that is no store."""
        if path.exists() and not (path / "zarr.json").exists() and (path.is_file() or any(path.iterdir())):
            raise UserError(f"{path}: holds something that is not a zarr 3 store; name a new folder")
        self.path = path
        self.keys = tuple(keys)
        self._root = zarr.open_group(path, mode="a", zarr_format=3)
        about: dict[str, Any] = dict(self._root.attrs)
        if tuple(about.get("keys", self.keys)) != self.keys:
            raise UserError(f"{path}: has the actions {' '.join(about['keys'])}, these are {' '.join(self.keys)}")
        about |= {"keys": list(keys), "attributes": list(attributes), "version": VERSION, "format": "framewise"}
        self._root.attrs.update(about | {"channel_order": "rgb", "source": source})
        self._goals: list[str] = list(about.get("goals", ()))
        there = self._finished()
        self._next = max(there, default=-1) + 1
        self.sessions = {str(about["session_name"]): about for about in there.values() if "session_name" in about}
        """The recordings that were in the store already: by name, the attributes of one of their episodes."""
        sizes = [tuple(each["stored_resolution"]) for each in there.values()]
        self.size: tuple[int, int] | None = sizes[0] if sizes else None
        """(width, height) of the frames that are in the store already."""

    def _finished(self) -> dict[int, dict[str, Any]]:
        """The attributes of the store's episodes by number; those of a recording that was cut off are deleted first."""
        about: dict[int, dict[str, Any]] = {n: dict(self._root[f"episode_{n}"].attrs) for n in _numbers(self._root)}
        found = Counter(each.get("session_name") for each in about.values())
        short = [n for n, each in about.items() if found[each.get("session_name")] < each.get("session_episodes", 1)]
        for number in short:
            shutil.rmtree(self.path / f"episode_{number}")
        return {number: each for number, each in about.items() if number not in short}

    def goal(self, sentence: str) -> int:
        """The index of a goal, a new one if need be."""
        if sentence not in self._goals:
            self._goals.append(sentence)
            self._root.attrs["goals"] = self._goals
        return self._goals.index(sentence)

    def require_size(self, size: tuple[int, int]) -> None:
        """UserError where the store's frames have another (width, height)."""
        if self.size not in (None, size):
            there = "x".join(map(str, self.size or ()))
            raise UserError(f"{self.path}: holds frames of {there}, these are {size[0]}x{size[1]}; give --size {there}")

    def episode(
        self,
        frames: Iterable[NDArray[np.uint8]],
        actions: NDArray[np.bool_],
        state: NDArray[np.float32] | None = None,
        goal: NDArray[np.int32] | None = None,
        **attributes: Any,
    ) -> str:
        """Write one episode of N (3, H, W) frames, taken as they come, and (N, A) actions; returns its name.

        UserError where the frames are not the size of the store's; ValueError where N or A are not what they should be.
        """
        count = len(actions)
        if not count or actions.shape[1:] != (len(self.keys),):
            raise ValueError(f"expected (N, {len(self.keys)}) actions with N > 0, got {actions.shape}")
        name = f"episode_{self._next}"
        part = f"part_{name}"
        shutil.rmtree(self.path / part, ignore_errors=True)
        group = self._root.create_group(part)
        width, height = self._write_frames(group, frames, count)
        about = {"fps": _FPS, "frame_count": count, "stored_resolution": [width, height]}
        group.attrs.update(about | attributes)
        _create(group, "actions", actions.shape, bool)[:] = actions
        if state is not None:
            _create(group, "state", state.shape, np.float32)[:] = state
        if goal is not None:
            _create(group, "goal", goal.shape, np.int32)[:] = goal
        (self.path / part).rename(self.path / name)
        self._next += 1
        return name

    def _write_frames(self, group: zarr.Group, frames: Iterable[NDArray[np.uint8]], count: int) -> tuple[int, int]:
        """Write the frames, a few at a time; returns their (width, height)."""
        array: Any = None
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


def _create(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An empty array: a chunk holds one frame, or many rows of anything else."""
    chunks = (1, *shape[1:]) if name == "frames" else (min(_ROWS, shape[0]), *shape[1:])
    # zarr's own choice (bit shuffle) makes uint8 pictures larger; empty chunks are written, so that a lost one shows.
    blosc = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=np.dtype(dtype).itemsize)
    written: Any = {"write_empty_chunks": True}
    return group.create_array(name, shape=shape, dtype=dtype, chunks=chunks, compressors=blosc, config=written)


def _open_root(path: Path) -> zarr.Group:
    if not path.is_dir():
        raise UserError(f"{path}: no such data set; expected a zarr folder; write one with: protege export --to zarr")
    try:
        return zarr.open_group(path, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a zarr group ({error}); expected zarr.json or .zgroup in it") from None


def _numbers(root: zarr.Group) -> list[int]:
    return sorted(int(found[1]) for name in root.group_keys() if (found := _NAME.fullmatch(name)))


def _read_episode(path: Path, root: zarr.Group, name: str, problems: list[str]) -> Episode | None:
    """The episode, or None with its problem noted."""
    where = path / name
    found: dict[str, Any] = {}
    try:
        group = root[name]
        assert isinstance(group, zarr.Group)
        arrays: dict[str, Any] = dict(group.arrays())
        for wanted in ("frames", "actions"):
            if wanted not in arrays:
                raise ValueError(f"no {wanted} array")
        frames = arrays["frames"]
        if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != np.uint8 or not frames.shape[0]:
            raise ValueError(f"frames are {frames.shape} {frames.dtype}, expected (N, 3, H, W) uint8 with N > 0")
        for kind, array in arrays.items():
            if array.shape[:1] != frames.shape[:1]:
                raise ValueError(f"{frames.shape[0]} frames but {array.shape[0] if array.ndim else 0} rows of {kind}")
            if found_broken := broken(array, where / kind):
                raise ValueError(found_broken)
            if kind != "frames":
                found[kind] = np.asarray(array[:])
        if found["actions"].ndim != 2 or not np.isin(found["actions"], (0, 1)).all():
            raise ValueError(f"actions are {arrays['actions'].shape} of other than 0 and 1, expected (N, A) bool")
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        problems.append(f"{where}: {error}; left out")
        return None
    state, goal = found.get("state"), found.get("goal")
    return Episode(
        name,
        where,
        Frames(frames, where / "frames"),
        found["actions"].astype(bool),
        None if state is None or state.ndim != 2 else state.astype(np.float32),
        None if goal is None or goal.ndim != 1 else goal.astype(np.int32),
        dict(group.attrs),
    )


def _agree_on_actions(
    path: Path, named: Any, episodes: list[Episode], problems: list[str]
) -> tuple[tuple[str, ...], list[Episode]]:
    """The actions' names and the episodes that have as many."""
    if named:
        keys = tuple(str(key) for key in named)
        if len(set(keys)) != len(keys):
            raise UserError(f"{path}: the attribute keys names an action twice: {', '.join(keys)}")
    elif episodes:
        width = _most_common([e.actions.shape[1] for e in episodes])
        keys = tuple(f"action_{n}" for n in range(width))
        problems.append(f"{path}: no attribute keys; the {width} actions are called {keys[0]} to {keys[-1]}")
    else:
        keys = ()
    kept = []
    for episode in episodes:
        if (width := episode.actions.shape[1]) == len(keys):
            kept.append(episode)
        else:
            problems.append(f"{episode.folder}: {width} actions, the data set names {len(keys)}; left out")
    return keys, kept


def _agree_on_size(episodes: list[Episode], problems: list[str]) -> list[Episode]:
    """The episodes with the resolution that most frames have."""
    if not episodes:
        return []
    sizes = Counter[tuple[int, ...]]()
    for episode in episodes:
        sizes[episode.frames.shape[2:]] += len(episode)
    wanted = sizes.most_common(1)[0][0]
    for episode in episodes:
        if (found := episode.frames.shape[2:]) != wanted:
            problems.append(
                f"{episode.folder}: frames are {found[1]}x{found[0]}, most are {wanted[1]}x{wanted[0]}; left out"
            )
    return [episode for episode in episodes if episode.frames.shape[2:] == wanted]


def _agree_on_rate(episodes: list[Episode], problems: list[str]) -> list[Episode]:
    """The episodes with the frames per second that most frames have: a window of frames must last equally long."""
    frames = Counter[float]()
    rates = [_fps(episode) for episode in episodes]
    for episode, rate in zip(episodes, rates, strict=True):
        if rate is not None:
            frames[rate] += len(episode)
    wanted = max(frames, key=lambda rate: frames[rate], default=_FPS)
    kept = []
    for episode, rate in zip(episodes, rates, strict=True):
        if rate is not None and math.isclose(rate, wanted, rel_tol=_SAME_RATE):
            kept.append(episode)
        else:
            found = f"{rate:g}" if rate else f"{episode.attributes['fps']!r}"
            problems.append(f"{episode.folder}: fps is {found}, that of most frames {wanted:g}; left out")
    return kept


def _fps(episode: Episode) -> float | None:
    """Frames per second, None where what is said is no such number."""
    try:
        found = float(episode.attributes.get("fps", _FPS))
    except (TypeError, ValueError):
        return None
    return found if 0 < found < math.inf else None


def _check_state(
    attributes: tuple[str, ...], episodes: list[Episode], use_state: bool, problems: list[str]
) -> list[Episode]:
    """The episodes, those without a usable state left out where it is wanted."""
    if not use_state and not attributes and all(episode.state is None for episode in episodes):
        return episodes
    kept = []
    for episode in episodes:
        width = 0 if episode.state is None else episode.state.shape[1]
        if episode.state is None:
            found = "no state"
        elif attributes and width != len(attributes):
            found = f"{width} state columns, the data set names {len(attributes)}"
        elif not np.isfinite(episode.state).all():
            found = f"state that is no number in frame {int(np.argmax(~np.isfinite(episode.state).all(axis=1)))}"
        else:
            kept.append(episode)
            continue
        problems.append(f"{episode.folder}: {found}; " + ("left out" if use_state else "its state is not used"))
        if not use_state:
            kept.append(replace(episode, state=None))
    return kept


def _most_common(values: Sequence[int]) -> int:
    return Counter(values).most_common(1)[0][0]
