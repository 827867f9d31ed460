"""Scores by head: over frames and not batches, absent where there is nothing to judge, beside two baselines."""

import numpy as np
import pytest

from protege.controls import tables
from protege.controls.metrics import Predictions, Thresholds, Truth, combine, majority, score, table

COLUMN = tables.NAMES.index


def truth(controls, screen=(), changed=()):
    """Frames in gameplay, but for those in `screen`."""
    count = len(controls)
    is_open = np.isin(np.arange(count), screen)
    look = controls[:, tables.HEADS["look"]]
    return Truth(
        controls,
        gameplay=~is_open,
        screen_open=is_open,
        hotbar_changed=controls[:, tables.HEADS["hotbar"]].any(1),
        look_active=np.hypot(look[:, 0], look[:, 1]) > 0.08,
        idle=~is_open & ~controls[:, tables.HEADS["action"]].any(1),
        slot=np.zeros(count, int),
    )


def press(controls, name, frames, value=1.0):
    controls[list(frames), COLUMN(name)] = value


@pytest.fixture
def frames():
    """Ten frames: forward in 0 to 4, one jump, a slot chosen in 6, turning in 7, a screen open in 8 and 9."""
    controls = np.zeros((10, 28), np.float32)
    press(controls, "move_forward", range(5))
    press(controls, "jump", [2])
    press(controls, "hotbar_4", [6])
    press(controls, "look_yaw", [7], -0.5)
    press(controls, "cursor_x", [8, 9], 0.5)
    press(controls, "inv_left_click", [9])
    return truth(controls, screen=(8, 9))


def test_predictions_that_are_the_truth_score_1(frames):
    found = score(Predictions.of_controls(frames.controls), frames)
    assert found.combined == pytest.approx(1)
    assert (found.look_mse, found.look_direction, found.hotbar_accuracy, found.cursor_mse) == (0, 1, 1, 0)
    assert (found.action_f1, found.inventory_f1, found.idle_accuracy, found.absent) == (1, 1, 1, ())


def test_precision_recall_and_f1_of_a_control_are_those_of_its_frames(frames):
    predicted = Predictions.of_controls(frames.controls.copy())
    forward = predicted.action[:, 0]
    forward[:] = [0.9, 0.9, 0.4, 0.4, 0.4, 0.9, 0, 0, 0.9, 0.9]  # two hits of five, one too many; 8 and 9 not in play
    row = score(predicted, frames).action["move_forward"]
    assert (row.support, row.predicted) == (5, 3)
    assert (row.precision, row.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 5))
    assert row.f1 == pytest.approx(2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5))
    lower = Thresholds(action=(0.3, *Thresholds().action[1:]))
    assert score(predicted, frames, lower).action["move_forward"].recall == 1


def test_a_control_that_is_never_pressed_is_absent_and_not_a_zero_in_the_mean(frames):
    found = score(Predictions.of_controls(frames.controls), frames)
    assert found.action["sneak"].f1 is None
    assert found.action_f1 == 1


def test_open_inventory_is_judged_while_a_screen_is_open_too(frames):
    predicted = Predictions.of_controls(frames.controls.copy())
    predicted.action[8, tables.OPEN_INVENTORY_ACTION] = 1
    assert score(predicted, frames).action["open_inventory"].predicted == 1
    predicted.action[8, 0] = 1
    assert score(predicted, frames).action["move_forward"].predicted == 5


def test_errors_of_look_cursor_hotbar_and_idle_frames(frames):
    predicted = Predictions.of_controls(frames.controls.copy())
    predicted.look[7] = (0.1, 0)  # the yaw was -0.5: wrong by 0.6 and to the other side
    predicted.cursor[8] = (0.6, 0)
    predicted.hotbar[6] = np.eye(9)[0]
    predicted.action[5, 1] = 0.9
    found = score(predicted, frames)
    assert found.look_mse == pytest.approx(0.6**2 / 2)
    assert found.look_direction == 0  # of the one axis that turned
    assert found.cursor_mse == pytest.approx(0.1**2 / 4)
    assert found.cursor_pixels == pytest.approx(0.1 * 1920 / 2)
    assert found.hotbar_accuracy == 0
    assert found.idle_accuracy == pytest.approx(2 / 3)  # of frames 5, 6 and 7


def test_heads_without_frames_are_absent_and_their_weight_is_shared():
    controls = np.zeros((4, 28), np.float32)
    press(controls, "move_forward", range(4))
    half = Predictions.of_controls(controls.copy())
    half.action[2:, 0] = 0
    found = score(half, truth(controls))
    assert found.absent == ("look", "hotbar", "cursor", "inventory", "idle")
    assert found.combined == found.action_f1 == pytest.approx(2 / 3)
    assert (found.look_mse, found.hotbar_accuracy, found.cursor_pixels, found.idle_accuracy) == (None,) * 4


def test_nothing_at_all_scores_nothing():
    found = score(Predictions.of_controls(np.zeros((0, 28), np.float32)), truth(np.zeros((0, 28), np.float32)))
    assert found.combined == 0
    assert len(found.absent) == 6


def test_the_combined_score_has_the_documented_weights():
    values = {
        "action_f1": 0.5,
        "look_mse": 0.25,
        "hotbar_accuracy": 0.6,
        "cursor_mse": 3.0,
        "inventory_f1": 0.2,
        "idle_accuracy": 0.9,
    }
    assert combine(values)[0] == pytest.approx(0.4 * 0.5 + 0.2 * 0.75 + 0.1 * 0.6 + 0.1 * 0 + 0.1 * 0.2 + 0.1 * 0.9)
    assert combine(values | {"cursor_mse": None})[0] == pytest.approx((0.2 + 0.15 + 0.06 + 0.02 + 0.09) / 0.9)


def test_copying_controls_without_a_slot_chooses_no_slot(frames):
    before = np.concatenate([np.zeros((1, 28), np.float32), frames.controls[:-1]])
    found = score(Predictions.of_controls(before), frames)
    assert found.hotbar_accuracy == 0
    assert found.action["move_forward"].recall == pytest.approx(4 / 5)


def test_the_majority_answers_with_what_training_saw_most(frames):
    answer = majority(frames, 3)
    assert answer.action.shape == (3, 12)
    assert answer.action[0].tolist() == [1.0, *[0.0] * 11]  # forward, in five of eight frames of play
    assert answer.look[0].tolist() == [-0.5, 0]
    assert answer.hotbar[1].argmax() == 3
    assert answer.cursor[2].tolist() == [0.5, 0]


def test_the_table_shows_models_side_by_side_and_a_dash_for_what_is_absent(frames):
    right = score(Predictions.of_controls(frames.controls), frames)
    shown = table({"model": right, "majority": score(majority(frames, 10), frames)})
    lines = [line.split() for line in shown.splitlines()]
    assert lines[0] == ["model", "majority"]
    assert lines[1][:2] == ["combined", "1.000"]
    assert ["sneak", "F1", "(0)", "-", "-"] in lines
    assert ["move_forward", "F1", "(5)", "1.000", "0.769"] in lines
