"""Metrics against scikit-learn, scipy and figures worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from protege.cloning import baselines, metrics

KEYS = ("left", "right", "attack", "never")
EPISODE = np.repeat([4, 0, 7], [100, 60, 140])


def held(text):
    """(N, 1) from a picture of an action held (#) and not (.)."""
    return np.array([[c == "#"] for c in text])


def one(truth, pred, episode=None):
    """The onset metrics of one action."""
    return metrics.onsets(held(truth), held(pred), np.zeros(len(truth), int) if episode is None else episode)


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    truth = rng.random((300, 4)) < [0.6, 0.3, 0.05, 0]
    pred = truth ^ (rng.random((300, 4)) < 0.2)
    return truth, pred, metrics.score(truth, pred, EPISODE, KEYS)


def test_each_action_is_scored_as_scikit_learn_does(drawn):
    truth, pred, found = drawn
    for a, key in enumerate(KEYS[:3]):
        y, p, score = truth[:, a], pred[:, a], found.actions[key]
        assert score.accuracy == pytest.approx(accuracy_score(y, p))
        assert score.precision == pytest.approx(precision_score(y, p))
        assert score.recall == pytest.approx(recall_score(y, p))
        assert score.f1 == pytest.approx(f1_score(y, p))
        assert (score.support, score.predicted) == (y.sum(), p.sum())
    assert found.exact_match == pytest.approx(accuracy_score(truth, pred))
    assert found.macro_f1 == pytest.approx(f1_score(truth[:, :3], pred[:, :3], average="macro"))


def test_an_absent_action_is_reported_and_not_scored(drawn):
    truth, pred, found = drawn
    assert found.absent == ("never",)
    assert found.actions["never"] == metrics.ActionScore(0, int(pred[:, 3].sum()))
    assert found.actions["never"].predicted > 0
    assert metrics.score(truth, truth, EPISODE, KEYS).macro_f1 == 1.0


def test_an_action_never_predicted_has_no_precision_and_no_f1():
    found = metrics.action_scores(held("##.."), held("...."), ("a",))["a"]
    assert (found.precision, found.recall, found.f1) == (None, 0.0, 0.0)


def test_nothing_held_at_all_is_told_without_a_number():
    found = metrics.score(held("...."), held("...#"), np.zeros(4, int), ("a",))
    assert (found.macro_f1, found.exact_match, found.onsets.f1, found.onsets.recall) == (None, 0.75, None, None)


def test_confusion_counts_are_those_of_scikit_learn(drawn):
    truth, pred, _ = drawn
    for a, (both, only_pred, only_true, neither) in enumerate(metrics.confusion(truth, pred)):
        table = confusion_matrix(truth[:, a], pred[:, a], labels=[False, True])
        assert table.tolist() == [[neither, only_pred], [only_true, both]]


def test_frequencies_by_hand():
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], bool)
    pred = np.array([[1, 1], [0, 0], [0, 1], [0, 0]], bool)
    found = metrics.frequency(truth, pred)
    assert found.l1 == pytest.approx(0.5 + 0.25)
    assert found.l2 == pytest.approx(np.hypot(0.5, 0.25))
    rates = ((3.5 / 5, 1.5 / 5), (1.5 / 5, 2.5 / 5))
    assert found.kl == pytest.approx(sum(entropy([t, 1 - t], [p, 1 - p]) for t, p in rates))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_the_divergence_is_never_negative_and_zero_for_equal_shares(seed, frames):
    rng = np.random.default_rng(seed)
    truth, pred = rng.random((2, frames, 3)) < rng.random((2, 1, 3))
    assert metrics.frequency(truth, pred).kl >= 0
    assert metrics.frequency(truth, truth[rng.permutation(frames)]).kl == pytest.approx(0, abs=1e-12)


def test_predicting_less_than_the_truth_has_a_positive_divergence():
    """Where t·log(t/p) alone, summed over frames that both hold, is negative."""
    assert metrics.frequency(held("#..."), held("##..")).kl > 0.05


