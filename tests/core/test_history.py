"""Which earlier frames are shown, and what a card says of it."""

import json

import pytest

from protege.core.card import ModelCard
from protege.core.chat import question
from protege.core.history import History
from protege.errors import UserError

TWO = History(frames=2, stride=5, scale=0.5)


def test_earlier_frames_stand_at_multiples_of_the_stride_and_change_only_once_in_it():
    shown = [list(TWO.earlier(index)) for index in range(17)]
    assert shown == [[]] + [[0]] * 5 + [[0, 5]] * 5 + [[5, 10]] * 5 + [[10, 15]]


def test_with_a_stride_of_one_the_frames_just_before_are_shown():
    assert [list(History(3, 1, 1.0).earlier(index)) for index in (0, 1, 2, 3, 4)] == [
        [], [0], [0, 1], [0, 1, 2], [1, 2, 3],
    ]  # fmt: skip


def test_a_frame_stands_for_the_next_multiple_of_the_stride():
    assert [TWO.stands_for(index) for index in (0, 1, 5, 6, 10)] == [0, 5, 5, 10, 10]


def test_a_history_survives_the_card_and_stands_in_it_only_where_there_is_one(tmp_path):
    card = ModelCard("vision", "Qwen/x", prompt_version=2, history=TWO)
    assert ModelCard.load(card.save(tmp_path).parent) == card
    assert json.loads((tmp_path / "card.json").read_text())["history"] == {"frames": 2, "stride": 5, "scale": 0.5}
    assert (card.needed_prompt, ModelCard("vision", "Qwen/x").needed_prompt) == (2, 1)
    assert "history" not in ModelCard("vision", "Qwen/x").save(tmp_path).read_text()


@pytest.mark.parametrize(
    "history",
    [
        None, 2, [], {}, {"frames": 2, "stride": 5}, {"frames": 0, "stride": 5, "scale": 0.5},
        {"frames": 4, "stride": 5, "scale": 0.5}, {"frames": True, "stride": 5, "scale": 0.5},
        {"frames": 2, "stride": 0, "scale": 0.5}, {"frames": 2, "stride": 5, "scale": 1.5},
        {"frames": 2, "stride": 5, "scale": "half"}, {"frames": 2, "stride": 5, "scale": 0.5, "of": "maps"},
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_is_refused(tmp_path, history):
    path = ModelCard("vision", "Qwen/x", history=TWO).save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "history": history}))
    with pytest.raises(UserError, match="history is"):
        ModelCard.load(tmp_path)


def test_the_newest_picture_is_the_last_and_alone_it_is_asked_about_as_without_a_history():
    pictures = [{"type": "image", "image": name} for name in "abc"]
    asked = question("Go", pictures)
    assert [part.get("image", part.get("text")) for part in asked[:-1]] == ["Earlier:", "a", "b", "Now:", "c"]
    assert question("Go", pictures[-1:]) == [pictures[-1], {"type": "text", "text": asked[-1]["text"]}]
