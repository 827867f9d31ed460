"""How well it is predicted where the mouse turns the view, for every learner alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protege.core.looking import Look
from protege.learn.metrics import ratio


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


def axis_scores(look: Look, truth: NDArray[np.integer], pred: NDArray[np.integer]) -> dict[str, AxisScore]:
    """By axis. truth, pred: (…, 2) bins (yaw, pitch)."""
    found = {}
    for number, axis in enumerate(look.axes):
        centres = np.array(axis.centres) * look.degrees_per_count
        true, said = centres[truth[..., number]], centres[pred[..., number]]
        error, turns = np.abs(true - said), true != 0
        same = np.sign(true) == np.sign(said)
        found[axis.name] = AxisScore(
            float(error.mean()),
            ratio(error[turns].sum(), turns.sum()),
            ratio((same & turns).sum(), turns.sum()),
            int(turns.sum()),
        )
    return found
