"""Labeled segments are read as they were written, stay small in memory, and say what is wrong with them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import KEYBOARD_12, NO_KEYS
from protege.core.chat import Sample
from protege.errors import UserError
from protege.labeling.dataset import split_segments
from protege.learn.split import hold_out
from protege.training.data import LabeledData
from protege.training.split import TrainedOn, split

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


def parts(folder, validation, seed=0):
    data = LabeledData.open(folder)
    seen, line = split(data, validation, seed)
    return *seen.part(data), line


def test_held_back_samples_share_no_recording_with_those_trained_on(labeled):
    train, held_back, line = parts(labeled, 0.3, seed=1)
    assert len(train) + len(held_back) == 72
    sessions = [{part.session[s] for s in part.segment} for part in (train, held_back)]
    assert not sessions[0] & sessions[1]
    assert line == "48 samples to train on, 24 held back (1 of 3 recordings)"
    assert np.array_equal(parts(labeled, 0.3, seed=1)[1].held, held_back.held)


def test_of_a_single_recording_whole_segments_are_held_back_and_it_is_said(tmp_path):
    train, held_back, line = parts(label(tmp_path, segments=2, frames=4), 0.1)
    assert {len(train), len(held_back)} == {4}
    assert not set(train.segment) & set(held_back.segment)
    assert "1 of 2 segments" in line
    assert "record a second one" in line
    assert "there is one segment only" in parts(next(tmp_path.iterdir()), 0.1)[2]


def test_training_holds_back_what_an_export_holds_out(tmp_path):
    data = LabeledData.open(label(tmp_path, segments=12, frames=5))
    sizes = [(data.session[i], folder.name, 5) for i, folder in enumerate(data.folders)]
    train, _ = split_segments(sizes, seed=3, validation=0.2, allow_split_by_segment=False)
    seen = split(data, 0.2, 3)[0].part(data)[0]
    assert {data.folders[s].name for s in seen.segment} == train


def test_no_validation_holds_nothing_back(labeled):
    train, held_back, line = parts(labeled, 0.0)
    assert (len(train), len(held_back)) == (72, 0)
    assert line == "72 samples to train on, 0 held back"


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), min_size=2), st.floats(0.01, 0.9), st.integers(0, 99))
def test_of_two_recordings_or_more_some_are_held_out_and_never_most_of_the_samples(sizes, share, seed):
    out = hold_out(sizes, share, seed)
    assert 0 < len(out) < len(sizes)
    assert sum(sizes[name] for name in out) <= max(share, 0.5) * sum(sizes.values())
    assert hold_out(dict(reversed(sizes.items())), share, seed) == out


def test_what_was_trained_on_is_known_again_and_new_recordings_are_not_of_it(tmp_path):
    data = LabeledData.open(label(tmp_path, segments=4, frames=3))
    seen, _ = split(data, 0.5, 0)
    again = TrainedOn.from_json(json.loads(json.dumps(seen.trained_on.to_json())))
    grown = LabeledData.open(label(tmp_path / "more", segments=8, frames=3))
    trained, others = again.part(grown)
    assert (len(trained), len(others)) == (6, 18)
    with pytest.raises(UserError, match="does not say what it was trained on"):
        TrainedOn.from_json(None)


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
    with pytest.raises(UserError, match=r"the image of line 1 is .*expected a plain name"):
        LabeledData.open(tmp_path)


def test_two_recordings_are_enough_to_hold_a_whole_one_back(tmp_path):
    data = LabeledData.open(label(tmp_path, segments=4, frames=3))
    sides, line = split(data, 0.1, 0)
    assert "1 of 2 recordings" in line
    assert {len(sides.trained), len(sides.held), sides.by} == {1, "recording"}
