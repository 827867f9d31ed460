"""Shared scores: what is undefined is None, and every number is that of the frames counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.learn.metrics import (
    BinaryScore,
    binary_scores,
    commonest,
    count_above,
    f1_at,
    macro_f1,
    mean,
    previous,
    ratio,
)


def column(text):
    return np.array([letter == "#" for letter in text], bool)[:, None]


@pytest.mark.parametrize(
    ("truth", "pred", "score"),
    [
        ("##..", "#.#.", BinaryScore(2, 2, 0.5, 0.5, 0.5)),
        ("##..", "....", BinaryScore(2, 0, None, 0.0, 0.0)),
        ("....", "#...", BinaryScore(0, 1, None, None, None)),
        ("", "", BinaryScore(0, 0, None, None, None)),
    ],
)
def test_precision_recall_and_f1_of_a_label(truth, pred, score):
    assert binary_scores(column(truth), column(pred), ("w",)) == {"w": score}


def test_a_label_that_never_occurs_does_not_count_in_the_mean():
    assert macro_f1([BinaryScore.of(1, 1, 1), BinaryScore.of(0, 3, 0), BinaryScore.of(0, 0, 2)]) == 0.5
    assert macro_f1([BinaryScore.of(0, 3, 0)]) is None


def test_what_is_made_of_nothing_is_none():
    assert ratio(0, 0) is None
    assert mean([]) is None
    assert (ratio(1, 4), mean([1, 2])) == (0.25, 1.5)


def test_the_commonest_value_or_row_is_the_lowest_of_equals():
    assert commonest(np.array([3, 1, 1, 3])) == 1
    assert commonest(np.array([[True, False], [True, True], [True, True]])).tolist() == [True, True]


def test_the_previous_row_is_missing_where_a_row_does_not_follow():
    values = np.array([[1, 2], [3, 4], [5, 6]])
    assert previous(values, np.array([True, False]), missing=-1).tolist() == [[-1, -1], [1, 2], [-1, -1]]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40).filter(
        lambda rows: any(held for _, held in rows)
    )
)
def test_f1_at_every_threshold_is_that_of_predicting_there(rows):
    probs = np.array([value / 20 for value, _ in rows])
    truth = np.array([held for _, held in rows])
    cuts = np.linspace(0, 1, 21)
    f1, predicted = f1_at(probs, truth, cuts)
    for cut, found, count in zip(cuts, f1, predicted, strict=True):
        score = binary_scores(truth[:, None], (probs > cut)[:, None], ("w",))["w"]
        assert (score.f1, score.predicted) == (pytest.approx(found), count)


def test_thresholds_are_compared_in_the_precision_of_the_values():
    """As a float64, 0.4 is below the float32 of the same name."""
    assert count_above(np.array([0.4], np.float32), np.array([0.4])).tolist() == [0]
