"""Batches from the cache, read ahead by threads of grain: every sample of an epoch once, in a seeded order."""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Final

import grain
import numpy as np
from numpy.typing import NDArray

from protege.cloning.cache import Cache
from protege.cloning.store import Episode
from protege.errors import UserError

_AHEAD: Final = 2
"""Batches that the threads read before they are asked for."""


@dataclass(frozen=True)
class LoaderOptions:
    """What a sample holds, and how batches are read.

    batch_size: B
    frames: T, a sample's frame and those before it, `skip` frames apart
    horizon: H, actions from the sample's frame on
    history: K, actions before it
    shuffle: False keeps the order of play, for evaluation
    threads: that read ahead
    """

    batch_size: int = 32
    frames: int = 1
    skip: int = 1
    horizon: int = 1
    history: int = 0
    shuffle: bool = True
    threads: int = 2

    def __post_init__(self) -> None:
        if min(self.batch_size, self.frames, self.skip, self.horizon) < 1 or min(self.history, self.threads) < 0:
            raise ValueError(f"batch_size, frames, skip and horizon are at least 1, history and threads 0: {self}")


@dataclass(frozen=True)
class Batch:
    """B samples.

    frames: (B, T, 3, H, W) uint8, oldest first
    actions: (B, horizon, A) float32, 0 or 1
    previous: (B, K, A) float32 actions before, oldest first
    state: (B, S) float32 as stored, or None
    goal: (B,) int32, -1 for none
    valid: (B,) False for rows that only fill up the last batch
    known: (B, horizon) False for those rows, and past an episode's end, where the actions are unknown
    rows: (B,) of the samples in the cache
    """

    frames: NDArray[np.uint8]
    actions: NDArray[np.float32]
    previous: NDArray[np.float32]
    state: NDArray[np.float32] | None
    goal: NDArray[np.int32]
    valid: NDArray[np.bool_]
    known: NDArray[np.bool_]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Index:
    """Where N samples lie in the cache. rows: (N,); first, last: (N,) rows at the ends of each sample's episode."""

    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: NDArray[np.int64]) -> "Index":
        return Index(self.rows[chosen], self.first[chosen], self.last[chosen])


def index(cache: Cache, episodes: Iterable[Episode | str]) -> Index:
    """The index of some episodes: every frame is a sample."""
    spans = np.array([cache.offsets[e if isinstance(e, str) else e.name] for e in episodes], np.int64).reshape(-1, 2)
    start, stop = (np.repeat(side, spans[:, 1] - spans[:, 0]) for side in spans.T)
    rows = [np.arange(*span) for span in spans]
    return Index(np.concatenate(rows) if rows else np.zeros(0, np.int64), start, stop - 1)


def require_horizon(episodes: Iterable[Sized], horizon: int, path: str) -> None:
    """UserError where no episode has `horizon` frames: the last actions could not be learned. path: the store."""
    longest = max(map(len, episodes))
    if longest < horizon:
        raise UserError(
            f"{path}: the longest training episode has {longest} frames, model.horizon is {horizon}; ask for a shorter "
            "one or record longer"
        )


def sample(cache: Cache, at: Index, options: LoaderOptions) -> Batch:
    """The samples of an index. Before an episode its first frame is repeated, and no key is held; past its end actions
    are unknown.
    """
    past = np.arange(options.frames - 1, -1, -1) * options.skip
    stack = np.maximum(at.rows[:, None] - past, at.first[:, None])
    ahead = at.rows[:, None] + np.arange(options.horizon)
    known = ahead <= at.last[:, None]
    before = at.rows[:, None] - np.arange(options.history, 0, -1)
    previous = cache.actions[np.maximum(before, 0)] & (before >= at.first[:, None])[..., None]
    return Batch(
        frames=cache.read(stack),
        actions=(cache.actions[np.where(known, ahead, 0)] & known[..., None]).astype(np.float32),
        previous=previous.astype(np.float32),
        state=None if cache.state is None else cache.state[at.rows],
        goal=np.full(len(at), -1, np.int32) if cache.goals is None else cache.goals[at.rows],
        valid=np.ones(len(at), bool),
        known=known,
        rows=at.rows,
    )


class _Batches:
    """A random-access source for grain, whose element i is a whole batch: one element is one read."""

    def __init__(self, cache: Cache, found: Index, options: LoaderOptions, start: int) -> None:
        self._cache, self._found, self._options, self._start = cache, found, options, start

    def __len__(self) -> int:
        return -(-len(self._found) // self._options.batch_size) - self._start

    def __getitem__(self, index: int) -> Batch:
        size = self._options.batch_size
        chosen = np.arange(size) + (int(index) + self._start) * size
        valid = chosen < len(self._found)
        chosen = np.where(valid, chosen, 0)  # padded: another shape would compile the step again
        batch = sample(self._cache, self._found[chosen], self._options)
        batch.valid[:] = valid
        batch.known[~valid] = False
        return batch


def batches(
    cache: Cache,
    episodes: Iterable[Episode | str],
    options: LoaderOptions | None = None,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """One epoch, in an order that seed and epoch decide. start: batches to skip, to resume within an epoch."""
    options = options or LoaderOptions()
    found = index(cache, episodes)
    if options.shuffle:
        found = found[np.random.default_rng([seed, epoch]).permutation(len(found))]
    source = _Batches(cache, found, options, start)
    if not len(source):
        return iter(())
    reading = grain.ReadOptions(num_threads=options.threads, prefetch_buffer_size=_AHEAD)
    return iter(grain.MapDataset.source(source).to_iter_dataset(reading))


def steps(cache: Cache, episodes: Iterable[Episode | str], options: LoaderOptions) -> int:
    """Batches in an epoch."""
    return -(-len(index(cache, episodes)) // options.batch_size)
