"""Scores that all learners share, in plain numpy. A value that is undefined (a mean of nothing, say) is None."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bools = NDArray[np.bool_]
AnyArray = TypeVar("AnyArray", bound=NDArray[np.generic])


@dataclass(frozen=True)
class BinaryScore:
    """How well one label (a key, a control) is predicted.

    support, predicted: samples that have the label in truth, and in the predictions. Where support is 0 nothing is
    scored; precision is None too where the label is never predicted, its F1 is then 0.
    """

    support: int
    predicted: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None

    @classmethod
    def of(cls, hits: int, predicted: int, support: int) -> "BinaryScore":
        """hits: samples that have the label in both."""
        hits, predicted, support = int(hits), int(predicted), int(support)
        if not support:
            return cls(0, predicted)
        return cls(support, predicted, ratio(hits, predicted), hits / support, 2 * hits / (predicted + support))


def binary_scores(truth: Bools, pred: Bools, names: Sequence[str]) -> dict[str, BinaryScore]:
    """By name the score of each column. truth, pred: (N, A)."""
    columns = zip((truth & pred).sum(0), pred.sum(0), truth.sum(0), strict=True)
    return {name: BinaryScore.of(*column) for name, column in zip(names, columns, strict=True)}


def macro_f1(scores: Iterable[BinaryScore]) -> float | None:
    """The mean F1 of the labels that occur in truth."""
    return mean([score.f1 for score in scores if score.f1 is not None])


def ratio(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def mean(values: ArrayLike) -> float | None:
    numbers = np.asarray(values, np.float64)
    return float(numbers.mean()) if numbers.size else None


def commonest(rows: AnyArray) -> AnyArray:
    """The value, or the row of a matrix, that is there most often; the lowest of equals. The majority baseline."""
    # `unique` sorts, and argmax takes the first: the lowest of equals, on every machine.
    values, counts = np.unique(rows, axis=0, return_counts=True)
    return values[counts.argmax()]


def previous(values: AnyArray, follows: Bools, missing: float) -> AnyArray:
    """(N, …): for each row the one before it, for the baseline that repeats what was held last.

    follows: (N - 1,) whether each row but the first continues the one before it; where it does not (another episode
    begins, a frame is missing), all values are `missing`.
    """
    found = np.full_like(values, missing)
    found[1:][follows] = values[:-1][follows]
    return found


def count_above(values: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.int64]:
    """(T,) how many of the values (N,) lie above each threshold; these are rounded to the values' precision."""
    ordered = np.sort(values)
    # A float64 threshold of 0.4 lies below a float32 probability of 0.4, which would then count as above it
    return len(ordered) - np.searchsorted(ordered, thresholds.astype(ordered.dtype), side="right")


def f1_at(
    probs: NDArray[np.floating], truth: Bools, thresholds: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(T,) the F1 at each threshold, and (T,) how many samples it predicts. probs, truth: (N,), truth not all false."""
    predicted, hits = count_above(probs, thresholds), count_above(probs[truth], thresholds)
    return 2 * hits / (predicted + truth.sum()), predicted


def best_threshold(probs: NDArray[np.float64], truth: Bools, before: float) -> float:
    """The threshold with the best F1 among those that predict no more samples than the truth has: for a model that is
    unsure, the best F1 of all is that of predicting always.

    probs, truth: (N,), truth not all false; before: stays where no other is better. Any other lies midway between two
    neighbouring probabilities, so that no sample is a tie; of equally good ones it is the nearest to `before`.
    """
    values = np.unique(probs)
    cuts = np.concatenate([[before, values[0] / 2, (values[-1] + 1) / 2], (values[1:] + values[:-1]) / 2])
    f1, predicted = f1_at(probs, truth, cuts)
    f1 = np.where(predicted <= truth.sum(), f1, -1)
    best = np.flatnonzero(f1 == f1.max())
    return float(cuts[best[np.abs(cuts[best] - before).argmin()]])
