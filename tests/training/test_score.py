"""The numbers of a score, checked by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import KEYBOARD_12
from protege.training.score import (
    bootstrap,
    calibration,
    goal_swap,
    key_scores,
    last_actions,
    majority,
    momentary_keys,
    press_score,
    repeat_last,
    scores,
    table,
)

W, LEFT, RIGHT, ENTER, NONE = (KEYBOARD_12.index(key) for key in ("w", "left", "right", "enter", "none"))


def rows(*lines):
    return np.array(lines, np.int64)


def test_accuracies_count_slots_chunks_and_first_actions():
    truth, pred = rows([W, W], [W, LEFT], [NONE, NONE], [RIGHT, W]), rows([W, W], [W, W], [NONE, NONE], [LEFT, W])
    found = scores(truth, pred, KEYBOARD_12)
    assert found.first_action_accuracy == 0.75
    assert found.slot_accuracy == (0.75, 0.75)
    assert found.exact_chunk == 0.5
    assert found.camera_accuracy == 0.0
    assert (found.done_precision, found.done_recall) == (1.0, 1.0)
    assert found.confusion[RIGHT][LEFT] == 1


def test_key_scores_are_precision_recall_and_f1():
    found = key_scores(rows([W, W, LEFT, LEFT]), rows([W, LEFT, LEFT, RIGHT]), KEYBOARD_12)
    assert (found["w"].precision, found["w"].recall) == (1.0, 0.5)
    assert found["left"].f1 == 0.5
    assert (found["right"].support, found["right"].predicted, found["right"].f1) == (0, 1, None)
    assert "space" not in found


def test_a_key_that_is_predicted_but_never_true_is_in_json_as_it_always_was():
    keys = json.loads(json.dumps(scores(rows([W, W]), rows([W, RIGHT]), KEYBOARD_12).to_json()))["keys"]
    assert keys["w"] == {"support": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert keys["right"] == {"support": 0, "precision": 0.0, "recall": None, "f1": 0.0}


def test_what_cannot_be_told_is_null_in_json():
    found = scores(rows([W]), rows([W]), KEYBOARD_12).to_json()
    assert found["done_precision"] is None
    assert found["cross_entropy"] is None


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 11), min_size=3, max_size=3), min_size=1, max_size=20))
def test_the_truth_scores_perfectly_against_itself(lines):
    truth = rows(*lines)
    found = scores(truth, truth, KEYBOARD_12)
    assert found.first_action_accuracy == found.exact_chunk == found.macro_f1 == 1


def test_cross_entropy_is_set_against_the_base_rate():
    truth = rows([W], [LEFT])
    logp = np.log(np.array([[0.5], [0.5]]))
    found = scores(truth, truth, KEYBOARD_12, train=truth, truth_logp=logp)
    assert found.cross_entropy == pytest.approx(np.log(2))
    assert found.base_rate_entropy == pytest.approx(-np.log(2 / 14))
    assert found.explained == pytest.approx(1 - np.log(2) / np.log(7))


def test_calibration_compares_how_sure_with_how_often_right():
    probs = np.array([[0.75, 0.25]] * 4)
    error, parts = calibration(probs, np.array([0, 0, 0, 1]))
    assert error == pytest.approx(0)
    assert parts == ((0.75, 0.75, 4),)
    assert calibration(probs, np.array([1, 1, 1, 1]))[0] == pytest.approx(0.75)


def test_a_goal_that_is_ignored_shows_no_effect_and_one_that_is_heeded_does():
    group = np.arange(40, dtype=np.int32) // 4
    logp = np.linspace(-1, -0.5, 40)
    same = goal_swap(logp, logp, np.zeros(40, int), np.zeros(40, int), group)
    assert (same.changed, same.effect, same.interval) == (0, 0, (0, 0))
    heeded = goal_swap(logp, logp - 1, np.zeros(40, int), np.ones(40, int), group)
    assert heeded.changed == 1
    assert heeded.interval[0] > 0


def test_the_interval_is_wider_where_samples_come_in_few_groups():
    values = np.repeat(np.random.default_rng(0).normal(size=10), 20)
    apart = bootstrap(values, np.arange(200, dtype=np.int32))
    together = bootstrap(values, np.repeat(np.arange(10, dtype=np.int32), 20))
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


def test_the_baselines_know_only_what_they_may():
    train = rows([W, W], [W, LEFT], [LEFT, LEFT])
    assert majority(train, 2).tolist() == [[W, LEFT]] * 2
    before = last_actions(train, np.array([0, 0, 1], np.int32), np.array([4, 5, 6]))
    assert before.tolist() == [-1, W, -1]
    assert repeat_last(before, 2, NONE).tolist() == [[NONE] * 2, [W] * 2, [NONE] * 2]
    gap = last_actions(train, np.zeros(3, np.int32), np.array([0, 2, 3]))
    assert gap.tolist() == [-1, -1, W]


def test_repeating_is_never_right_where_the_action_changes():
    truth = rows([W, W], [W, W], [LEFT, W], [LEFT, W], [RIGHT, W])
    before = np.array([-1, W, W, LEFT, LEFT])
    found = scores(truth, repeat_last(before, 2, NONE), KEYBOARD_12, before=before)
    assert (found.first_action_accuracy, found.change_accuracy) == (0.4, 0)
    seen = scores(truth, rows([W, W], [W, W], [LEFT, W], [W, W], [W, W]), KEYBOARD_12, before=before)
    assert (seen.first_action_accuracy, seen.change_accuracy) == (0.6, 0.5)
    assert scores(truth, truth, KEYBOARD_12).change_accuracy is None


def test_a_table_sets_models_side_by_side():
    found = scores(rows([W]), rows([W]), KEYBOARD_12).to_json()
    lines = table({"mine": found, "yours": {**found, "goal_swap": {"changed": 0.5, "effect": 0.25}}}).splitlines()
    assert lines[0].split() == ["mine", "yours"]
    assert lines[1].split() == ["first", "action", "1.000", "1.000"]
    assert lines[-1].split()[-2:] == ["-", "0.250"]


def test_a_press_counts_where_the_plan_presses_the_key_at_most_two_slots_away():
    none = [NONE] * 7
    for at, found in ((0, 0), (1, 1), (3, 1), (5, 1), (6, 0)):
        guess = [ENTER if slot == at else NONE for slot in range(7)]
        assert press_score(rows([W] * 3 + [ENTER] + [W] * 3), rows(guess), ENTER).found == found
    two = rows([ENTER, ENTER, W, W, W, W, ENTER], none)
    assert (press_score(two, rows(none, [ENTER] * 7), ENTER).presses, press_score(two, two, ENTER).found) == (2, 2)
    assert press_score(two, rows([W, W, W, ENTER, W, W, W], none), ENTER).found == 1
    assert press_score(rows(none), rows(none), ENTER).recall is None


def test_the_recall_of_momentary_keys_is_one_figure_and_one_a_key():
    truth = rows([W, W, ENTER, W], [W, ENTER, W, W], [W, W, W, LEFT])
    pred = rows([W, W, W, W], [W, W, ENTER, W], [W, W, W, W])
    found = scores(truth, pred, KEYBOARD_12, brief=["enter"]).to_json()
    assert found["momentary"] == {"enter": {"presses": 2, "found": 1, "recall": 0.5}}
    assert found["momentary_recall"] == 0.5
    assert "momentary recall       0.500" in table({"model": found})
    assert scores(truth, pred, KEYBOARD_12).to_json()["momentary_recall"] is None


def test_momentary_is_what_is_pressed_briefly_and_seldom_and_neither_moves_nor_turns():
    def keys(first, follows=None):
        columns = np.array(first)[:, None].repeat(2, axis=1)
        return momentary_keys(columns, np.ones(len(first) - 1, bool) if follows is None else follows, KEYBOARD_12)

    rare = ([W] * 48 + [ENTER] * 2) * 3
    assert keys(rare) == ["enter"]
    assert keys([LEFT if key == ENTER else key for key in rare]) == []
    assert keys(([W] * 97 + [ENTER] * 3) * 3) == []
    assert keys(([W] * 30 + [ENTER] * 2) * 3) == []
    long = [W] * 97 + [ENTER] * 4
    assert keys(long) == []
    assert keys(long, np.arange(len(long) - 1) != 98) == ["enter"], "a frame is missing within the press"
