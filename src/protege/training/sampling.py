"""Sampling order: a pure function of seed and epoch, so that a resumed run draws the same samples."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


def balance_weights(columns: NDArray[np.int64], cap: float) -> NDArray[np.float64]:
    """(N,) probability of each sample: the inverse frequency of its first action, none above `cap` times the mean.

    columns: (N, H) the column of each slot's action.
    """
    first = columns[:, 0]
    counts = np.bincount(first)
    weights = 1.0 / counts[first]
    weights = np.minimum(weights / weights.mean(), cap)
    return weights / weights.sum()


class Draws(Sampler[int]):
    """Sampler of N keys per epoch: `place * N + sample`, place counting all draws since the beginning.

    The place makes each draw of a sample unique, so that its augmentation can be seeded by the key alone.
    weights: (N,) probabilities, drawn with replacement; without them every sample comes once an epoch, shuffled.
    """

    def __init__(self, count: int, seed: int, weights: NDArray[np.float64] | None = None) -> None:
        self.count = count
        self.seed = seed
        self.weights = weights
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.weights is None:
            rows = rng.permutation(self.count)
        else:
            rows = rng.choice(self.count, self.count, p=self.weights)
        # Epochs have places of their own, so that a sample's key, which seeds its augmentation, never comes twice
        places = np.arange(self.count, dtype=np.int64) + self.epoch * self.count
        yield from (places * self.count + rows).tolist()
