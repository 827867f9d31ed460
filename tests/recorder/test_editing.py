"""Editing: every kept frame keeps its action, goal and picture; the original stays until the edit is complete."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import Session, SessionInfo, SessionWriter, encode_jpeg
from protege.core.events import End, Goal, Held, Key, Pause
from protege.core.session import check, find_sessions
from protege.errors import UserError
from protege.recorder.editing import delete, delete_all, list_sessions, merge, split, trim

MS = 1_000_000
PERIOD = 100 * MS
JPEG = encode_jpeg(np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3))

ticks = st.integers(0, 120).map(lambda n: n * 10 * MS)
names = st.sampled_from(["w", "left", "space"])
event = st.one_of(
    st.builds(Key, ticks, names, st.booleans()),
    st.builds(Key, ticks, names, st.booleans()),
    st.builds(Held, ticks, st.frozensets(names)),
    st.builds(Pause, ticks, st.sampled_from(["focus", "toggle"])),
    st.builds(Goal, ticks, st.sampled_from(["Go to the lantern", "Open the door"])),
    st.builds(End, ticks, st.just("success")),
)
streams = st.lists(event, max_size=20).map(lambda events: sorted(events, key=lambda e: e.t_ns))
frame_times = st.sets(ticks, min_size=2, max_size=12).map(sorted)


def record(root, name="s", times=tuple(range(0, 1000 * MS, PERIOD)), events=(), **info):
    writer = SessionWriter(root / name, SessionInfo(frame_size=(32, 24), **info))
    for e in events:
        writer.event(e)
    for t in times:
        writer.frame(t, JPEG)
    return writer.finish()


def goals(session):
    """The goal and the end of every frame's span, and whether a span begins with it."""
    rows = []
    for span in session.spans():
        rows += [(span.goal, span.end, i == span.start) for i in range(span.start, span.stop)]
    return rows


def same_as(part, whole, start):
    """That a part's frames have what they had in the whole; the end of a span that was cut is open."""
    rows = slice(start, start + len(part))
    assert np.array_equal(part.actions(), whole.actions()[rows])
    for (goal, end, first), (goal_before, end_before, first_before) in zip(
        goals(part)[1:], goals(whole)[rows][1:], strict=True
    ):
        assert (goal, first) == (goal_before, first_before)
        assert end in (end_before, None)
    assert goals(part)[0][0] == goals(whole)[start][0]
    assert check(part.folder) == []


@settings(max_examples=150)
@given(frame_times, streams, st.integers(10, 150), st.data())
def test_trimming_leaves_every_kept_frames_action_and_goal(tmp_path_factory, times, events, period_ms, data):
    root = tmp_path_factory.mktemp("root")
    whole = Session.open(record(root, times=times, events=events, frame_hz=1000 / period_ms))
    start = data.draw(st.integers(0, len(times) - 1))
    stop = data.draw(st.integers(start + 1, len(times)))
    last_s = None if stop == len(times) else (times[stop] - times[0]) / 1e9
    part = Session.open(trim(whole.folder, (times[start] - times[0]) / 1e9, last_s))
    assert part.t_ns.tolist() == times[start:stop]
    same_as(part, whole, start)
    assert isinstance(part.events[0], Held)
    assert any(isinstance(e, Pause) for e in part.events[-2:])


@settings(max_examples=60)
@given(frame_times, streams, st.data())
def test_the_parts_of_a_split_hold_every_frame_once_and_merging_them_gives_the_actions_back(
    tmp_path_factory, times, events, data
):
    root = tmp_path_factory.mktemp("root")
    whole = Session.open(record(root, times=times, events=events))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(times) - 1), min_size=1, max_size=3)))
    parts = split(whole.folder, [(times[cut] - times[0]) / 1e9 for cut in cuts])
    sessions = [Session.open(part) for part in parts]
    assert np.concatenate([s.t_ns for s in sessions]).tolist() == times
    for start, part in zip([0, *cuts], sessions, strict=True):
        same_as(part, whole, start)
    merged = Session.open(merge(parts, "again"))
    assert check(merged.folder) == []
    assert np.array_equal(merged.actions(), whole.actions())
    assert [goal for goal, _, _ in goals(merged)] == [goal for goal, _, _ in goals(whole)]


