"""Sessions on disk: what is written is read, what is broken is named and can be repaired."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import KEYBOARD_12, ActionSpace, Session, SessionInfo, SessionWriter, encode_jpeg
from protege.core.events import End, Goal, Held, Key, Pause
from protege.core.files import Locked, locked
from protege.core.session import SessionError, check, find_sessions, frame_path, repair, require_finished

PERIOD = 100_000_000


def picture(i):
    return encode_jpeg(np.full((24, 32, 3), (i * 37) % 256, np.uint8))


def record(root, frames=6, events=(), name="s", info=None):
    """A small session of `frames` pictures, 100 ms apart."""
    writer = SessionWriter.create(root, info or SessionInfo(frame_size=(32, 24)), name)
    for event in events:
        writer.event(event)
    for i in range(frames):
        writer.frame(i * PERIOD, picture(i))
    return writer.finish()


@settings(max_examples=30)
@given(
    steps=st.lists(st.integers(1, 10**12), min_size=1, max_size=8),
    presses=st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from(KEYBOARD_12.pressable), st.booleans())),
    hz=st.floats(1, 60),
    dropped=st.integers(0, 9),
)
def test_writing_then_reading_is_the_identity(tmp_path_factory, steps, presses, hz, dropped):
    info = SessionInfo(
        frame_hz=hz, frame_size=(32, 24), window={"title": "Doom"}, libraries={"mss": "10"}, extra={"seed": 3}
    )
    times = np.cumsum(steps)
    events = sorted((Key(*press) for press in presses), key=lambda e: e.t_ns)
    writer = SessionWriter.create(tmp_path_factory.mktemp("root"), info)
    for i, t in enumerate(times):
        assert writer.frame(int(t), picture(i)) == i
    for event in events:
        writer.event(event)
    session = Session.open(writer.finish(dropped=dropped))
    assert session.t_ns.tolist() == times.tolist()
    assert session.events == tuple(events)
    expected = replace(info, status="complete", frames=len(times), dropped=dropped, clock=session.info.clock)
    assert session.info == expected
    assert np.array_equal(session.frame(0).rgb, np.zeros((24, 32, 3)))
    assert check(session.folder) == []
    assert {p.name for p in session.folder.iterdir()} == {"session.json", "frames", "frames.jsonl", "events.jsonl"}


def test_another_action_space_is_kept(tmp_path):
    space = ActionSpace("MINE", ("q", "e", "none"), camera=frozenset("q"))
    folder = record(tmp_path, info=SessionInfo(space=space, frame_size=(32, 24)))
    assert Session.open(folder).info.space == space


def test_a_second_session_of_the_same_name_stands_beside_the_first(tmp_path):
    assert record(tmp_path).name == "s"
    assert record(tmp_path).name == "s_2"
    assert [p.name for p in find_sessions(tmp_path)] == ["s", "s_2"]
    assert find_sessions(tmp_path / "s") == [tmp_path / "s"]


def test_spans_never_cross_a_pause_or_an_episode(tmp_path):
    events = [
        Held(0, frozenset()),
        Goal(0, "Go to the lantern"),
        End(2 * PERIOD, "success"),
        Goal(3 * PERIOD, "Open the door"),
        Pause(4 * PERIOD + 5, "focus"),
        Held(5 * PERIOD - 5, frozenset({"w"})),
    ]
    session = Session.open(record(tmp_path, frames=8, events=events))
    spans = [(s.start, s.stop, s.goal, s.end) for s in session.spans()]
    assert spans == [
        (0, 2, "Go to the lantern", "success"),
        (2, 3, None, None),
        (3, 5, "Open the door", None),
        (5, 8, "Open the door", None),
    ]
    assert session.duration_s == pytest.approx(0.8)


def test_a_session_that_was_killed_opens_without_its_torn_line(tmp_path):
    folder = record(tmp_path)
    edit_info(status="recording", frames=0)(folder)
    with (folder / "frames.jsonl").open("a") as file:
        file.write('{"i": 6, "t_')
    session = Session.open(folder)
    assert len(session) == 6
    assert session.info.status == "recording"
    problems = repair(folder)
    assert any("cut off" in str(p) for p in problems)
    assert Session.open(folder).info.status == "recovered"
    assert Session.open(folder).info.frames == 6
    assert check(folder) == []


def later(folder):
    """The second half of the frames a hundred years later."""
    lines = (folder / "frames.jsonl").read_text().splitlines()
    lines[3:] = [f'{{"i": {i}, "t_ns": {4 * 10**18 + i}}}' for i in range(3, 6)]
    (folder / "frames.jsonl").write_text("\n".join(lines) + "\n")


def append(name, text):
    def damage(folder):
        with (folder / name).open("a") as file:
            file.write(text)

    return damage


def cut_jpeg(folder):
    path = frame_path(folder, 2)
    path.write_bytes(path.read_bytes()[:200])


def edit_info(**fields):
    def damage(folder):
        info = json.loads((folder / "session.json").read_text())
        (folder / "session.json").write_text(json.dumps(info | fields))

    return damage


def pipe(path):
    os.mkfifo(path)


def zeros(path):
    path.symlink_to("/dev/zero")


def in_place_of(name, make):
    """Something else where the session has a file."""

    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


def half_jpeg_with_an_end(folder):
    path = frame_path(folder, 2)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\xff\xda") + 16] + b"\xff\xd9")


def large_jpeg(folder):
    frame_path(folder, 2).write_bytes(encode_jpeg(np.zeros((240, 320, 3), np.uint8)))


def post_script(folder):
    frame_path(folder, 2).write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n%%EndComments\nshowpage\n")


def wrong_time(folder):
    lines = (folder / "frames.jsonl").read_text().splitlines()
    lines[3] = '{"i": 3, "t_ns": 99000000000}'
    (folder / "frames.jsonl").write_text("\n".join(lines) + "\n")


REPAIRABLE = {
    "torn line": (append("frames.jsonl", '{"i": 6'), ["frames.jsonl:7", "cut off"], 6),
    "rubbish line": (append("frames.jsonl", "rubbish\n"), ["frames.jsonl:7", "rubbish"], 6),
    "clock backwards": (append("frames.jsonl", '{"i": 6, "t_ns": 5}\n'), ["frames.jsonl:7", "runs backwards"], 6),
    "unknown key": (append("events.jsonl", '{"t_ns": 9, "key": "q", "down": true}\n'), ["events.jsonl:3", "'q'"], 6),
    "events backwards": (append("events.jsonl", '{"t_ns": 1, "pause": "idle"}\n'), ["events.jsonl:3", "backwards"], 6),
    "missing jpeg": (lambda f: frame_path(f, 2).unlink(), ["000002.jpg", "missing"], 5),
    "damaged jpeg": (cut_jpeg, ["000002.jpg", "damaged"], 5),
    "wrong count": (edit_info(frames=9), ["session.json", "9 frames promised, 6 found"], 6),
    "one wrong time": (wrong_time, ["frames.jsonl:4", "runs backwards"], 5),
    "time beyond reason": (append("events.jsonl", '{"t_ns": 1e30, "pause": "idle"}\n'), ["events.jsonl:3", "t_ns"], 6),
    "half a jpeg with an end": (half_jpeg_with_an_end, ["000002.jpg", "truncated"], 5),
    "a picture of another size": (large_jpeg, ["000002.jpg", "320x240 pixels, expected 32x24"], 5),
    "postscript": (post_script, ["000002.jpg", "no JPEG picture"], 5),
    "a pipe as picture": (in_place_of("frames/000002.jpg", pipe), ["000002.jpg", "but a pipe"], 5),
    "a device as picture": (in_place_of("frames/000002.jpg", zeros), ["000002.jpg", "but a device"], 5),
    "a folder as picture": (in_place_of("frames/000002.jpg", Path.mkdir), ["000002.jpg", "but a folder"], 5),
    "another frame size": (edit_info(frame_size=[64, 48]), ["frame_size is 64x48, but the pictures have 32x24"], 6),
    "a last frame in a hundred years": (
        append("frames.jsonl", f'{{"i": 6, "t_ns": {4 * 10**18}}}\n'),
        ["frames.jsonl:7", "the clock jumps by 1,111,111 hours to frame 6"],
        6,
    ),
    "a jump in the middle": (later, ["frames.jsonl:4", "the clock jumps by 1,111,111 hours to frame 3"], 6),
    "a huge frame number": (append("frames.jsonl", f'{{"i": {10**17}, "t_ns": 6{"0" * 8}}}\n'), ["missing"], 6),
    "a line beyond reason": (append("frames.jsonl", "x" * 200_000 + "\n"), ["frames.jsonl:7", "more than 65536"], 6),
    "a deep line": (append("events.jsonl", "[" * 50_000 + "\n"), ["events.jsonl:3", "nested too deep"], 6),
    "a lone surrogate": (
        append("events.jsonl", '{"t_ns": 9, "goal": "\\ud800"}\n'),
        ["events.jsonl:3", "surrogate"],
        6,
    ),
    "a pipe of events": (in_place_of("events.jsonl", pipe), ["events.jsonl", "a pipe; repairing puts it aside"], 6),
    "endless events": (in_place_of("events.jsonl", zeros), ["events.jsonl", "a device; repairing puts it aside"], 6),
    "no events file": (lambda f: (f / "events.jsonl").unlink(), ["events.jsonl", "missing"], 6),
}


@pytest.mark.parametrize("case", REPAIRABLE)
def test_damage_is_named_and_repaired_without_touching_what_is_good(tmp_path, case):
    damage, named, frames_left = REPAIRABLE[case]
    folder = record(tmp_path, events=[Key(5, "w", True), Key(8, "w", False)])
    before = {p.name: p.read_bytes() for p in (folder / "frames").iterdir()}
    damage(folder)
    problems = check(folder)
    assert len(problems) >= 1
    assert all(part in str(problems[0]) for part in named)
    assert "repairing" in str(problems[0])
    repair(folder)
    assert check(folder) == []
    session = Session.open(folder)
    assert len(session) == session.info.frames == frames_left
    for i in range(len(session)):
        assert session.path(i).read_bytes() == before[session.path(i).name]
    assert session.duration_s < 1
    if "events" not in case.split():
        assert [e for e in session.events if isinstance(e, Key)] == [Key(5, "w", True), Key(8, "w", False)]


@pytest.mark.parametrize("case", ["torn line", "rubbish line", "clock backwards", "unknown key", "events backwards"])
def test_a_broken_session_does_not_open_and_the_error_says_how_to_repair_it(tmp_path, case):
    folder = record(tmp_path, events=[Key(5, "w", True), Key(8, "w", False)])
    REPAIRABLE[case][0](folder)
    with pytest.raises(SessionError, match=r"protege doctor .* --repair"):
        Session.open(folder)


def test_a_damaged_picture_is_kept_aside_and_its_reading_is_an_error(tmp_path):
    folder = record(tmp_path)
    cut_jpeg(folder)
    with pytest.raises(SessionError, match=r"000002.jpg: cannot be read"):
        Session.open(folder).frame(2)
    repair(folder)
    assert (folder / "damaged" / "000002.jpg").stat().st_size == 200


def test_repairing_a_sound_session_changes_nothing(tmp_path):
    folder = record(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert repair(folder) == []
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_an_empty_session_is_an_error_that_repair_cannot_mend(tmp_path):
    folder = record(tmp_path, frames=0)
    with pytest.raises(SessionError, match="no frames"):
        Session.open(folder)
    with pytest.raises(SessionError, match="nothing to repair; remove it with: protege sessions delete"):
        repair(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit_info(format_version=99), "version 99, this protege reads up to 2; update"),
        (edit_info(frame_hz=0), "frame_hz is 0"),
        (edit_info(frame_hz=1e-30), "frame_hz is 1e-30"),
        (edit_info(extra=None), "extra is None"),
        (edit_info(dropped="x"), "dropped is 'x'"),
        (edit_info(frames=True), "frames is True"),
        (edit_info(status="odd"), "status is 'odd'"),
        (edit_info(frame_hz=10**400), "frame_hz is 1000"),
        (edit_info(frame_hz=True), "frame_hz is True"),
        (edit_info(frame_size=[]), r"frame_size is \[\]"),
        (edit_info(frame_size=[10**6, 10**6]), r"frame_size is \[1000000"),
        (edit_info(frames=10**30), "frames is 1000"),
        (edit_info(dropped=10**400), "dropped is 1000"),
        (edit_info(clock={"wall_ns": 10**400, "monotonic_ns": 0}), "clock is "),
        (edit_info(format_version=-1), "format_version is -1"),
        (
            edit_info(action_space={"name": "M", "keys": [f"k{i}" for i in range(10**5)]}),
            "at most 256 keys, got 100000",
        ),
        (edit_info(extra={"goal": "\ud800"}), "lone surrogate"),
        (lambda f: (f / "session.json").write_text("[" * 100_000), "nested too deep"),
        (in_place_of("session.json", pipe), "not a regular file but a pipe"),
        (in_place_of("session.json", zeros), "not a regular file but a device"),
        (edit_info(format_version="1"), "format_version is '1'"),
        (edit_info(action_space={"keys": 3}), "not a session's description"),
        (lambda f: (f / "session.json").write_text("{"), "not a session's description"),
        (lambda f: (f / "session.json").write_text("[]"), "not a session's description"),
        (lambda f: (f / "session.json").unlink(), "no recording here"),
    ],
)
def test_a_description_that_cannot_be_used_is_an_error(tmp_path, damage, message):
    folder = record(tmp_path)
    damage(folder)
    with pytest.raises(SessionError, match=message):
        Session.open(folder)


def test_a_recording_in_progress_is_not_repaired(tmp_path):
    writer = SessionWriter.create(tmp_path, SessionInfo(frame_size=(32, 24)), "s")
    writer.frame(0, picture(0))
    with pytest.raises(SessionError, match="still being recorded"):
        repair(writer.folder)
    with pytest.raises(SessionError, match="still being recorded"):
        require_finished(writer.folder)
    writer.finish()
    require_finished(writer.folder)
    assert check(writer.folder) == []


def test_what_an_earlier_repair_put_aside_stays(tmp_path):
    folder = record(tmp_path)
    for number in (1, 2):
        frame_path(folder, number).write_bytes(b"rubbish")
        repair(folder)
    assert (folder / "damaged" / "000001.jpg").exists()
    assert (folder / "damaged_2" / "000002.jpg").exists()


def test_millions_of_bad_lines_are_counted_and_not_all_named(tmp_path):
    folder = record(tmp_path)
    append("events.jsonl", "x\n" * 5000)(folder)
    append("frames.jsonl", '{"i": 0, "t_ns": 0}\n' * 5000)(folder)
    found = [str(problem) for problem in check(folder)]
    assert len(found) < 2100
    assert any("events.jsonl: 4,000 more such lines" in line for line in found)
    assert any("frames.jsonl: 4,000 more such frames" in line for line in found)
    repair(folder)
    assert check(folder) == []
    assert len(Session.open(folder)) == 6


def test_a_pause_of_days_is_no_jump(tmp_path):
    day = 24 * 3600 * 10**9
    writer = SessionWriter.create(tmp_path, SessionInfo(frame_size=(32, 24)), "s")
    for t_ns in (0, 3 * day):
        writer.frame(t_ns, picture(0))
    for event in (Pause(5, "toggle"), Held(3 * day - 5, frozenset())):
        writer.event(event)
    assert check(writer.finish()) == []


def test_two_repairs_at_once_do_not_mix(tmp_path):
    folder = record(tmp_path)
    frame_path(folder, 2).unlink()
    with locked(folder, "protege doctor --repair"), pytest.raises(Locked, match="is writing here"):
        repair(folder)
    assert [problem.found for problem in repair(folder)] == ["missing"]


def test_finishing_twice_and_leaving_the_block_write_once(tmp_path):
    with SessionWriter.create(tmp_path, SessionInfo(frame_size=(32, 24))) as writer:
        writer.frame(0, picture(0))
        writer.finish(dropped=4)
    assert Session.open(writer.folder).info.dropped == 4


def test_spans_are_cut_where_frames_are_missing_though_no_event_says_so(tmp_path):
    writer = SessionWriter.create(tmp_path, SessionInfo(frame_size=(32, 24)), "s")
    writer.event(Goal(0, "Open the door"))
    for i, seconds in enumerate([0, 0.1, 0.2, 12.7, 12.8, 12.9, 14, 14.1]):
        writer.frame(round(seconds * 1e9), picture(i))
    writer.event(End(round(13.2e9), "success"))  # in the gap from 12.9 to 14: it still ends that episode
    session = Session.open(writer.finish())
    assert [(s.start, s.stop, s.goal, s.end) for s in session.spans()] == [
        (0, 3, "Open the door", None),
        (3, 6, "Open the door", "success"),
        (6, 8, None, None),
    ]
    assert session.duration_s == pytest.approx(0.8)
