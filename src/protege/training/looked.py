"""How well it is predicted where the mouse turns the view."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protege.core import ActionSpace
from protege.learn.metrics import ratio

Bins = NDArray[np.uint8]
"""(N, H, 2) bins (yaw, pitch)."""


@dataclass(frozen=True)
class AxisScore:
    """One axis of the mouse. error_deg: mean distance between the centres of the true and of the predicted bins, over
    all slots; turning_error_deg: of the slots that turn; direction_accuracy: share of these that are predicted to turn
    the same way; turning: their number.
    """

    error_deg: float
    turning_error_deg: float | None
    direction_accuracy: float | None
    turning: int


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
        found = {}
        for number, axis in enumerate(space.look.axes):
            centres = np.array(axis.centres) * space.look.degrees_per_count
            truth, pred = (centres[part[..., number]] for part in self.bins)
            error, turns = np.abs(truth - pred), truth != 0
            same = np.sign(truth) == np.sign(pred)
            found[axis.name] = AxisScore(
                float(error.mean()),
                ratio(error[turns].sum(), turns.sum()),
                ratio((same & turns).sum(), turns.sum()),
                int(turns.sum()),
            )
        return found
