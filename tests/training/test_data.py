"""Labeled segments are read as they were written, stay small in memory, and say what is wrong with them."""

import json

import numpy as np
import pytest

from protege.errors import UserError
from protege.play import KEYBOARD_12, NO_KEYS
from protege.play.chat import Sample
from protege.training.data import LabeledData, split

from .conftest import GOALS, label


def test_every_sample_is_read_as_its_line_says(labeled):
    data = LabeledData.open(labeled)
    lines = [
        (folder, Sample.from_json(json.loads(line), KEYBOARD_12))
        for folder in sorted(labeled.iterdir())
        for line in (folder / "samples.jsonl").read_text().splitlines()
    ]
    assert len(data) == len(lines) == 72
    for i, (folder, sample) in enumerate(lines):
        assert (data[i].path, data[i].goal, data[i].plan) == (folder / sample.image, sample.goal, sample.plan)


def test_columns_name_the_action_of_every_slot(labeled):
    data = LabeledData.open(labeled)
    for i in (0, 11, 40):
        spelled = [KEYBOARD_12.keys[k] for k in data.columns[i]]
        assert spelled == [KEYBOARD_12.spell(step) for step in data[i].plan.steps]


def test_a_sample_takes_few_bytes(labeled):
    data = LabeledData.open(labeled)
    arrays = (data.held, data.names, data.segment, data.goal)
    assert sum(array.nbytes for array in arrays) / len(data) < 64


def test_segments_know_their_session_and_their_paraphrases(labeled):
    data = LabeledData.open(labeled)
    assert data.session[:3] == ("20261121_142500", "20261121_142500", "20261121_142501")
    assert data.paraphrases[data.goals.index(GOALS[0])] == ("Go to that lantern",)


def test_samples_alone_are_enough(tmp_path):
    label(tmp_path, segments=1)
    (tmp_path / "20261121_142500_seg000" / "segment.json").unlink()
    data = LabeledData.open(tmp_path)
    assert data.session == ("20261121_142500",)
    assert data.shape.horizon == 7


def test_a_split_never_parts_a_segment_and_the_same_seed_splits_alike(labeled):
    data = LabeledData.open(labeled)
    train, held_back = split(data, 0.3, seed=1)
    assert len(train) + len(held_back) == len(data)
    assert not set(train.segment) & set(held_back.segment)
    assert np.array_equal(split(data, 0.3, seed=1)[1].held, held_back.held)


def test_with_many_recordings_a_split_never_parts_a_recording(tmp_path):
    data = LabeledData.open(label(tmp_path, segments=12, frames=2))
    train, held_back = split(data, 0.3, seed=0)
    sessions = [{data.session[s] for s in part.segment} for part in (train, held_back)]
    assert not sessions[0] & sessions[1]
    assert len(held_back)


def test_no_validation_holds_nothing_back(labeled):
    train, held_back = split(LabeledData.open(labeled), 0.0, seed=0)
    assert (len(train), len(held_back)) == (72, 0)


def test_chords_keep_all_their_keys(tmp_path):
    label(tmp_path, segments=1, frames=1, fields={"shape": {"chords": True, "horizon": 7}})
    (file,) = tmp_path.glob("*/samples.jsonl")
    file.write_text(file.read_text().replace('\\"none\\"', '\\"w+right\\"', 1))
    data = LabeledData.open(tmp_path)
    assert data.shape.chords
    assert data[0].plan.steps[0] == frozenset({"w", "right"})
    assert data[0].plan.steps[1] == NO_KEYS


def broken(tmp_path, name, text):
    label(tmp_path, segments=2, frames=2)
    (tmp_path / "20261121_142500_seg001" / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "none", "no labeled data here.*protege label"),
        (lambda p: p, "the folder is empty.*protege label"),
        (lambda p: (p / "a_seg000").mkdir() or p, "none of its 1 folders has a samples.jsonl"),
        (lambda p: broken(p, "samples.jsonl", "{}\n"), r"samples.jsonl:1: not a sample"),
        (lambda p: broken(p, "segment.json", "[]"), "segment.json: cannot be read"),
        (lambda p: broken(p, "segment.json", '{"shape": 3}'), "segment.json: cannot be read"),
        (lambda p: broken(p, "segment.json", '{"frame_hz": 5}'), "labeled with .*frame_hz=5.0"),
    ],
)
def test_what_cannot_be_trained_on_is_named_with_the_next_step(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        LabeledData.open(make(tmp_path))


def test_segments_without_a_single_sample_are_an_error(tmp_path):
    label(tmp_path, segments=1)
    (file,) = tmp_path.glob("*/samples.jsonl")
    file.write_text("\n")
    with pytest.raises(UserError, match="hold no sample"):
        LabeledData.open(tmp_path)


def test_a_sample_may_not_name_a_picture_elsewhere(tmp_path):
    label(tmp_path, segments=1)
    (file,) = tmp_path.glob("*/samples.jsonl")
    file.write_text(file.read_text().replace("frame_0000.jpg", "../../frame.jpg"))
    with pytest.raises(UserError, match="names a picture beside it"):
        LabeledData.open(tmp_path)