def test_changes_do_not_cross_episodes():
    found = metrics.changes(held("..##" + "##.#"), np.repeat([0, 1], 4))
    assert found[:, 0].tolist() == [0, 0, 1, 0, 0, 0, -1, 1]


def test_recall_of_starts_and_ends_by_hand():
    found = one("..##..##..", "..###..#..")
    assert (found.starts, found.ends) == (2, 2)
    assert found.start_recall == 0.5  # the second is one frame late
    assert found.end_recall == 0.5  # the first is one frame late
    assert found.exact_match == 0.5


def test_starts_within_five_frames_count_and_six_do_not():
    late = {n: one("." * 10 + "#" * 20, "." * (10 + n) + "#" * (20 - n)) for n in (5, 6)}
    assert (late[5].f1, late[6].f1) == (1.0, 0.0)
    early = {n: one("." * 10 + "#" * 20, "." * (10 - n) + "#" * (20 + n)) for n in (5, 6)}
    assert (early[5].f1, early[6].f1) == (1.0, 0.0)


def test_one_true_start_answers_for_one_predicted_start():
    found = one(".....####......", "...#.#.##......")  # three starts and three ends beside one of each
    assert found.precision == pytest.approx(2 / 6)
    assert found.recall == 1.0
    assert found.f1 == pytest.approx(0.5)


def test_a_start_does_not_match_an_end():
    assert one("..######", "##......").f1 == 0.0


def test_an_onset_does_not_match_across_episodes_or_actions():
    episode = np.repeat([0, 1], 6)
    assert one("....##" + "......", "......" + ".#####", episode).f1 == 0.0
    truth, pred = np.hstack([held("..####"), held("......")]), np.hstack([held("......"), held("..####")])
    assert metrics.onsets(truth, pred, np.zeros(6, int)).f1 == 0.0


@given(st.lists(st.integers(0, 60), unique=True), st.lists(st.integers(0, 60), unique=True), st.integers(0, 6))
def test_no_pairing_is_larger(one, other, buffer):
    left, right = np.array(sorted(one), int), np.array(sorted(other), int)
    near = np.abs(left[:, None] - right[None]) <= buffer
    best = (maximum_bipartite_matching(csr_matrix(near), perm_type="column") >= 0).sum() if near.size else 0
    assert metrics.paired(left, right, buffer) == best


def test_many_episodes_and_actions_count_as_each_alone(drawn):
    truth, pred, found = drawn
    pairs = predicted = 0
    for e in (4, 0, 7):
        for a in range(4):
            own = e == EPISODE
            alone = metrics.onsets(truth[own, a : a + 1], pred[own, a : a + 1], EPISODE[own])
            said = int(np.count_nonzero(metrics.changes(pred[own, a : a + 1], EPISODE[own])))
            pairs += round((alone.precision or 0) * said)
            predicted += said
    assert found.onsets.precision == pytest.approx(pairs / predicted)


def test_scores_are_plain_json(drawn):
    import json

    fields = json.loads(json.dumps(drawn[2].to_json(), allow_nan=False))
    assert fields["absent"] == ["never"]
    assert fields["actions"]["never"]["f1"] is None
    assert fields["onsets"]["starts"] == drawn[2].onsets.starts


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="2 actions"):
        metrics.score(held("##"), held("##"), np.zeros(2, int), ("a", "b"))
    with pytest.raises(ValueError, match="0 frames"):
        metrics.score(np.zeros((0, 1), bool), np.zeros((0, 1), bool), np.zeros(0, int), ("a",))


def test_majority_is_the_commonest_combination():
    train = np.array([[1, 0], [0, 1], [1, 1], [1, 1]], bool)  # each action alone is held in 3 of 4 frames
    assert baselines.majority(train, 3).tolist() == [[True, True]] * 3


def test_copying_starts_anew_in_every_episode_and_never_meets_an_onset():
    truth, episode = held("##.#" + "##.#"), np.repeat([0, 1], 4)
    copied = baselines.copy_previous(truth, episode)
    assert copied[:, 0].tolist() == held(".##." + ".##.")[:, 0].tolist()
    found = metrics.onsets(truth, copied, episode)
    assert (found.start_recall, found.end_recall) == (0.0, 0.0)
