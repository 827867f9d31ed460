"""Thresholds: the sweep's objective for each kind of control, and that it can say no."""

import numpy as np
import pytest

from protege.controls import tables
from protege.controls.metrics import Predictions, Thresholds, score
from protege.controls.thresholds import CANDIDATES, binary_threshold, hotbar_threshold, tune
from tests.controls.test_metrics import press, truth

SWEEP = CANDIDATES["seed001"]


def f32(*values):
    return np.array(values, np.float32)


def test_candidates_go_from_010_to_090():
    assert (len(SWEEP), SWEEP[0], SWEEP[-1]) == (17, 0.1, 0.9)
    assert (len(CANDIDATES["seed000"]), CANDIDATES["seed000"][-1]) == (16, 0.85)


def test_the_best_f1_wins_and_the_lowest_of_equals():
    probability, target = f32(0.9, 0.62, 0.4, 0.2), f32(1, 1, 0, 0)
    assert binary_threshold(probability, target, SWEEP) == 0.4  # 0.40 to 0.60 are all perfect; 0.4 is not over 0.4


def test_false_positives_on_idle_frames_raise_a_threshold():
    probability, target = f32(0.9, 0.3, 0.3, 0.3), f32(1, 1, 1, 1)
    assert binary_threshold(probability, target, SWEEP) == 0.1
    assert binary_threshold(probability, target, SWEEP, idle=f32(0.25, 0.27, 0.1)) == 0.25
    # one idle frame of ten at 0.5 costs 0.05, which is less than the F1 that the next candidates lose
    few = np.full(10, 0.05, np.float32)
    few[0] = 0.5
    assert binary_threshold(f32(0.9, 0.45, 0.45), f32(1, 1, 1), SWEEP, idle=few) == 0.1


def test_the_sweep_is_the_brute_force_one():
    rng = np.random.default_rng(0)
    probability, idle = rng.random(300).astype(np.float32), rng.random(80).astype(np.float32)
    target = (rng.random(300) < probability * 0.7).astype(np.float32)
    scores = []
    for candidate in SWEEP.astype(np.float32):
        pressed = probability > candidate
        hits = (pressed & (target > 0)).sum()
        f1 = 2 * hits / max(pressed.sum() + target.sum(), 1)
        scores.append(f1 - 0.5 * (idle > candidate).mean())
    assert binary_threshold(probability, target, SWEEP, idle) == SWEEP[int(np.argmax(scores))]


def test_a_control_that_was_never_pressed_keeps_a_half():
    assert binary_threshold(f32(0.1, 0.2), f32(0, 0), SWEEP) == 0.5
    assert binary_threshold(f32(), f32(), SWEEP) == 0.5


def test_000_takes_a_half_where_nothing_scores_over_0():
    probability, target, idle = f32(0.05, 0.95), f32(1, 0), f32(0.95)
    assert binary_threshold(probability, target, SWEEP, idle, floor=0.0) == 0.5
    assert binary_threshold(probability, target, SWEEP, idle) == 0.1


def hotbar(rows, slots, held=None):
    """rows: (wanted slot or None, predicted slot, how sure)."""
    controls = np.zeros((len(rows), 28), np.float32)
    sure = np.full((len(rows), 9), 0.0, np.float32)
    for i, (wanted, best, confidence) in enumerate(rows):
        if wanted is not None:
            press(controls, f"hotbar_{wanted + 1}", [i])
        sure[i] = (1 - confidence) / 8
        sure[i, best] = confidence
    frames = truth(controls)
    frames.slot[:] = slots
    predicted = Predictions.of_controls(controls)
    predicted.hotbar[:] = sure
    return hotbar_threshold(predicted, frames, SWEEP)


def test_frames_without_a_change_raise_the_hotbars_threshold():
    changes = [(3, 3, 0.8)] * 4 + [(2, 2, 0.3)]
    assert hotbar(changes, slots=0) == 0.1  # all right at any candidate up to 0.25
    assert hotbar(changes + [(None, 5, 0.35)] * 20, slots=0) == 0.35  # the last change is not worth twenty wrong slots


def test_naming_the_slot_that_is_held_already_is_no_emission():
    changes = [(3, 3, 0.8)] * 4 + [(2, 2, 0.3)]
    assert hotbar(changes + [(None, 0, 0.75)] * 20, slots=0) == 0.1


def test_wrong_slots_lower_the_accuracy():
    rows = [(3, 3, 0.8)] * 4 + [(2, 7, 0.4)] * 4
    # with all of them 4/8 x 8/8, with the sure ones 4/4 x 4/8: equal, so the lowest; one more wrong one decides
    assert hotbar(rows, slots=0) == 0.1
    assert hotbar([*rows, (None, 7, 0.4)], slots=0) == 0.45


def test_no_change_at_all_keeps_a_half():
    assert hotbar([(None, 1, 0.9)] * 3, slots=0) == 0.5


def test_tuning_sets_every_control_by_its_own_frames():
    rng = np.random.default_rng(1)
    controls = np.zeros((200, 28), np.float32)
    press(controls, "move_forward", range(50))
    press(controls, "inv_left_click", range(150, 170))
    frames = truth(controls, screen=range(140, 200))
    predicted = Predictions.of_controls(controls * 0.3)
    predicted.action[140:, 0] = 0.9  # not in play: of no account
    predicted.inventory[:140, 0] = 0.9
    predicted.action[:, 3] = rng.random(200)
    found = tune(predicted, frames)
    assert found.action[0] == found.inventory[0] == 0.1
    assert found.action[3] == 0.5
    assert score(predicted, frames, found).action_f1 == 1
    assert score(predicted, frames, Thresholds()).action_f1 == 0
    assert len(found.action) == len(tables.HEADS["action"])


@pytest.mark.parametrize("sweep", list(CANDIDATES))
def test_both_sweeps_tune(sweep):
    controls = np.zeros((20, 28), np.float32)
    press(controls, "jump", [3])
    assert tune(Predictions.of_controls(controls), truth(controls), sweep).action[6] == 0.1
