"""Every frame of play counts once, whatever was trimmed, joined or copied; relatives stay on one side of a split."""

import shutil

import pytest

from protege.core.labeled import LabeledSegment, find_segments
from protege.core.session import Session, find_sessions
from protege.labeling import ExportOptions, Given, LabelOptions, label, load
from protege.labeling.dataset import trainable
from protege.labeling.export import export_folder
from protege.labeling.report import write_report
from protege.recorder import editing
from protege.training.data import LabeledData
from protege.training.split import split
from tests.labeling.recordings import HOLD, record

W = HOLD["w"]
GOAL = "Explore the cellar"


def labeled(raw, out, **options):
    return label(find_sessions(raw), out, Given(GOAL), LabelOptions(**options))


def frames(out):
    """(first recording, number of its picture) of every frame in the data."""
    found = [LabeledSegment.load(path) for path in find_segments(out)]
    return [(o.recording, n) for s in found for o in s.origin for n in range(*o.frames)]


@pytest.fixture
def raw(tmp_path):
    record(tmp_path / "raw", [W] * 120, name="play")
    return tmp_path / "raw"


def test_a_trimmed_recording_adds_nothing_to_the_one_it_was_cut_from(raw, tmp_path):
    editing.trim(raw / "play", 2.0, 9.0)
    result = labeled(raw, tmp_path / "out")
    assert len(frames(tmp_path / "out")) == len(set(frames(tmp_path / "out"))) == 120
    assert "1 pieces set aside: play that play has, too" in result.lines()
    assert labeled(raw, tmp_path / "out").skipped == 2


def test_a_copy_and_a_merged_recording_add_only_what_is_new(raw, tmp_path):
    shutil.copytree(raw / "play", raw / "a_copy")
    record(raw, [W] * 40, name="more")
    editing.merge([raw / "play", raw / "more"], "both")
    shutil.rmtree(raw / "more")
    labeled(raw, tmp_path / "out")
    assert len(frames(tmp_path / "out")) == len(set(frames(tmp_path / "out"))) == 160


def test_what_was_labeled_before_keeps_its_frames(raw, tmp_path):
    part = editing.trim(raw / "play", 2.0, 9.0)
    label([part], tmp_path / "out", Given(GOAL))
    labeled(raw, tmp_path / "out")
    assert len(frames(tmp_path / "out")) == len(set(frames(tmp_path / "out"))) == 120


def test_a_goal_is_not_reached_where_repeated_play_begins(raw, tmp_path):
    part = editing.trim(raw / "play", 6.0, 12.0)
    label([part], tmp_path / "out", Given(GOAL))
    label([raw / "play"], tmp_path / "out", Given(GOAL))
    ends = [LabeledSegment.load(p) for p in find_segments(tmp_path / "out") if p.name.startswith("play_seg")]
    assert [s.reached for s in ends] == [False] * len(ends)


def doubled(raw, tmp_path):
    """Labeled data of a recording and of a part of it, labeled apart and put together by hand."""
    part = editing.trim(raw / "play", 2.0, 9.0)
    record(raw, [W] * 60, name="zother")
    label([raw / "play", raw / "zother"], tmp_path / "out", Given(GOAL))
    label([part], tmp_path / "part", Given(GOAL))
    for path in (tmp_path / "part").iterdir():
        path.rename(tmp_path / "out" / path.name)
    return tmp_path / "out", part.name


def test_training_exports_and_the_report_count_doubled_play_once_and_say_so(raw, tmp_path):
    out, _part = doubled(raw, tmp_path)
    data = LabeledData.open(out)
    assert (len(data), data.repeated) == (180, 70)
    _seen, line = split(data, 0.2, 0)
    assert "70 left out, whose play stands in another recording, too" in line
    assert sum(item.samples for item in trainable(out)) == len(load(out)) == 180
    assert sum(export_folder(out, tmp_path / "export", ExportOptions(validation=0.2)).values()) == 180
    report = write_report(out)
    assert (report.measured.frames, report.measured.windows, report.measured.repeated) == (180, 180, 70)
    assert any(line.startswith("counted once      70 frames that several") for line in report.lines())
    assert sum(s.minutes for s in report.contents.sessions) == pytest.approx(18 / 60)
    assert write_report(raw).measured.frames == 180


def test_relatives_stay_on_one_side_of_the_split(raw, tmp_path):
    out, part = doubled(raw, tmp_path)
    for seed in range(6):
        data = LabeledData.open(out)
        seen = split(data, 0.2, seed)[0].trained_on
        assert ("play" in seen.names) == (part in seen.names) != ("zother" in seen.names)
        train = set(load(out, "train", seed=seed)["session"])
        assert train == {data.session[s] for s in seen.part(data)[0].segment}


def test_a_part_that_is_recorded_as_trained_on_makes_its_relatives_known(raw, tmp_path):
    out, part = doubled(raw, tmp_path)
    data = LabeledData.open(out)
    seen = split(data, 0.2, 0)[0].trained_on
    only = type(seen)("recording", frozenset({part}))
    assert {data.session[s] for s in only.part(data)[0].segment} == {"play"}


def test_segments_know_where_their_frames_were_recorded_first(raw, tmp_path):
    part = editing.trim(raw / "play", 2.0, 9.0)
    label([part], tmp_path / "out", Given(GOAL))
    (origin,) = LabeledSegment.load(find_segments(tmp_path / "out")[0]).origin
    assert (origin.session, origin.start, origin.stop, origin.frames) == ("play", 0, 40, (20, 60))
    assert len(Session.open(part)) == 70
