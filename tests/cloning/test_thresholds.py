"""Thresholds: the best on the data they are chosen on, as scikit-learn's precision-recall curve has it."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from protege.cloning.thresholds import choose, played, pressed


@pytest.mark.parametrize("decimals", [1, 2, 8])  # few decimals: many equal probabilities
def test_no_threshold_has_a_better_f1(decimals):
    rng = np.random.default_rng(decimals)
    truth = rng.random((400, 3)) < [0.5, 0.1, 0.02]
    probs = np.clip(0.3 * truth + 0.7 * rng.random((400, 3)), 0, 1).round(decimals).astype(np.float32)
    pred = pressed(probs, choose(probs, truth))
    for a in range(3):
        precision, recall, _ = precision_recall_curve(truth[:, a], probs[:, a])
        best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
        assert f1_score(truth[:, a], pred[:, a]) == pytest.approx(best)


def test_a_threshold_lies_midway_between_the_frames_it_separates():
    probs = np.array([[0.1], [0.2], [0.6], [0.7]])
    assert choose(probs, np.array([[0], [0], [1], [1]], bool)) == pytest.approx([0.4])


def test_an_action_that_never_occurs_keeps_the_default():
    found = choose(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([[0, 0], [0, 1]], bool), default=0.7)
    assert found == pytest.approx([0.7, 0.15])


def test_probabilities_that_cannot_be_told_apart_predict_all_or_keep_the_default():
    truth = np.array([[1], [0], [1]], bool)
    assert pressed(np.full((3, 1), 0.3), choose(np.full((3, 1), 0.3), truth)).all()
    assert choose(np.zeros((3, 1)), truth) == pytest.approx([0.5])


def test_an_action_that_is_always_held_is_always_predicted():
    probs = np.array([[0.2], [0.4]])
    assert pressed(probs, choose(probs, np.ones((2, 1), bool))).all()


def test_hesitation_between_two_keys_is_no_standing_still():
    said = np.array([[0.6, 0.1, 0.7], [0.4, 0.45, 0.1], [0.05, 0.1, 0.02]])
    cuts = np.array([0.5, 0.5, 0.8])
    held = played(said, cuts)
    assert held.tolist() == [[True, False, False], [False, True, False], [False, False, False]]
    assert played(said[1], cuts).tolist() == [False, True, False], "one moment as it is among many"
    assert not pressed(said[1], cuts).any()
