"""What a model has to beat: the commonest action for ever, and the action of the frame before."""

import numpy as np
from numpy.typing import NDArray

from protege.cloning.metrics import Bools


def majority(train: Bools, count: int) -> Bools:
    """(count, A): the commonest combination of actions in the training frames (N, A), every time."""
    rows, counts = np.unique(train, axis=0, return_counts=True)
    return np.tile(rows[counts.argmax()], (count, 1))


def copy_previous(truth: Bools, episode: NDArray[np.integer]) -> Bools:
    """(N, A): what was truly held one frame before, nothing in the first frame of an episode.

    Often right, since actions are held for long, and useless for playing: it never starts anything by itself.
    """
    found = np.zeros_like(truth)
    found[1:] = truth[:-1]
    found[1:][episode[1:] != episode[:-1]] = False
    return found
