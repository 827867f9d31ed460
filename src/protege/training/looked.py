"""How well it is predicted where the mouse turns the view."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protege.core import ActionSpace
from protege.learn.looking import AxisScore, axis_scores

Bins = NDArray[np.uint8]
"""(N, H, 2) bins (yaw, pitch)."""


@dataclass(frozen=True)
class Looked:
    """Where the mouse turns the view, (N, H) each; without a mouse it stands still everywhere.

    side, said_side: -1 left, 1 right, in truth and as predicted; still, said_still: no axis turns; right: the bins are
    the true ones.
    """

    bins: tuple[Bins, Bins] | None
    side: NDArray[np.int64]
    said_side: NDArray[np.int64]
    still: NDArray[np.bool_]
    said_still: NDArray[np.bool_]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, space: ActionSpace, columns: NDArray[np.int64], bins: tuple[Bins, Bins] | None) -> "Looked":
        if space.look is None or bins is None:
            none, always = np.zeros(columns.shape, np.int64), np.ones(columns.shape, bool)
            return cls(None, none, none, always, always, always)
        middle = np.array([len(axis.symbols) // 2 for axis in space.look.axes])
        truth, pred = (np.sign(part.astype(np.int64) - middle) for part in bins)
        still, said_still = ((part == 0).all(-1) for part in (truth, pred))
        return cls(bins, truth[..., 0], pred[..., 0], still, said_still, (bins[0] == bins[1]).all(-1))

    def scores(self, space: ActionSpace) -> dict[str, AxisScore]:
        """By axis."""
        if space.look is None or self.bins is None:
            return {}
        return axis_scores(space.look, *self.bins)
