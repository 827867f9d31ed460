"""The probability above which each action is pressed: chosen on validation data, used and reported on any other."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

DEFAULT: Final = 0.5
SURE: Final = 0.8
"""How likely it must be that no key is held before a policy holds none."""


def choose(probs: NDArray[np.floating], truth: NDArray[np.bool_], default: float = DEFAULT) -> NDArray[np.float64]:
    """(A,) thresholds with the best F1 of each action; `default` for an action that the truth never holds.

    probs, truth: (N, A) of validation frames. A threshold lies midway between two neighbouring probabilities, so that
    none of the frames it was chosen on is a tie; of equally good ones it is the nearest to the default.
    """
    found = np.full(probs.shape[1], default)
    for a in np.flatnonzero(truth.any(0)):
        found[a] = _best(probs[:, a].astype(np.float64), truth[:, a], default)
    return found


def _best(probs: NDArray[np.float64], truth: NDArray[np.bool_], default: float) -> float:
    order = np.argsort(-probs, kind="stable")
    ranked, hits = probs[order], np.cumsum(truth[order])
    after = np.append(ranked[1:], 0.0)
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])  # when the first i + 1 are predicted
    f1[ranked <= after] = -1  # no threshold separates equal probabilities
    if f1.max() <= 0:
        return default
    cuts = (ranked + after) / 2
    best = np.flatnonzero(f1 == f1.max())
    return float(cuts[best[np.abs(cuts[best] - default).argmin()]])


def pressed(probs: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(…, A) actions whose probability is above their threshold."""
    return np.asarray(probs > thresholds)


def played(probs: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(…, A) actions that a policy holds: those that are `pressed`.

    Where that is none, though that none is held is not SURE (were actions independent), the likeliest is: a player who
    hesitates between two ways must not stand still, which means that the goal is reached.
    """
    held = pressed(probs, thresholds)
    hesitates = ~held.any(-1) & (np.prod(1 - probs, axis=-1) < SURE)
    likeliest = np.arange(probs.shape[-1]) == probs.argmax(-1)[..., None]
    return held | (hesitates[..., None] & likeliest)
