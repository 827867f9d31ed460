"""What a model has to beat: the commonest action for ever, and the action of the frame before."""

import numpy as np
from numpy.typing import NDArray

from protege.learn.metrics import Bools, commonest, previous


def majority(train: Bools, count: int) -> Bools:
    """(count, A): the commonest combination of actions in the training frames (N, A), every time."""
    return np.tile(commonest(train), (count, 1))


def copy_previous(truth: Bools, episode: NDArray[np.integer]) -> Bools:
    """(N, A): what was truly held one frame before, nothing in the first frame of an episode.

    Often right, since actions are held for long, and useless for playing: it never starts anything by itself.
    """
    return previous(truth, episode[1:] == episode[:-1], missing=False)
