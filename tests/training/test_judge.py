# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""Scoring a real tiny model: the greedy answers, the goal-swap test, the page, comparisons, and mistakes."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from protege.core import KEYBOARD_12
from protege.core.card import ModelCard
from protege.errors import UserError
from protege.training.collate import Collator, model_inputs
from protege.training.data import LabeledData
from protege.training.evaluate import other_goals
from protege.training.judge import ScoreOptions, compare, score_model
from protege.training.judged import summary
from protege.training.predict import predict
from protege.vlm.inputs import AnswerTemplate, Tokens
from protege.vlm.load import load_model, load_processor
from protege.vlm.pixels import PixelSpec

from .conftest import GOALS, label


@pytest.fixture(scope="module")
def asked(tiny, labeled):
    processor = load_processor(tiny)
    data = LabeledData.open(labeled)
    return load_model(tiny, device="cpu"), Collator(data, Tokens(processor, KEYBOARD_12), PixelSpec.of(processor))


def slot_by_slot(model, collator, row):
    """Greedy decoding as it is told: a forward pass a slot, the template written in between."""
    template = AnswerTemplate.of(collator.tokens.tokenizer, KEYBOARD_12)
    inputs = model_inputs(collator.batch([row]), collator.pixels)
    start = int((inputs.pop("labels")[0] != -100).nonzero()[0])
    columns = np.zeros(7, np.int64)
    logps = []
    for slot in range(7):
        ids = torch.cat([inputs["input_ids"][:, :start], torch.from_numpy(template.ids(columns))[None]], 1)
        at = start + int(template.slots[slot])
        cut = {name: inputs[name][:, :at] for name in ("attention_mask", "mm_token_type_ids")}
        with torch.no_grad():
            logits = model(**{**inputs, **cut, "input_ids": ids[:, :at]}).logits[0, -1, list(template.actions)]
        columns[slot] = int(logits.argmax())
        logps.append(logits.log_softmax(-1))
    return columns, logps


def test_predictions_equal_greedy_decoding_slot_by_slot(asked):
    model, collator = asked
    rows = np.arange(0, 72, 12)
    found = predict(model, collator, rows, batch=4)
    assert found.first_probs is not None
    for place, row in enumerate(rows):
        columns, logps = slot_by_slot(model, collator, int(row))
        assert found.pred[place].tolist() == columns.tolist()
        assert found.first_probs[place] == pytest.approx(logps[0].exp().numpy(), abs=1e-4)


def test_another_goal_is_asked_in_place_of_the_samples_own(asked):
    model, collator = asked
    rows = np.arange(6)
    own = [collator.data[int(row)].goal for row in rows]
    same = predict(model, collator, rows, goals=own)
    other = predict(model, collator, rows, goals=[GOALS[-1]] * 6)
    plain = predict(model, collator, rows)
    assert np.allclose(same.truth_logp, plain.truth_logp)
    assert not np.allclose(other.truth_logp, plain.truth_logp)


def test_a_swapped_goal_is_never_the_samples_own(labeled):
    data = LabeledData.open(labeled)
    goals = other_goals(data, np.arange(len(data)))
    assert goals is not None
    assert all(goal != data[i].goal for i, goal in enumerate(goals))


def test_the_goals_of_the_other_part_are_swapped_in_where_a_part_has_one(labeled):
    data = LabeledData.open(labeled)
    part = data.take(np.flatnonzero(data.goal == 0))
    goals = other_goals(part, np.arange(len(part)))
    assert goals is not None
    assert set(goals) == set(GOALS[1:])


def test_with_one_goal_there_is_nothing_to_swap(tiny, tmp_path):
    data = label(tmp_path, segments=1, frames=3)
    judged = score_model(tiny, data, ScoreOptions(device="cpu"))
    assert judged.scores.goal_swap is None
    assert "one goal only" in summary(judged)


def test_a_score_writes_its_page_and_its_numbers(tiny, labeled, tmp_path):
    options = ScoreOptions(samples=12, device="cpu", page=tmp_path / "page.html", out=tmp_path / "scores.json")
    steps = []
    judged = score_model(tiny, labeled, options, lambda *step: steps.append(step))
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert page.count("data:image/jpeg;base64,") == 12
    assert "http" not in page.replace("http-equiv", "")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["samples"] == 12
    assert len(scores["worst"]) == 12
    assert set(scores["worst"][0]) == {"file", "goal", "predicted", "pressed"}
    assert (labeled / scores["worst"][0]["file"]).is_file()
    assert "majority" in summary(judged)
    assert steps[0][0] == "model"


def test_the_page_and_the_table_tell_of_momentary_keys(tiny, tmp_path):
    data = label(tmp_path / "data", segments=2, frames=12)
    file = next(data.glob("*_seg000/samples.jsonl"))
    lines = file.read_text().splitlines()
    for i in range(5):  # pressed for a slot, at the fifth frame
        actions = ["w"] * 7
        actions[4 - i] = "enter"
        line = json.loads(lines[i])
        line["messages"][1]["content"] = json.dumps({"actions": actions})
        lines[i] = json.dumps(line)
    file.write_text("\n".join(lines) + "\n")
    judged = score_model(tiny, data, ScoreOptions(device="cpu", page=tmp_path / "page.html"))
    assert judged.scores.momentary["enter"].presses == 5
    assert "predicted at most 2 slots before or after: enter" in summary(judged)
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Momentary keys</h2>" in page
    assert "<td>enter</td><td>5</td>" in page


def test_a_card_that_does_not_fit_is_refused(tiny, labeled, tmp_path):
    import shutil

    model = shutil.copytree(tiny, tmp_path / "model")
    ModelCard("vision", "x", horizon=5).save(model)
    with pytest.raises(UserError, match="made for horizon 5"):
        score_model(model, labeled)
    ModelCard("vision", "x").save(model)
    with pytest.raises(UserError, match=r"metrics\.json: cannot be read"):
        score_model(model, labeled, ScoreOptions(only_held_back=True))
    with pytest.raises(UserError, match="at least one sample"):
        ScoreOptions(samples=0)


def test_models_are_compared_by_their_own_numbers_or_on_the_same_data(tiny, labeled, tmp_path):
    for name, accuracy in (("a", 0.25), ("b", 0.75)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps({"first_action_accuracy": accuracy}))
    lines = compare([tmp_path / "a", tmp_path / "b"]).splitlines()
    assert lines[0].split() == ["a", "b"]
    assert lines[1].split()[-2:] == ["0.250", "0.750"]
    anew = compare([tiny, tiny], labeled, ScoreOptions(samples=3, device="cpu")).splitlines()
    assert len(anew[0].split()) == 2
    (tmp_path / "a" / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match="has no scores"):
        compare([tmp_path / "a"])
    with pytest.raises(UserError, match="protege score"):
        compare([tmp_path / "none"])


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "3", "[" * 100_000, '{"history": 3}', '{"history": [3]}', '{"first_action_accuracy": "high"}'),
        *('{"first_action_accuracy": [1]}', '{"first_action_accuracy": 0.5, "macro_f1": {}}'),
        '{"first_action_accuracy": 1e999}',
    ],
)
def test_scores_that_nobody_vouches_for_are_one_line(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError) as found:
        compare([tmp_path])
    assert "metrics.json" in str(found.value)
    assert "\n" not in str(found.value)


def test_a_score_that_cannot_be_told_is_still_read(tmp_path):
    (tmp_path / "metrics.json").write_text('{"first_action_accuracy": 0.5, "macro_f1": NaN, "history": []}')
    assert "0.500" in compare([tmp_path])
