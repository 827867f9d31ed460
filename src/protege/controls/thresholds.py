"""Threshold search: on validation frames, never on the frames that are reported."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.metrics import NO_SLOT, Bools, Floats, Predictions, Thresholds, Truth
from protege.learn.metrics import count_above, f1_at

DEFAULT: Final = 0.5
IDLE_COST: Final = 0.5
CANDIDATES: Final[dict[str, NDArray[np.float64]]] = {
    "seed001": np.arange(10, 91, 5) / 100,
    "seed000": np.arange(10, 90, 5) / 100,
}
"""0.10 to 0.90 in steps of 0.05; the source document 000 stops before 0.90."""


def tune(predicted: Predictions, truth: Truth, sweep: str = "seed001") -> Thresholds:
    """Choose the best thresholds for these frames, the lowest of equals; a control never pressed here keeps 0.5.

    action: F1 - 0.5 x the share of idle frames on which the control would be pressed; inventory: F1; hotbar: see
    `hotbar_threshold`. sweep: "seed000" takes 000's candidates and, as 000 does, 0.5 where no candidate scores over 0.
    """
    candidates, floor = CANDIDATES[sweep], 0.0 if sweep == "seed000" else -1.0
    counts, screen = truth.action_mask, truth.screen_open
    idle = predicted.action[truth.idle]
    action = (
        binary_threshold(predicted.action[counts[:, i], i], wanted[counts[:, i]], candidates, idle[:, i], floor)
        for i, wanted in enumerate(truth.head("action").T)
    )
    inventory = (
        binary_threshold(predicted.inventory[screen, i], wanted[screen], candidates, floor=floor)
        for i, wanted in enumerate(truth.head("inventory").T)
    )
    return Thresholds(tuple(action), hotbar_threshold(predicted, truth, candidates), tuple(inventory))


def binary_threshold(
    probability: Floats,
    target: Floats,
    candidates: NDArray[np.float64],
    idle: Floats | None = None,
    floor: float = -1.0,
) -> float:
    """The candidate with the best F1 - 0.5 x false positives among the idle frames.

    probability, target: (N,). idle: (M,) probabilities on idle frames, none for F1 alone. floor: what has to be beaten.
    """
    wanted = target > 0.5
    if not wanted.any():
        return DEFAULT
    scores, _ = f1_at(probability, wanted, candidates)
    if idle is not None and len(idle):
        scores = scores - IDLE_COST * count_above(idle, candidates) / len(idle)
    best = int(scores.argmax())
    return float(candidates[best]) if scores[best] > floor else DEFAULT


def hotbar_threshold(predicted: Predictions, truth: Truth, candidates: NDArray[np.float64]) -> float:
    """The candidate with the best accuracy x coverage over all gameplay frames.

    A slot is emitted where it is at least as likely as the candidate and is not the slot held already, as in play.
    accuracy: the part of all emissions, those on frames without a change among them, that name the slot the player
    changed to on that frame; coverage: the part of the player's changes on which anything is emitted.
    """
    playing = truth.gameplay
    changed = truth.hotbar_changed[playing]
    if not changed.any():
        return DEFAULT
    wanted = np.where(changed, truth.head("hotbar")[playing].argmax(1), NO_SLOT)
    best, sure, held = (a[playing] for a in (predicted.hotbar.argmax(1), predicted.hotbar.max(1), truth.slot))
    scores = [_hotbar_score(best, (sure >= t) & (best != held), wanted, changed) for t in candidates]
    highest = int(np.argmax(scores))
    return float(candidates[highest]) if scores[highest] > 0 else DEFAULT


def _hotbar_score(best: NDArray[np.int_], emitted: Bools, wanted: NDArray[np.int_], changed: Bools) -> float:
    if not emitted.any():
        return 0.0
    accuracy = (best == wanted)[emitted].mean()
    coverage = emitted[changed].mean()
    return float(accuracy * coverage)
