"""When a plan without a key means "done": how likely that must be, found on samples that were held back."""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from protege.learn.metrics import best_threshold
from protege.learn.progress import Steps, silent
from protege.training.collate import Collator
from protege.training.predict import done_probabilities

if TYPE_CHECKING:
    from protege.training.model import Network

DEFAULT: Final = 0.5
"""The threshold where no other is better."""
FEWEST: Final = 20
"""Samples that are done, and samples that are not, on fewer of which a threshold would be chance."""


def find_done_threshold(
    model: "Network", collator: Collator, rows: NDArray[np.int64], progress: Steps = silent
) -> float | None:
    """`choose` on samples of the collator's data, in one pass over them."""
    data = collator.data
    return choose(done_probabilities(model, collator, rows, progress=progress), data.done[rows])


def choose(probs: NDArray[np.float64], done: NDArray[np.bool_]) -> float | None:
    """The threshold with the best F1 of "done" that says it no more often than it is true; None on too few samples.

    Not the best balanced accuracy: samples without hesitation are many, so it would count it as little to call every
    hesitation done, and an agent that stands before a door would believe that it has arrived.

    probs: (N,) of `done_probabilities`; done: (N,) whether no slot of the true plan holds a key.
    """
    if min(done.sum(), (~done).sum()) < FEWEST:
        return None
    return best_threshold(probs, done, DEFAULT)


def told(threshold: float | None) -> str:
    """A line for the log."""
    if threshold is None:
        return f"done: no threshold, fewer than {FEWEST} scored samples are done (or are not); plays greedily"
    return f"done: where all slots without a key have a probability of {threshold:.2f} or more, as scored samples say"
