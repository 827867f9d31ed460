"""Metrics of each head over the frames that it is about; a head without such frames is absent, not perfect."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.controls import tables
from protege.controls.windows import Bools, Targets
from protege.core.files import Json
from protege.learn.metrics import BinaryScore, binary_scores, macro_f1, mean
from protege.learn.tables import aligned, rows

Floats = NDArray[np.float32]

SCORE_WEIGHTS: Final = {"action": 0.4, "look": 0.2, "hotbar": 0.1, "cursor": 0.1, "inventory": 0.1, "idle": 0.1}
SCREEN_PIXELS: Final = (1920, 1080)
"""The screen on which the cursor's error is told in pixels."""
NO_SLOT: Final = -1


@dataclass(frozen=True)
class Thresholds:
    """Probabilities above which a binary control is pressed, and from which on a hotbar slot is chosen."""

    action: tuple[float, ...] = (0.5,) * len(tables.HEADS["action"])
    hotbar: float = 0.5
    inventory: tuple[float, ...] = (0.5,) * len(tables.HEADS["inventory"])


@dataclass(frozen=True, eq=False)
class Truth(Targets):
    """Targets of N frames. slot: (N,) the slot held one frame before, 0 to 8."""

    slot: NDArray[np.int_]

    def head(self, name: str) -> Floats:
        return self.controls[:, tables.HEADS[name]]

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for N frames: action (N, 12), hotbar (N, 9) and inventory (N, 3) as probabilities, look (N, 2) in
    [-1, 1] and cursor (N, 2) in [0, 1].
    """

    action: Floats
    look: Floats
    hotbar: Floats
    cursor: Floats
    inventory: Floats

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @classmethod
    def of_controls(cls, controls: Floats) -> Self:
        """Controls (N, 28) taken for predictions that are entirely sure."""
        return cls(*(controls[:, tables.HEADS[f.name]] for f in fields(cls)))

    def slots(self, least: float) -> NDArray[np.int_]:
        """(N,) the likeliest slot, or NO_SLOT where it is less likely than `least`."""
        best = self.hotbar.argmax(1)
        return np.where(self.hotbar.max(1) >= least, best, NO_SLOT)


@dataclass(frozen=True)
class Scores:
    """All metrics of N frames; None where there was no frame for one.

    action, inventory: per control; action_f1, inventory_f1: their means over the controls that occur.
    look_direction: share of turning axes whose sign is right.
    cursor_pixels: mean distance on a screen of 1920x1080.
    idle_accuracy: share of idle frames predicted as wholly idle.
    combined: weighted mean of the heads that are present; absent: the others.
    """

    action: Mapping[str, BinaryScore]
    action_f1: float | None
    look_mse: float | None
    look_direction: float | None
    hotbar_accuracy: float | None
    cursor_mse: float | None
    cursor_pixels: float | None
    inventory: Mapping[str, BinaryScore]
    inventory_f1: float | None
    idle_accuracy: float | None
    combined: float
    absent: tuple[str, ...]
    frames: int

    def to_json(self) -> dict[str, Json]:
        """As metrics.json has them, where a precision or recall that is undefined is 0."""
        return {**asdict(self), "action": _json(self.action), "inventory": _json(self.inventory)}


def _json(scores: Mapping[str, BinaryScore]) -> dict[str, Json]:
    return {
        name: {
            "precision": score.precision or 0.0,
            "recall": score.recall or 0.0,
            "f1": score.f1,
            "support": score.support,
            "predicted": score.predicted,
        }
        for name, score in scores.items()
    }


def score(predicted: Predictions, truth: Truth, thresholds: Thresholds | None = None) -> Scores:
    """Score N frames at once, so that no number depends on batches. thresholds: 0.5 if not given."""
    limits = thresholds or Thresholds()
    playing, screen = truth.gameplay, truth.screen_open
    pressed = predicted.action > np.array(limits.action, np.float32)
    clicked = predicted.inventory > np.array(limits.inventory, np.float32)
    action = binaries("action", pressed, truth, truth.action_mask)
    inventory = binaries("inventory", clicked, truth, screen[:, None])
    look, wanted_look = (values[playing & truth.look_active] for values in (predicted.look, truth.head("look")))
    cursor, wanted_cursor = (values[screen] for values in (predicted.cursor, truth.head("cursor")))
    changed = truth.hotbar_changed
    # Above 0, so that the copying baseline, which names no slot on most frames, is not taken to choose the first
    right_slot = predicted.slots(1e-9)[changed] == truth.head("hotbar")[changed].argmax(1)
    pixels = np.linalg.norm((cursor - wanted_cursor) * np.array(SCREEN_PIXELS, np.float32), axis=1)
    found = {
        "action_f1": macro_f1(action.values()),
        "look_mse": mean((look - wanted_look) ** 2),
        "look_direction": mean((np.sign(look) == np.sign(wanted_look))[wanted_look != 0]),
        "hotbar_accuracy": mean(right_slot),
        "cursor_mse": mean((cursor - wanted_cursor) ** 2),
        "cursor_pixels": mean(pixels),
        "inventory_f1": macro_f1(inventory.values()),
        "idle_accuracy": mean(~pressed[truth.idle].any(1)),
    }
    combined, absent = combine(found)
    return Scores(action=action, inventory=inventory, **found, combined=combined, absent=absent, frames=len(truth))


def combine(found: Mapping[str, float | None]) -> tuple[float, tuple[str, ...]]:
    """(combined score, absent heads): 0.4 action F1 + 0.2 (1 - look error) + 0.1 hotbar accuracy + 0.1 (1 - cursor
    error) + 0.1 inventory F1 + 0.1 idle accuracy. The weight of a head that is None is shared among the others.
    """
    look, cursor = found["look_mse"], found["cursor_mse"]
    parts = {
        "action": found["action_f1"],
        "look": None if look is None else max(0.0, 1 - look),
        "hotbar": found["hotbar_accuracy"],
        "cursor": None if cursor is None else max(0.0, 1 - cursor),
        "inventory": found["inventory_f1"],
        "idle": found["idle_accuracy"],
    }
    there = {head: value for head, value in parts.items() if value is not None}
    weight = math.fsum(SCORE_WEIGHTS[head] for head in there)
    total = math.fsum(SCORE_WEIGHTS[head] * value for head, value in there.items())
    return (total / weight if there else 0.0), tuple(head for head in parts if head not in there)


def binaries(head: str, pressed: Bools, truth: Truth, counts: Bools) -> dict[str, BinaryScore]:
    """Precision, recall and F1 of each column of (N, n) decisions, over the frames that count: (N, n) or (N, 1)."""
    return binary_scores((truth.head(head) > 0.5) & counts, pressed & counts, tables.head_names(head))


def majority(training: Truth, count: int) -> Predictions:
    """Majority baseline for `count` frames: what training saw most, of the frames that a head is about; for look and
    cursor the mean.
    """
    answer = np.zeros(len(tables.CONTROLS), np.float32)
    masks = {
        "action": training.gameplay,
        "look": training.gameplay & training.look_active,
        "hotbar": training.hotbar_changed,
        "cursor": training.screen_open,
        "inventory": training.screen_open,
    }
    for head, mask in masks.items():
        if not mask.any():
            continue
        means = training.head(head)[mask].mean(0)
        if head in ("action", "inventory"):
            means = (means > 0.5).astype(np.float32)
        elif head == "hotbar":
            means = np.eye(len(means), dtype=np.float32)[means.argmax()]
        answer[tables.HEADS[head]] = means
    return Predictions.of_controls(np.broadcast_to(answer, (count, len(answer))))


_NUMBERS: Final = (
    *("combined", "action_f1", "look_mse", "look_direction", "hotbar_accuracy", "cursor_mse", "cursor_pixels"),
    *("inventory_f1", "idle_accuracy"),
)


def table(columns: Mapping[str, Scores]) -> str:
    """Scores side by side, one figure a line; a dash where there was nothing to judge."""
    first = next(iter(columns.values()))
    lines = {name.replace("_", " "): (name,) for name in _NUMBERS}
    for head, scores in (("action", first.action), ("inventory", first.inventory)):
        lines |= {f"  {name} F1 ({score.support})": (head, name, "f1") for name, score in scores.items()}
    return aligned(rows({name: scores.to_json() for name, scores in columns.items()}, lines))