@settings(max_examples=60)
@given(frame_times, streams, frame_times, streams)
def test_merging_leaves_the_actions_of_both_and_time_increases(tmp_path_factory, times_a, events_a, times_b, events_b):
    root = tmp_path_factory.mktemp("root")
    a, b = record(root, "a", times_a, events_a), record(root, "b", times_b, events_b)
    merged = Session.open(merge([a, b], "c"))
    a, b = Session.open(a), Session.open(b)
    assert np.array_equal(merged.actions(), np.concatenate([a.actions(), b.actions()]))
    assert merged.t_ns[len(a)] - merged.t_ns[len(a) - 1] == PERIOD + 1000 * MS
    assert [(g, e) for g, e, _ in goals(merged)] == [(g, e) for g, e, _ in goals(a) + goals(b)]
    assert check(merged.folder) == []


@pytest.mark.parametrize("tau_ms", [50, 150, 400])
def test_actions_read_with_a_reaction_shift_are_as_before_at_a_cut(tmp_path, tau_ms):
    events = [Key(150 * MS, "w", True), Key(480 * MS, "w", False), Key(620 * MS, "left", True)]
    whole = Session.open(record(tmp_path, events=events))
    part = Session.open(trim(whole.folder, 0.2, 0.5))
    assert np.array_equal(part.actions(tau_ms), whole.actions(tau_ms)[2:5])


def test_a_cut_states_the_keys_held_and_the_goal_and_ends_in_a_pause(tmp_path):
    events = [Goal(0, "Go to the lantern"), Key(50 * MS, "w", True), End(800 * MS, "success")]
    folder = trim(record(tmp_path, events=events), 0.3, 0.6)
    assert folder.name == "s_trim"
    assert Session.open(folder).events == (
        Held(300 * MS, frozenset({"w"})),
        Goal(300 * MS, "Go to the lantern"),
        Pause(1100 * MS, "cut"),
        End(1100 * MS, "cut"),
    )
    assert goals(Session.open(folder))[0] == ("Go to the lantern", None, True)


def test_the_success_of_an_episode_stays_with_its_last_frames(tmp_path):
    events = [Goal(0, "Go to the lantern"), End(3000 * MS, "success")]
    whole = record(tmp_path, events=events)
    assert goals(Session.open(trim(whole, 0.5)))[-1] == ("Go to the lantern", "success", False)
    assert goals(Session.open(trim(whole, 0, 0.5)))[-1] == ("Go to the lantern", None, False)


def test_frames_are_linked_not_copied_and_renumbered(tmp_path):
    whole = record(tmp_path)
    part = trim(whole, 0.5)
    assert part == tmp_path / "s_trim"
    assert sorted(p.name for p in (part / "frames").iterdir()) == [f"{i:06d}.jpg" for i in range(5)]
    assert (part / "frames/000000.jpg").samefile(whole / "frames/000005.jpg")
    info = Session.open(part).info
    assert info.extra["edited"] == {"how": "trim", "from": [{"session": "s", "frames": [5, 10], "shift_ns": 0}]}
    assert info.verdict is not None


def test_a_recording_may_be_named_by_a_dot(tmp_path, monkeypatch):
    monkeypatch.chdir(record(tmp_path))
    assert trim(Path(), 0.5) == tmp_path / "s_trim"
    assert delete(Path()) == tmp_path / ".trash" / "s"


