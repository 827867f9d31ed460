"""Importing other people's recordings: real OWAMcap files, the origin's layout, plain videos, and every mistake."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace, Session, decode_jpeg
from protege.core.events import Held, Key, Pause
from protege.core.session import check
from protege.errors import UserError
from protege.recorder.importing import owamcap
from protege.recorder.importing.breaks import cut_events, resample
from protege.recorder.importing.decode import decode_video
from protege.recorder.importing.owamcap_checks import key_changes
from protege.recorder.importing.owamcap_messages import Recording, read_mcap, take
from tests.recorder.foreign import OWAMCAP, import_recordings, origin, video

VERSIONS = ["0.3.2", "0.4.2"]
MS = 1_000_000


def spelled(session):
    return [session.info.space.spell(action) for action in session.info.space.decode(session.actions())]


# OWAMcap


@pytest.mark.parametrize(
    ("version", "frames", "left_out", "pictures"),
    [
        ("0.3.2", 35, "0.0 s to 1.8 s", {"pictures": 49}),
        ("0.4.2", 29, "2.8 s to 3.6 s", {"pictures": 33, "pictures_without_message": 1}),
    ],
)
def test_a_real_owamcap_recording_becomes_a_sound_session(tmp_path, version, frames, left_out, pictures):
    (made,) = import_recordings(OWAMCAP / f"{version}.mcap", tmp_path)
    assert check(made.folder) == []
    session = Session.open(made.folder)
    assert len(session) == made.frames == frames
    assert session.frame(0).size == session.info.frame_size == (640, 480)
    assert set(np.diff(session.t_ns)) == {100 * MS}
    (elsewhere,) = made.left_out  # it was begun, or ended, in the editor's window
    assert elsewhere.startswith(f"{left_out} left out: another window was active (")
    assert "Visual Studi" in elsewhere
    counts = session.info.extra["counts"]
    assert counts == made.counts
    assert (counts["key_events_kept"], counts["key_events_outside"], counts["key_events_repeats"]) == (10, 14, 0)
    assert {k: v for k, v in counts.items() if k.startswith("pictures")} == pictures
    assert counts["mouse_messages"] == {"0.3.2": 578, "0.4.2": 550}[version]
    assert session.info.source == "import:owamcap"
    assert session.info.verdict == made.quality.reasons
    assert (session.info.window or {})["title"]


@pytest.mark.parametrize("version", VERSIONS)
def test_ctrl_counts_as_c_and_only_true_key_changes_remain(tmp_path, version):
    (made,) = import_recordings(OWAMCAP / f"{version}.mcap", tmp_path)
    events = Session.open(made.folder).events
    assert events[0] == Held(events[0].t_ns, NO_KEYS)
    assert isinstance(events[-1], Pause)
    changes = [(e.key, e.down) for e in events if isinstance(e, Key)]
    typed = [(key, down) for key in ("s", "space") for down in (True, False)]
    save = [("c", True), ("s", True), ("s", False), ("c", False)]
    # Then it was stopped with Ctrl and C, one key of ours, in the same window or in another.
    assert changes == typed + save + ([("c", True)] if version == "0.3.2" else [])


@pytest.mark.parametrize("version", VERSIONS)
def test_no_letter_is_seen_before_its_key_is_pressed(version):
    recording = read_mcap(OWAMCAP / f"{version}.mcap")
    frames = decode_video(OWAMCAP / f"{version}.mkv")
    first_press = recording.keys[0][0]
    pictures = owamcap.matched_pictures(recording, frames, owamcap.Counter())
    # The first letter stands left of x = 22; a blinking caret is one pixel wide, a "t" is more.
    seen = [
        (t, (frame.to_ndarray(format="gray")[92:110, 14:26] < 128).sum(axis=0))
        for t, frame in pictures
        if frame is not None
    ]
    first_seen = next(t for t, columns in seen if (columns > 0).sum() >= 3)
    assert 0 < first_seen - first_press < 50 * MS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_of_them_another_rate_and_their_own_size(tmp_path, version):
    made = import_recordings(OWAMCAP, tmp_path, fps=30, size=None)
    assert [m.folder.name for m in made] == VERSIONS
    session = Session.open(tmp_path / version)
    assert session.info.frame_hz == 30
    assert session.frame(0).size == (906, 578)
    assert import_recordings(OWAMCAP / f"{version}.mkv", tmp_path / "b", fps=30)[0].kind == "owamcap"


def test_a_recording_cut_off_by_a_kill_gives_what_it_has(tmp_path):
    data = (OWAMCAP / "0.3.2.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[: len(data) - 300])
    shutil.copy(OWAMCAP / "0.3.2.mkv", tmp_path)
    (made,) = import_recordings(tmp_path / "cut.mcap", tmp_path / "out")
    assert made.counts["mcap_cut_off"] is True
    assert made.counts["key_events_kept"] == 10


def test_cutting_an_mcap_anywhere_gives_a_recording_or_one_clear_error(tmp_path):
    data = (OWAMCAP / "0.4.2.mcap").read_bytes()
    path = tmp_path / "cut.mcap"
    outcomes = []
    for length in range(0, len(data), 997):
        path.write_bytes(data[:length])
        try:
            outcomes.append(len(read_mcap(path).screens))
        except UserError as error:
            outcomes.append(str(error).partition("; ")[2])
    assert outcomes[0].startswith("expected a recording made by ocap")
    assert outcomes[-1] == 33
    assert all(outcome if isinstance(outcome, int) else outcome.startswith("expected") for outcome in outcomes)


def test_a_newer_layout_of_the_screen_message_is_read():
    recording = Recording()
    message = {"utc_ns": 5, "shape": [9, 9], "media_ref": {"uri": "a.mkv", "pts_ns": 7}}
    take(recording, "screen", 6, json.dumps(message).encode())
    assert (recording.screens, recording.video) == ([(5, 7, "a.mkv")], "a.mkv")


def test_auto_repeat_is_dropped_and_keys_held_at_the_start_are_stated():
    w, q = 0x57, 0x51
    recording = Recording(
        states=[(0, frozenset({w, q}))],
        keys=[(5, w, True), (20, w, True), (30, w, False), (40, q, False), (50, 0x25, True), (60, w, True)],
    )
    found = key_changes(recording, KEYBOARD_12, 55)
    events = list(cut_events(found.changes, [], 10, 55))
    assert events == [Held(10, frozenset("w")), Key(30, "w", False), Key(50, "left", True), Pause(55, "stop")]
    assert found.counts == {"repeats": 2, "kept": 2, "outside": 1}


# Videos


def test_a_plain_video_becomes_frames_at_the_wanted_rate_without_keys(tmp_path):
    calls = []
    (made,) = import_recordings(
        video(tmp_path / "v.mp4"), tmp_path / "out", size=(32, 24), progress=lambda *seen: calls.append(seen)
    )
    session = Session.open(made.folder)
    assert check(made.folder) == []
    assert session.t_ns.tolist() == [i * 100 * MS for i in range(10)]
    brightness = [int(session.frame(i).rgb.mean()) for i in range(10)]
    assert brightness == pytest.approx([24 * i for i in range(10)], abs=4)
    assert session.frame(0).size == (32, 24)
    assert session.info.extra["keys"] is False
    assert session.info.source == "import:video"
    assert [type(e) for e in session.events] == [Pause]
    assert made.quality.reasons[0].startswith("no keys: a plain video")
    assert calls == [("v", i) for i in range(1, 11)]


def test_a_slow_video_repeats_its_pictures(tmp_path):
    (made,) = import_recordings(video(tmp_path / "v.mkv", frames=5, fps=5), tmp_path / "out", fps=10)
    session = Session.open(made.folder)
    assert len(session) == 10 - 1  # the last picture stands for one tick
    assert session.path(0).read_bytes() == session.path(1).read_bytes() != session.path(2).read_bytes()


@settings(max_examples=200)
@given(st.sets(st.integers(0, 200), max_size=20).map(sorted), st.integers(1, 30), st.integers(0, 250))
def test_resampling_shows_the_newest_picture_at_every_tick(times, period, until):
    expected = [
        (tick, max(t for t in times if t <= tick)) for tick in (range(times[0], until, period) if times else ())
    ]
    assert list(resample([(t, t) for t in times], period, until)) == expected


# The origin's layout

actions = st.sampled_from([*KEYBOARD_12.keys])
steps = st.lists(st.tuples(st.integers(1, 3000), actions), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_every_frame_has_the_first_action_of_its_json(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("root")
    frames, ms = [], 0
    for gap, action in steps:
        ms += gap
        frames.append((ms, [action, "w"]))
    (made,) = import_recordings(origin(root / "in", frames), root / "out", size=None)
    session = Session.open(made.folder)
    assert spelled(session) == [action for _, action in steps]
    assert session.t_ns.tolist() == [ms * MS for ms, _ in frames]
    assert check(made.folder) == []


def test_the_origins_sessions_are_told_apart_and_their_pictures_kept_byte_for_byte(tmp_path):
    source = origin(tmp_path / "in", [(0, ["w"]), (100, ["w", "right"]), (200, ["none"])])
    origin(source, [(1700000000000, ["CTRL"]), (1700000000050, ["return"])], session="20260101_120000")
    made = import_recordings(source, tmp_path / "out", size=(32, 24))
    assert [m.folder.name for m in made] == ["20260101_120000", "play"]
    later, play = (Session.open(m.folder) for m in made)
    assert spelled(later) == ["c", "enter"]
    assert spelled(play) == ["w", "w", "none"]
    assert play.events == (
        Held(0, frozenset("w")),
        Key(200 * MS, "w", False),
        Pause(300 * MS, "stop"),
    )
    assert (later.info.frame_hz, play.info.frame_hz) == (20, 10)
    assert later.info.clock["wall_ns"] == 1700000000000 * MS
    assert made[1].counts == {"frames": 3, "frames_with_more_actions": 1}
    for i, ms in enumerate((0, 100, 200)):
        assert play.path(i).read_bytes() == (source / f"play_{ms}.jpg").read_bytes()


def test_the_origins_pictures_of_another_size_are_encoded_again(tmp_path):
    source = origin(tmp_path / "in", [(0, ["w"]), (100, ["w"])])
    (made,) = import_recordings(source, tmp_path / "out")
    assert made.counts["frames_encoded_again"] == 2
    assert decode_jpeg(made.folder / "frames/000001.jpg").shape == (480, 640, 3)


def test_a_long_silence_of_the_origin_is_a_pause(tmp_path):
    source = origin(tmp_path / "in", [(0, ["w"]), (100, ["w"]), (200, ["w"]), (9000, ["w"])])
    (made,) = import_recordings(source, tmp_path / "out", size=None)
    session = Session.open(made.folder)
    assert [(s.start, s.stop) for s in session.spans()] == [(0, 3), (3, 4)]
    assert session.duration_s == pytest.approx(0.4)


def test_unknown_actions_and_frames_without_a_label_are_counted(tmp_path):
    source = origin(tmp_path / "in", [(0, ["e"]), (100, ["w", "e"]), (200, []), (300, ["w"]), (400, ["w"])])
    (source / "play_300.json").unlink()
    (source / "play_400.json").write_text("{")
    (made,) = import_recordings(source, tmp_path / "out", size=None, fps=10)
    assert spelled(Session.open(made.folder)) == ["none", "w", "none"]
    assert made.counts == {
        "frames": 3,
        "frames_with_more_actions": 1,
        "frames_with_unreadable_json": 1,
        "frames_without_json": 1,
        "unknown_action_e": 2,
    }


def test_another_action_space_decides_which_keys_are_kept(tmp_path):
    space = ActionSpace("MINE", ("e", "none"))
    (made,) = import_recordings(origin(tmp_path / "in", [(0, ["e"]), (100, ["w"])]), tmp_path / "out", space=space)
    assert spelled(Session.open(made.folder)) == ["e", "none"]


KILLED = """
import sys, time
from pathlib import Path
from protege.recorder.importers import import_each
def slow(name, frames):
    print(frames, flush=True)
    time.sleep(0.05)
list(import_each(Path(sys.argv[1]), Path(sys.argv[2]), progress=slow)
"""


def test_a_kill_leaves_no_half_session_and_no_obstacle(tmp_path):
    command = [sys.executable, "-c", KILLED, str(OWAMCAP / "0.3.2.mcap"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert all(p.name.startswith(".0.3.2.") for p in tmp_path.iterdir())
    (made,) = import_recordings(OWAMCAP / "0.3.2.mcap", tmp_path)
    assert list(tmp_path.iterdir()) == [made.folder]
