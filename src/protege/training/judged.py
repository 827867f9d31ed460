"""A scored model: its numbers, the samples that they are of, and both as a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protege.core.momentary import NEAR
from protege.training.data import LabeledData
from protege.training.score import Scores, table

if TYPE_CHECKING:
    from protege.training.predict import Predictions


@dataclass(frozen=True)
class Judged:
    """A model's scores on some samples of labeled data.

    name: the model's folder, or its name on the hub.
    rows: (N,) positions of the samples in `data`.
    predictions: of those N samples.
    """

    name: str
    scores: Scores
    data: LabeledData
    rows: NDArray[np.int64]
    predictions: "Predictions"


def summary(judged: Judged) -> str:
    """The table of one model beside its baselines."""
    columns = judged.scores.columns(Path(judged.name).name)
    lines = [f"{judged.scores.samples:,} samples", "", table(columns)]
    if pressed := [f"{key} {score.found:,} of {score.presses:,}" for key, score in judged.scores.momentary.items()]:
        lines += ["", "momentary keys, which are pressed for an instant, in a slot that no picture tells; presses"]
        lines += [f"predicted at most {NEAR} slots before or after: {', '.join(pressed)}"]
    if swap := judged.scores.goal_swap:
        low, high = swap.interval
        lines += ["", f"another goal: the truth loses {swap.effect:.3f} nats a slot (95 %: {low:.3f} to {high:.3f}),"]
        lines += [f"and {swap.changed:.0%} of first actions change"]
    else:
        lines += ["", "the data has one goal only, so whether the model heeds it cannot be told"]
    return "\n".join(lines)
