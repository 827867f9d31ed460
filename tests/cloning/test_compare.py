"""The comparison table: models side by side, and a word where their numbers cannot be compared."""

import json

import numpy as np
import pytest

from protege.cloning.compare import compare, read_metrics
from protege.cloning.predictions import Predictions, Scored, judge
from protege.errors import UserError

KEYS = ("left", "right", "never")


def write(folder, wrong, split="test", frames=60):
    """The metrics.json of a model that errs in a part of the frames."""
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.random((frames // 5, 1, 3)) < [0.5, 0.3, 0], 5, axis=0)
    probs = np.where(truth ^ (rng.random(truth.shape) < wrong), 0.9, 0.1).astype(np.float32)
    found = Predictions(KEYS, ("episode_0",), probs, truth, np.arange(frames), np.zeros(frames, int))
    about: Scored = {"model": folder.name, "parameters": 655_623, "dataset": "data/e.zarr", "split": split}
    judged = judge(found, np.full(3, 0.5), truth[:, 0], about)
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(judged.to_json()), encoding="utf-8")
    return folder, judged


def cells(text, label):
    (line,) = [line for line in text.splitlines() if line.startswith(f"{label} ")]
    return line.removeprefix(label).split()


def test_models_stand_side_by_side_with_the_baselines(tmp_path):
    (good, judged), (bad, _) = write(tmp_path / "good", 0.02), write(tmp_path / "bad", 0.4)
    text = compare([good, bad])
    assert "60 frames (test) of e.zarr" in text
    assert text.splitlines()[2].split() == ["good", "bad", "majority", "copy", "previous"]
    exact = list(map(float, cells(text, "exact match")))
    assert exact[0] == pytest.approx(judged.scores.exact_match, abs=5e-4)
    assert exact[0] > exact[1]
    assert cells(text, "parameters") == ["655,623", "655,623", "-", "-"]
    assert cells(text, "F1 never (absent)") == ["-"] * 4


def test_every_line_is_the_number_it_says(tmp_path):
    folder, judged = write(tmp_path / "one", 0.2)
    text, scores = compare([folder]), judged.scores
    expected = {
        "exact match": scores.exact_match,
        "macro F1": scores.macro_f1,
        "cross-entropy": judged.cross_entropy,
        "start recall": scores.onsets.start_recall,
        "end recall": scores.onsets.end_recall,
        "onset F1 (buffered)": scores.onsets.f1,
        "frequency L1": scores.frequency.l1,
        "frequency L2": scores.frequency.l2,
        "frequency KL": scores.frequency.kl,
        **{f"F1 {key}": scores.actions[key].f1 for key in ("left", "right")},
    }
    found = {label: cells(text, label)[0] for label in expected}
    assert found == {label: f"{value:.3f}" for label, value in expected.items()}
    assert len(set(found.values())) == len(found)  # so that none could stand in for another


def test_models_scored_on_other_data_are_not_passed_off_as_comparable(tmp_path):
    text = compare([write(tmp_path / "a", 0.1)[0], write(tmp_path / "b", 0.1, split="validation")[0]])
    assert "b was scored on 60 frames (validation) of e.zarr, a on 60 frames (test) of e.zarr: not comparable" in text
    assert "majority" not in text


def test_another_number_of_frames_is_not_comparable_either(tmp_path):
    text = compare([write(tmp_path / "a", 0.1)[0], write(tmp_path / "b", 0.1, frames=50)[0]])
    assert "b was scored on 50 frames (test) of e.zarr, a on 60 frames (test) of e.zarr: not comparable" in text


def test_two_folders_of_one_name_are_told_apart(tmp_path):
    one, two = write(tmp_path / "x" / "pure_cnn", 0.1)[0], write(tmp_path / "y" / "pure_cnn", 0.2)[0]
    header = compare([one, two]).splitlines()[2]
    assert str(one) in header
    assert str(two) in header


def test_a_model_without_scores_says_how_to_get_them(tmp_path):
    with pytest.raises(UserError, match="protege clone evaluate"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"exact_match": 1'])
def test_a_broken_metrics_file_is_named(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics.json: not readable"):
        read_metrics(tmp_path)
