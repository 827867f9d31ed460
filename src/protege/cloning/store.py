"""Reads a zarr data set of episodes, and names whatever is wrong with it.

`episode_<i>/frames` [N, 3, H, W] uint8, `actions` [N, A] bool, optional `state` [N, S] float32 and `goal` [N] int32
(-1: none); root attributes `keys`, `attributes` (the state's columns), `goals` (sentences), `channel_order`. One chunk
is one frame, so that random access reads no more than it needs. Stores of zarr 2 and 3 are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Self

from protege.core.actions import ActionSpace
from protege.core.text import one_line
from protege.errors import MissingExtra, UserError

try:
    from protege.cloning import groups
    from protege.cloning.checks import agree_on_actions, agree_on_rate, agree_on_size, check_state, with_bins
    from protege.cloning.reader import Episode, read_episode
except ImportError as error:
    raise MissingExtra("zarr", "cloning") from error

ORDERS: Final = ("rgb", "bgr")


@dataclass(frozen=True)
class Dataset:
    """An opened store.

    keys: names of the A actions
    attributes: names of the S columns of the state
    goals: sentences
    episodes: the usable ones, by number
    problems: what is wrong with the others, a line each
    space: of the actions, where the store says one; with a mouse its bins are actions, too, behind the keys
    bgr: blue is stored first
    assumed: what the store does not say, a line each
    """

    path: Path
    keys: tuple[str, ...]
    attributes: tuple[str, ...]
    goals: tuple[str, ...]
    episodes: tuple[Episode, ...]
    problems: tuple[str, ...]
    bgr: bool = False
    assumed: tuple[str, ...] = ()
    space: ActionSpace | None = None

    @classmethod
    def open(cls, path: Path | str, use_state: bool = False, channel_order: str | None = None) -> Self:
        """Open a store; unusable episodes are left out, and named in `problems`.

        use_state: leave out episodes without state, too
        channel_order: "rgb" or "bgr", for a store that does not say

        UserError if there is no store, or no usable episode in it.
        """
        root, path = groups.open_root(path), Path(path)
        about = dict(root.attrs)
        named, attributes, goals = (groups.names(path, about, name) for name in ("keys", "attributes", "goals"))
        bgr, assumed = _channel_order(path, about, channel_order)
        problems: list[str] = []
        episodes, absent = _read_all(path, about, problems)
        if absent:
            assumed.append(f"{path}: {absent:,} chunks are not stored; zarr leaves out what holds only zeros, so zeros")
        space = groups.space(path, about)
        keys, episodes = agree_on_actions(path, named, episodes, problems)
        if space is not None and space.pressable != keys:
            raise UserError(f"{path}: its action space has the keys {' '.join(space.pressable)}, keys {' '.join(keys)}")
        if space is not None and space.look is not None:
            keys, episodes = with_bins(space.look, keys, episodes, problems)
        episodes = agree_on_rate(agree_on_size(episodes, problems), problems)
        episodes = check_state(attributes, episodes, use_state, problems)
        if not episodes:
            hint = "; without its state: dataset.use_state=false" if use_state else ""
            raise UserError(f"{path}: no episode can be used; {problems[0]} ({len(problems)} problems in all){hint}")
        return cls(path, keys, attributes, goals, tuple(episodes), tuple(problems), bgr, tuple(assumed), space)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(width, height) of every frame."""
        return int(self.episodes[0].frames.shape[3]), int(self.episodes[0].frames.shape[2])

    @property
    def has_state(self) -> bool:
        return all(episode.state is not None for episode in self.episodes)


def _channel_order(path: Path, about: Mapping[str, object], wanted: str | None) -> tuple[bool, list[str]]:
    """Whether blue is stored first, and what was assumed."""
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


def _read_all(path: Path, about: Mapping[str, object], problems: list[str]) -> tuple[list[Episode], int]:
    """The readable episodes, and how many chunks of zeros they leave out."""
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
            episode, zeros = read_episode(folder, "channel_order" in about)
        except (ValueError, OSError, RuntimeError) as error:
            problems.append(f"{folder}: {_reason(error)}; left out")
        else:
            episodes.append(episode)
            absent += zeros
    return episodes, absent


def _reason(error: Exception) -> str:
    return one_line(str(error.strerror if isinstance(error, OSError) and error.strerror else error), 300)
