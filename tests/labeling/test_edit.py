"""A person's decisions about segments: kept, never asked about again, taken back."""

from dataclasses import replace

import pytest

from protege.core.labeled import ASIDE, LABELED, NEEDS_REVIEW, NO_SAMPLES, LabeledSegment, find_segments
from protege.core.session import Session
from protege.core.transaction import TRASH
from protege.errors import UserError
from protege.labeling import Given, LabelOptions, label
from protege.labeling.edit import accept, move_edge, recording_of, set_aside, undo
from protege.labeling.store import count_samples, write_segment
from tests.labeling.recordings import HOLD, record
from tests.labeling.test_label import tree

W, RIGHT = HOLD["w"], HOLD["right"]


@pytest.fixture
def out(tmp_path):
    """Two segments of 4 s."""
    record(tmp_path / "raw", [W if (i // 7) % 2 else RIGHT for i in range(80)])
    label([tmp_path / "raw" / "s"], tmp_path / "out", Given("Open the door"))
    return tmp_path / "out"


def load(out, name):
    return LabeledSegment.load(out / name)


def test_accepting_keeps_the_samples_and_says_that_a_person_has_looked(out):
    samples = (out / "s_seg000" / "samples.jsonl").read_bytes()
    assert "seen" not in (out / "s_seg000" / "segment.json").read_text()
    accept(out, ["s_seg000"])
    assert load(out, "s_seg000").seen
    assert not load(out, "s_seg001").seen
    assert (out / "s_seg000" / "samples.jsonl").read_bytes() == samples


def test_another_goal_makes_samples_of_it(out):
    accept(out, ["s_seg000", "s_seg001"], "Close the door")
    for name in ("s_seg000", "s_seg001"):
        assert (load(out, name).goal, load(out, name).status) == ("Close the door", LABELED)
        assert "Goal: Close the door" in (out / name / "samples.jsonl").read_text()


def test_a_goal_that_is_none_changes_nothing(out):
    before = tree(out)
    for goal in ("", "two\nlines", "x"):
        with pytest.raises(UserError, match="--goal"):
            accept(out, ["s_seg000", "s_seg001"], goal)
    assert tree(out) == before


def test_what_is_set_aside_has_no_samples_until_it_is_accepted(out):
    set_aside(out, ["s_seg000"])
    assert (load(out, "s_seg000").status, load(out, "s_seg000").why) == (NO_SAMPLES, ASIDE)
    assert count_samples(out / "s_seg000") == 0
    accept(out, ["s_seg000"])
    assert load(out, "s_seg000").status == LABELED
    assert count_samples(out / "s_seg000") > 0


def test_undo_brings_every_byte_back(out):
    before = tree(out)
    edits = [accept(out, ["s_seg000"], "Close the door"), set_aside(out, ["s_seg000", "s_seg001"])]
    edits.append(accept(out, ["s_seg001"], "Find the exit"))
    for edit in reversed(edits):
        undo(edit)
    assert tree(out) == before


def test_undo_refuses_what_something_else_has_changed(out):
    edit = accept(out, ["s_seg000"], "Close the door")
    accept(out, ["s_seg000"], "Find the exit")
    with pytest.raises(UserError, match="changed by something else"):
        undo(edit)
    assert load(out, "s_seg000").goal == "Find the exit"


def test_an_edge_moves_frames_keys_and_origins_to_the_neighbour(out, tmp_path):
    session = Session.open(tmp_path / "raw" / "s")
    before = tree(out)
    edit = move_edge(out, "s_seg000", 1.0, session)
    first, second = load(out, "s_seg000"), load(out, "s_seg001")
    assert (first.start, first.stop, second.start, second.stop) == (0, 50, 50, 80)
    assert len(list((out / "s_seg000").glob("*.jpg"))) == 50
    assert (out / "s_seg001" / "frame_0000.jpg").read_bytes() == session.path(50).read_bytes()
    assert [(o.start, o.stop, o.frames) for o in second.origin] == [(0, 30, (50, 80))]
    assert first.held[:40] == tuple(W if (i // 7) % 2 else RIGHT for i in range(40))
    assert not (out / TRASH).exists()
    undo(edit, session)
    assert tree(out) == before


def test_an_edge_moves_as_if_the_recording_had_been_cut_there(out, tmp_path):
    session = Session.open(tmp_path / "raw" / "s")
    move_edge(out, "s_seg000", -1.0, session)
    label([tmp_path / "raw" / "s"], tmp_path / "anew", Given("Open the door"), LabelOptions(seconds=3.0))
    ours, cut = load(out, "s_seg000"), load(tmp_path / "anew", "s_seg000")
    assert ours.held[:30] == cut.held[:30]
    assert ours.origin == cut.origin


def test_no_edge_moves_past_a_second_nor_where_nothing_begins(out, tmp_path):
    session = Session.open(tmp_path / "raw" / "s")
    with pytest.raises(UserError, match="at least 1 s long"):
        move_edge(out, "s_seg000", -3.5, session)
    with pytest.raises(UserError, match="no segment begins where it ends"):
        move_edge(out, "s_seg001", 0.5, session)


def test_no_edge_moves_over_a_pause(tmp_path):
    record(tmp_path / "raw", [W] * 80, pauses=(40,))
    label([tmp_path / "raw" / "s"], tmp_path / "out", Given("Open the door"))
    with pytest.raises(UserError, match="no segment begins where it ends"):
        move_edge(tmp_path / "out", "s_seg000", 0.5, Session.open(tmp_path / "raw" / "s"))


def test_no_edge_moves_where_the_recording_is_gone_or_was_edited(out, tmp_path):
    segment = load(out, "s_seg000")
    assert len(recording_of(out, segment)) == 80
    lines = (tmp_path / "raw" / "s" / "frames.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "raw" / "s" / "frames.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match="changed since it was labeled"):
        recording_of(out, segment)
    (tmp_path / "raw" / "s").rename(tmp_path / "raw" / "t")
    with pytest.raises(UserError, match="not where it was labeled"):
        recording_of(out, segment)


def test_what_a_person_has_decided_no_model_is_asked_about_again(out, tmp_path):
    accept(out, ["s_seg000"], "Close the door")
    set_aside(out, ["s_seg001"])
    label([tmp_path / "raw" / "s"], out, Given("Find the exit"), LabelOptions(redo=True))
    assert (load(out, "s_seg000").goal, load(out, "s_seg000").seen) == ("Close the door", True)
    assert (load(out, "s_seg001").status, load(out, "s_seg001").why) == (NO_SAMPLES, ASIDE)


def test_the_listing_says_only_what_nobody_has_decided(out):
    segment = load(out, "s_seg000")
    pictures = sorted((out / "s_seg000").glob("*.jpg"))
    write_segment(out, replace(segment, status=NEEDS_REVIEW, why="nothing fits"), pictures)
    waiting = lambda: [p.name for p in find_segments(out) if LabeledSegment.load(p).status == NEEDS_REVIEW]  # noqa: E731
    assert waiting() == ["s_seg000"]
    accept(out, ["s_seg000"])
    assert waiting() == []