def test_frames_are_copied_where_links_are_not_possible(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    part = trim(record(tmp_path), 0.5)
    assert check(part) == []


def test_replacing_moves_the_original_to_the_trash(tmp_path):
    whole = record(tmp_path)
    assert trim(whole, 0.5, replace=True) == whole
    assert len(Session.open(whole)) == 5
    assert len(Session.open(tmp_path / ".trash" / "s")) == 10
    parts = split(whole, [0.2], replace=True)
    assert [p.name for p in parts] == ["s_1", "s_2"]
    assert merge(parts, "s", replace=True) == whole
    assert find_sessions(tmp_path) == [whole]
    trash = {p.name: len(Session.open(p)) for p in (tmp_path / ".trash").iterdir()}
    assert trash == {"s": 10, "s_2": 5, "s_1": 2, "s_2_2": 3}


def test_deleting_moves_to_the_trash_and_purging_removes(tmp_path):
    first, second = record(tmp_path, "a"), record(tmp_path, "b")
    kept = tmp_path / ".trash" / "a"
    assert delete(first) == kept
    assert delete(record(tmp_path, "a")) == tmp_path / ".trash" / "a_2"
    assert delete(second, purge=True) is None
    assert find_sessions(tmp_path) == []
    with pytest.raises(UserError, match="already in the trash; remove it for good with --purge"):
        delete(kept)
    assert delete(kept, purge=True) is None
    with pytest.raises(UserError, match=r"no recording here \(no session.json\); list them with: protege sessions"):
        delete(kept)


def test_deleting_several_moves_each_to_the_trash(tmp_path):
    kept = delete_all([record(tmp_path, "a"), record(tmp_path, "b")])
    assert kept == [tmp_path / ".trash" / "a", tmp_path / ".trash" / "b"]
    assert delete_all([path for path in kept if path], purge=True) == [None, None]
    assert not list((tmp_path / ".trash").iterdir())


def test_the_listing_shows_every_recording_and_says_why_one_cannot_be_read(tmp_path):
    record(tmp_path, "a", events=[Key(0, "w", True), Pause(2000 * MS, "stop")])
    broken = record(tmp_path, "b")
    (broken / "frames.jsonl").write_text("rubbish\n")
    (record(tmp_path, "c") / "session.json").write_bytes(b"\xff\xfe")
    rows = list_sessions(tmp_path)
    assert [row.folder.name for row in rows] == ["a", "b", "c"]
    assert rows[0].frames == 10
    assert rows[0].fps == pytest.approx(10)
    assert rows[0].minutes == pytest.approx(1 / 60)
    assert rows[0].key_shares is not None
    assert rows[0].key_shares["w"] == 1
    assert rows[0].problem is None
    assert rows[0].verdict is None
    assert "rubbish" in (rows[1].problem or "")
    assert "restore it from a copy" in (rows[2].problem or "")


RUBBISH = {
    "session.json": ["", "[]", "null", "{}", "[" * 100_000, '{"format_version": 99}', '{"format_version": [1]}', "\0"],
    "frames.jsonl": [
        "",
        "[]\n",
        "null\n",
        '{"i": 1e400, "t_ns": 0}\n',
        "[" * 100_000 + "\n",
        '{"i": 0, "t_ns": 1e999}\n',
    ],
    "events.jsonl": ["[]\n", "null\n", '{"t_ns": "x", "key": 3}\n', "[" * 100_000 + "\n", '{"t_ns": 0, "held": 5}\n'],
}


@pytest.mark.parametrize(("file", "text"), [(file, text) for file, texts in RUBBISH.items() for text in texts])
def test_the_listing_survives_every_damage(tmp_path, file, text):
    record(tmp_path, "a")
    (record(tmp_path, "b") / file).write_text(text)
    rows = list_sessions(tmp_path)
    assert [row.problem is None for row in rows] == [True, False]


def test_the_listing_survives_a_folder_in_a_files_place(tmp_path):
    for name, file in (("a", "session.json"), ("b", "frames.jsonl"), ("c", "events.jsonl")):
        path = record(tmp_path, name) / file
        path.unlink()
        path.mkdir()
    assert all(row.problem for row in list_sessions(tmp_path))


def test_a_part_that_is_there_already_is_not_made_twice(tmp_path):
    folder = record(tmp_path)
    split(folder, [0.5])
    with pytest.raises(UserError, match=r"s_1: this very part is there already; to make it anew, first: protege"):
        split(folder, [0.5])
    assert [p.name for p in split(folder, [0.4])] == ["s_1_2", "s_2_2"]
    trim(folder, 0.5)
    with pytest.raises(UserError, match="s_trim: this very part is there already"):
        trim(folder, 0.5)
    assert trim(folder, 0.6).name == "s_trim_2"
