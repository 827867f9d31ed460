"""Batches from the cache through grain: every sample of an epoch once, in a seeded order, read ahead by threads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grain
import numpy as np
from numpy.typing import NDArray

from protege.cloning.cache import Cache
from protege.cloning.store import Episode
from protege.errors import UserError


@dataclass(frozen=True)
class LoaderOptions:
    """batch_size: B; frames: T, a sample's frame and those before it; skip: frames from one of them to the next;
    horizon: H, actions from the sample's own on; history: K, actions before it; shuffle: False for evaluation;
    threads, ahead: of reading.
    """

    batch_size: int = 32
    frames: int = 1
    skip: int = 1
    horizon: int = 1
    history: int = 0
    shuffle: bool = True
    threads: int = 2
    ahead: int = 2

    def __post_init__(self) -> None:
        if min(self.batch_size, self.frames, self.skip, self.horizon) < 1 or min(self.history, self.threads) < 0:
            raise ValueError(f"batch_size, frames, skip and horizon are at least 1, history and threads 0: {self}")


@dataclass(frozen=True)
class Batch:
    """frames: (B, T, 3, H, W) uint8, oldest first; actions: (B, horizon, A) float32 zeros and ones; previous:
    (B, K, A) float32, oldest first; state: (B, S) float32 as stored, or None; goal: (B,) int32, -1 for none;
    valid: (B,) bool, False for the rows that only fill the last batch; rows: (B,) where in the cache a sample lies.
    """

    frames: NDArray[np.uint8]
    actions: NDArray[np.float32]
    previous: NDArray[np.float32]
    state: NDArray[np.float32] | None
    goal: NDArray[np.int32]
    valid: NDArray[np.bool_]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Index:
    """rows: (N,) where each sample lies; first: (N,) the first row of its episode."""

    rows: NDArray[np.int64]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def index(cache: Cache, episodes: Iterable[Episode | str], horizon: int = 1) -> Index:
    """Every frame that has `horizon` actions left in its episode is a sample; the last of them included."""
    rows, first = [], []
    for episode in episodes:
        start, stop = cache.offsets[episode if isinstance(episode, str) else episode.name]
        found = np.arange(start, stop - horizon + 1)
        rows.append(found)
        first.append(np.full(len(found), start))
    both = [np.concatenate(x).astype(np.int64) if x else np.zeros(0, np.int64) for x in (rows, first)]
    if not len(both[0]):
        raise UserError(f"{cache.folder}: no episode has {horizon} frames; ask for a shorter horizon or record longer")
    return Index(*both)


def sample(cache: Cache, at: Index, options: LoaderOptions) -> Batch:
    """The samples at some rows. Before an episode's first frame its first frame stands, and no key is held."""
    past = np.arange(options.frames - 1, -1, -1) * options.skip
    stack = np.maximum(at.rows[:, None] - past, at.first[:, None])
    ahead = at.rows[:, None] + np.arange(options.horizon)
    before = at.rows[:, None] - np.arange(options.history, 0, -1)
    previous = cache.actions[np.maximum(before, 0)] & (before >= at.first[:, None])[..., None]
    return Batch(
        frames=cache.read(stack),
        actions=cache.actions[ahead].astype(np.float32),
        previous=previous.astype(np.float32),
        state=None if cache.state is None else cache.state[at.rows],
        goal=np.full(len(at), -1, np.int32) if cache.goals is None else cache.goals[at.rows],
        valid=np.ones(len(at), bool),
        rows=at.rows,
    )


class _Batches:
    """An epoch as a random-access source of grain: element i is the whole i-th batch."""

    def __init__(self, cache: Cache, found: Index, options: LoaderOptions, start: int) -> None:
        self._cache, self._found, self._options, self._start = cache, found, options, start

    def __len__(self) -> int:
        return -(-len(self._found) // self._options.batch_size) - self._start

    def __getitem__(self, index: int) -> Batch:
        size = self._options.batch_size
        chosen = np.arange(size) + (int(index) + self._start) * size
        valid = chosen < len(self._found)
        chosen = np.where(valid, chosen, 0)  # filled up, so that every batch has one shape and nothing compiles twice
        batch = sample(self._cache, Index(self._found.rows[chosen], self._found.first[chosen]), self._options)
        batch.valid[:] = valid
        return batch


def batches(
    cache: Cache,
    episodes: Iterable[Episode | str],
    options: LoaderOptions | None = None,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """One epoch, its order given by seed and epoch alone; start: batches to leave out, to resume inside an epoch."""
    options = options or LoaderOptions()
    found = index(cache, episodes, options.horizon)
    if options.shuffle:
        order = np.random.default_rng([seed, epoch]).permutation(len(found))
        found = Index(found.rows[order], found.first[order])
    source = _Batches(cache, found, options, start)
    if not len(source):
        return iter(())
    reading = grain.ReadOptions(num_threads=options.threads, prefetch_buffer_size=options.ahead)
    return iter(grain.MapDataset.source(source).to_iter_dataset(reading))


def steps(cache: Cache, episodes: Iterable[Episode | str], options: LoaderOptions) -> int:
    """Batches in an epoch."""
    return -(-len(index(cache, episodes, options.horizon)) // options.batch_size)
