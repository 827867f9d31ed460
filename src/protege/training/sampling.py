"""Sampling order: a pure function of seed and epoch, so that a resumed run draws the same samples."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of `count` positions, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64)) if count else np.arange(0)


def balance_weights(columns: NDArray[np.int64], cap: float) -> NDArray[np.float64]:
    """(N,) probability of each sample: the inverse frequency of its first action, none above `cap` times the mean.

    columns: (N, H) the column of each slot's action.
    """
    first = columns[:, 0]
    counts = np.bincount(first)
    weights = 1.0 / counts[first]
    weights = np.minimum(weights / weights.mean(), cap)
    return weights / weights.sum()


def change_weights(columns: NDArray[np.int64], weight: float) -> NDArray[np.float64]:
    """(N,) probability of each sample: those whose (H,) actions are not all the same count `weight` times."""
    weights = np.where((columns != columns[:, :1]).any(1), weight, 1.0)
    return weights / weights.sum()


@dataclass(frozen=True)
class Rehearsal:
    """Samples that are drawn among others, behind which they stand. count: M of them; share: of each batch, below 1;
    weights: (M,) probabilities, None for equal ones.
    """

    count: int
    share: float
    weights: NDArray[np.float64] | None = None

    def draw(self, rng: np.random.Generator, number: int) -> NDArray[np.int64]:
        """(number,) positions among the M; with equal probabilities none comes again before all have come."""
        if self.weights is not None:
            return rng.choice(self.count, number, p=self.weights)
        rounds = [rng.permutation(self.count) for _ in range(-(-number // self.count))]
        return np.concatenate(rounds)[:number]


class Draws(Sampler[int]):
    """Sampler of N keys per epoch: `place * N + sample`, place counting all draws since the beginning.

    The place makes each draw of a sample unique, so that its augmentation can be seeded by the key alone.
    weights: (N,) probabilities, drawn with replacement; without them every sample comes once an epoch, shuffled.
    rehearsal: M further samples, numbers N to N + M - 1. Their draws are spread evenly and make an epoch longer; a key
    is then `place * (N + M) + sample`.
    """

    def __init__(
        self, count: int, seed: int, weights: NDArray[np.float64] | None = None, rehearsal: Rehearsal | None = None
    ) -> None:
        self.count = count
        self.seed = seed
        self.weights = weights
        self.rehearsal = rehearsal
        share = rehearsal.share if rehearsal is not None and rehearsal.count else 0.0
        self.rehearsed = math.ceil(count * share / (1 - share) - 1e-9)  # up, so that no full batch has less
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count + self.rehearsed

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.weights is None:
            rows = rng.permutation(self.count)
        else:
            rows = rng.choice(self.count, self.count, p=self.weights)
        samples = self.count + (self.rehearsal.count if self.rehearsal is not None else 0)
        if self.rehearsal is not None and self.rehearsed:
            rows = _spread(rows, self.count + self.rehearsal.draw(rng, self.rehearsed))
        # Epochs have places of their own, so that a sample's key, which seeds its augmentation, never comes twice
        places = np.arange(len(self), dtype=np.int64) + self.epoch * len(self)
        yield from (places * samples + rows).tolist()


def _spread(rows: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Both in their order, the second spread evenly: any stretch has its share of them, give or take one."""
    length = len(rows) + len(among)
    ends = np.arange(length + 1) * len(among) // length
    found = np.empty(length, np.int64)
    later = np.diff(ends).astype(bool)
    found[later], found[~later] = among, rows
    return found
