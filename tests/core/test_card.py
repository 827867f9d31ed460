"""The card beside a model's weights."""

import pytest

from protege.core import KEYBOARD_12
from protege.core.card import ModelCard
from protege.errors import UserError


def test_a_card_survives_its_file(tmp_path):
    card = ModelCard("vision", "Qwen/x", frame_size=(160, 120), chords=True, config={"training": {"seed": 1}})
    card.save(tmp_path)
    assert ModelCard.load(tmp_path) == card


def test_a_done_threshold_is_kept_and_written_only_where_there_is_one(tmp_path):
    card = ModelCard("vision", "Qwen/x", done_threshold=0.25)
    assert ModelCard.load(card.save(tmp_path).parent) == card
    assert "done_threshold" not in ModelCard("vision", "Qwen/x").save(tmp_path).read_text()
    assert ModelCard.load(tmp_path).done_threshold is None


@pytest.mark.parametrize("value", ["-0.1", "1.5", "NaN", "true", '"0.5"', "null"])
def test_a_done_threshold_that_is_no_probability_is_refused(tmp_path, value):
    path = ModelCard("vision", "Qwen/x", done_threshold=0.25).save(tmp_path)
    path.write_text(path.read_text().replace("0.25", value))
    with pytest.raises(UserError, match="done_threshold"):
        ModelCard.load(tmp_path)


def test_a_mismatch_is_refused_in_words():
    card = ModelCard("vision", "Qwen/x", horizon=5)
    card.require(kind="vision", space=KEYBOARD_12)
    with pytest.raises(UserError, match="made for horizon 5, this needs 7"):
        card.require(kind="vision", horizon=7)


@pytest.mark.parametrize(("text", "message"), [(None, "not a model that protege trained"), ("{}", "not a model card")])
def test_a_folder_without_a_card_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "card.json").write_text(text)
    with pytest.raises(UserError, match=message):
        ModelCard.load(tmp_path)
