"""Thresholds: the best F1 that presses no more often than the truth, as scikit-learn's curve has it."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from protege.cloning.thresholds import NEVER, choose, played, pressed, untuned

HALF = np.full(3, 0.5)


def chosen(probs, truth, before=0.5):
    """The threshold of one action."""
    (found,) = choose(np.array(probs)[:, None], np.array(truth, bool)[:, None], np.array([before]), fewest=1)
    return found


@pytest.mark.parametrize("decimals", [1, 2, 8])  # few decimals: many equal probabilities
def test_no_threshold_that_presses_no_more_often_than_the_truth_has_a_better_f1(decimals):
    rng = np.random.default_rng(decimals)
    truth = rng.random((400, 3)) < [0.5, 0.1, 0.02]
    probs = np.clip(0.3 * truth + 0.7 * rng.random((400, 3)), 0, 1).round(decimals).astype(np.float32)
    pred = pressed(probs, choose(probs, truth, HALF, fewest=1))
    assert (pred.sum(0) <= truth.sum(0)).all()
    for a in range(3):
        precision, recall, cuts = precision_recall_curve(truth[:, a], probs[:, a])
        often = np.append((probs[:, a] >= cuts[:, None]).sum(1), 0)  # the curve's last point presses nothing
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        assert f1_score(truth[:, a], pred[:, a]) == pytest.approx(f1[often <= truth[:, a].sum()].max())


def test_a_model_that_is_unsure_does_not_press_all_the_time():
    """Held in a third of the frames, and the model cannot tell in which: pressing always has the best F1 of all."""
    rng = np.random.default_rng(0)
    truth = rng.random((300, 1)) < 1 / 3
    for middle in (0.3, 0.7):
        probs = middle + 0.01 * rng.random((300, 1))
        assert f1_score(truth, np.ones(300)) > f1_score(truth, rng.permuted(truth))
        pred = pressed(probs, choose(probs, truth, np.array([0.5])))
        assert pred.sum() <= truth.sum()


def test_a_threshold_lies_midway_between_the_frames_it_separates():
    assert chosen([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]) == pytest.approx(0.25)


def test_the_threshold_stays_where_none_is_better():
    assert chosen([0.1, 0.2, 0.6, 0.7], [0, 0, 1, 1]) == 0.5
    assert chosen([0.1, 0.2, 0.6, 0.7], [0, 0, 1, 1], before=0.25) == 0.25


@pytest.mark.parametrize(("held", "chosen"), [(0, 0.5), (19, 0.5), (20, 0.25)])
def test_an_action_that_hardly_occurs_keeps_its_threshold(held, chosen):
    truth = np.arange(60)[:, None] < held
    probs = np.where(truth, 0.3, 0.2)
    assert choose(probs, truth, np.array([0.5])) == pytest.approx([chosen])


def test_an_action_that_training_never_held_is_never_pressed():
    """Not where it is the likeliest of a player who hesitates, and not where the validation episodes hold it."""
    before = untuned(np.array([[0, 0], [1, 0]], bool), 0.4)
    assert before.tolist() == [0.4, NEVER]
    probs = np.array([[0.1, 1.0], [0.45, 0.9], [0.3, 0.7]])
    cuts = choose(probs, np.array([[0, 1], [1, 1], [0, 1]], bool), before, fewest=1)
    assert cuts.tolist() == [0.4, NEVER]
    assert pressed(probs, cuts).tolist() == [[False, False], [True, False], [False, False]]
    assert played(probs, cuts).tolist() == [[False, False], [True, False], [True, False]]


@pytest.mark.parametrize(("probability", "before"), [(0.3, 0.5), (0.7, 0.5), (0.0, 0.5), (0.7, 0.9), (1.0, 0.5)])
def test_probabilities_that_cannot_be_told_apart_press_nothing(probability, before):
    """The truth holds the action in two of three frames, and every threshold presses it in all or in none."""
    cut = chosen([probability] * 3, [1, 0, 1], before)
    assert not probability > cut
    assert cut == before or probability > before


def test_an_action_that_is_always_held_is_always_predicted():
    probs = np.array([[0.2], [0.4]])
    assert pressed(probs, choose(probs, np.ones((2, 1), bool), np.array([0.5]), fewest=1)).all()


def test_hesitation_between_two_keys_is_no_standing_still():
    said = np.array([[0.6, 0.1, 0.7], [0.4, 0.45, 0.1], [0.05, 0.1, 0.02]])
    cuts = np.array([0.5, 0.5, 0.8])
    held = played(said, cuts)
    assert held.tolist() == [[True, False, False], [False, True, False], [False, False, False]]
    assert played(said[1], cuts).tolist() == [False, True, False], "one moment as it is among many"
    assert not pressed(said[1], cuts).any()
