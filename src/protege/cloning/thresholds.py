"""The probability above which each action is pressed: chosen on validation data, used and reported on any other."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.learn.metrics import best_threshold

DEFAULT: Final = 0.5
NEVER: Final = 1.0
"""A threshold that no probability is above."""
AXES: Final = (-1.0, -2.0)
"""In place of a threshold, for the bins of yaw and of pitch: the median bin of an axis is the one."""
FEWEST: Final = 20
"""Frames that hold an action, from which on its threshold is chosen: on fewer it would be chance."""
SURE: Final = 0.8
"""How likely it must be that no key is held before a policy holds none."""


def untuned(held: NDArray[np.bool_], default: float = DEFAULT, axes: Sequence[slice] = ()) -> NDArray[np.float64]:
    """(A,) `default`, and NEVER for an action that is in none of the (N, A) training frames: nothing taught the model
    when to press it. axes: columns of the bins of each axis of the mouse, see `AXES`.
    """
    found = np.where(held.any(0), default, NEVER)
    for axis, mark in zip(axes, AXES, strict=False):
        found[axis] = mark
    return found


def choose(
    probs: NDArray[np.floating], truth: NDArray[np.bool_], before: NDArray[np.floating], fewest: int = FEWEST
) -> NDArray[np.float64]:
    """(A,) the `best_threshold` of each action, which presses it no more often than the truth does.

    probs, truth: (N, A) of validation frames; before: (A,) the thresholds so far, kept where the truth holds the action
    in less than `fewest` frames, where they are NEVER, and where no other is better.
    """
    found = np.array(before, np.float64)
    for a in np.flatnonzero((truth.sum(0) >= fewest) & (found < NEVER) & (found >= 0)):
        found[a] = best_threshold(probs[:, a].astype(np.float64), truth[:, a], found[a])
    return found


def pressed(probs: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(…, A) actions whose probability is above their threshold, and the median bin of each axis of the mouse."""
    held = np.asarray(probs > thresholds)
    for mark in AXES:
        if len(columns := np.flatnonzero(np.asarray(thresholds) == mark)):
            held[..., columns] = np.arange(len(columns)) == _middle(probs[..., columns])[..., None]
    return held


def _middle(probs: NDArray[np.floating]) -> NDArray[np.intp]:
    """(...) the median bin of (..., B) probabilities, which is as likely to turn too far as too little.

    The likeliest bin would be the one that stands still wherever it is unsure how far to turn: a turn is spread over
    many narrow bins, standing still has one.
    """
    below = probs.cumsum(-1)
    return (below < below[..., -1:] / 2).sum(-1)


def played(probs: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(..., A) actions that a policy holds: those that are `pressed`.

    Where that is none, though that none is held is not SURE (were actions independent), the likeliest is: a player who
    hesitates between two ways must not stand still, which means that the goal is reached. Actions whose threshold is
    NEVER do not count; an axis of the mouse counts as one action, its turn, which is the median one of those that move.
    """
    held, thresholds = pressed(probs, thresholds), np.asarray(thresholds)
    chance = np.where((thresholds < NEVER) & (thresholds >= 0), probs, 0)
    doing = held & (thresholds >= 0)
    for mark in AXES:
        if len(columns := np.flatnonzero(thresholds == mark)):
            moving = np.delete(columns, len(columns) // 2)  # the middle bin stands still
            doing[..., moving] = held[..., moving]
            best = moving[_middle(probs[..., moving])]
            np.put_along_axis(chance, best[..., None], probs[..., moving].sum(-1, keepdims=True), -1)
    hesitates = ~doing.any(-1) & (np.prod(1 - chance, axis=-1) < SURE)
    likeliest = chance.argmax(-1)
    for mark in AXES:  # an axis holds one bin
        held[..., thresholds == mark] &= ~(hesitates & (thresholds[likeliest] == mark))[..., None]
    return held | (hesitates[..., None] & (np.arange(probs.shape[-1]) == likeliest[..., None]))
