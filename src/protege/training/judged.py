"""A scored model: its numbers, the samples that they are of, the worst of these, and a table."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import Action
from protege.core.files import Json
from protege.core.momentary import NEAR
from protege.training.data import LabeledData
from protege.training.score import Scores, table

if TYPE_CHECKING:
    from protege.training.predict import Predictions

WORST: Final = 24
WORST_KEY: Final = "worst"
"""In metrics.json and in what `protege score --json` writes."""


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


def worst(judged: Judged) -> list[dict[str, Json]]:
    """The WORST samples whose true plan the model finds least likely, spread over the segments.

    Of each its picture ("file", below the data's folder), goal, and in words what was pressed and what is predicted.
    """
    space = judged.data.shape.space

    def said(steps: Sequence[Action]) -> str:
        return "; ".join(map(space.in_words, steps)) if space.look else " ".join(map(space.spell, steps))

    found: list[dict[str, Json]] = []
    segments = Counter[int]()
    most = math.ceil(WORST / len(set(judged.data.segment[judged.rows])))
    for place in judged.predictions.truth_logp.mean(1).argsort():
        row = int(judged.rows[place])
        segment = int(judged.data.segment[row])
        if segments[segment] == most:
            continue
        segments[segment] += 1
        example = judged.data[row]
        found.append(
            {
                "file": f"{example.path.parent.name}/{example.path.name}",
                "goal": example.goal,
                "predicted": said(judged.predictions.actions(place, space)),
                "pressed": said(example.plan.steps),
            }
        )
        if len(found) == WORST:
            break
    return found
