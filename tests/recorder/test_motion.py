"""Motion of the mouse in the recorder (fake devices), in the reader, and through edits."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protege.core import ActionSpace, Session, SessionInfo, SessionWriter
from protege.core.events import CUT, Held, Key, Motion, Pause, frame_actions
from protege.core.frame import encode_jpeg
from protege.core.looking import look
from protege.core.session import check, repair
from protege.errors import UserError
from protege.recorder import clips, editing
from tests.recorder.test_recorder import Game, kinds

SPACE = ActionSpace("looks", ("w", "mouse_left", "wheel_up", "none"), frozenset("w"), look=look())
PERIOD = 100_000_000


class Looking(Game):
    """A recorder of a space with a mouse."""

    def __init__(self, tmp_path, **config):
        super().__init__(tmp_path, space=SPACE, **config)
        self.moved = []
        self.recorder.motion = self.take

    def take(self):
        moved, self.moved = self.moved, []
        return moved

    def create(self, window, rect):
        info = SessionInfo(space=SPACE, frame_size=self.config.size, window={"title": window.title, **vars(rect)})
        return self.writer.create(self.config.out, info)

    def move(self, dx, dy=0):
        self.clock.advance(0.001)
        self.moved.append(Motion(self.clock.now_ns(), dx, dy))
        self.clock.advance(0.001)


def motions(session):
    return [(event.dx, event.dy) for event in session.events if isinstance(event, Motion)]


def test_motion_is_stored_between_start_and_pause_only(tmp_path):
    game = Looking(tmp_path)
    game.move(1)
    game.frames(2)
    game.recorder.key("p", True)
    game.frames(1)
    game.move(2, -2)
    game.frames(2)
    game.move(3)
    game.recorder.key("p", True)  # pauses
    game.move(4)
    game.frames(2)
    game.recorder.key("p", True)
    game.frames(1)
    game.move(5)
    session = game.finish()
    assert motions(session) == [(2, -2), (3, 0), (5, 0)]
    assert session.info.to_json()["format_version"] == 2
    # The last one came after the last frame's time.
    assert session.motion().sum(axis=0).tolist() == [5, -2]


def test_what_is_moved_in_another_window_is_not_stored(tmp_path):
    game = Looking(tmp_path, start_now=True)
    game.recorder.start()
    game.frames(2)
    game.move(1)
    game.frames(1)
    game.window.focused = False
    game.move(100)
    game.frames(3)
    game.move(200)
    game.frames(1)
    game.window.focused = True
    game.frames(1)
    game.move(2)
    game.frames(1)
    game.window.focused = False
    game.move(400)
    assert motions(game.finish()) == [(1, 0), (2, 0)]


def test_motion_and_clicks_stand_in_the_order_of_their_times(tmp_path):
    game = Looking(tmp_path)
    game.recorder.start()
    game.frames(1)
    for step in range(3):
        game.move(step + 1)
        game.clock.advance(0.01)
        game.press("mouse_left")
        game.clock.advance(0.01)
        game.release("mouse_left")
    session = game.finish()
    assert kinds(session) == ["Held", *["Motion", "Key", "Key"] * 3, "Pause"]


def test_looking_about_is_play_and_ends_an_idle_pause(tmp_path):
    game = Looking(tmp_path, fps=1)
    game.recorder.start()
    for _ in range(40):
        game.move(1)
        game.frames(1)
        game.clock.advance(0.9)
    assert game.recorder.status().paused is None
    for _ in range(40):
        game.frames(1)
        game.clock.advance(0.9)
    assert game.recorder.status().paused == "idle"
    game.move(50)
    game.frames(1)
    assert game.recorder.status().paused is None
    assert len(motions(game.finish())) == 40


def test_motion_across_a_stop_of_the_recorder_is_not_trusted(tmp_path):
    game = Looking(tmp_path)
    game.recorder.start()
    game.frames(2)
    game.move(1)
    game.clock.advance(5)
    game.move(100)
    game.frames(8)
    assert (100, 0) not in motions(game.finish())


@pytest.mark.parametrize("into", [0.0, 0.3, 0.5, 0.99])
def test_a_notch_of_the_wheel_is_the_action_of_one_frame(into):
    t = np.arange(5, dtype=np.int64) * PERIOD
    at = 2 * PERIOD + round(into * PERIOD)
    events = [Held(0, frozenset()), Key(at, "wheel_up", True), Key(at, "wheel_up", False)]
    assert frame_actions(t, events, SPACE, PERIOD)[:, 2].tolist() == [False, False, True, False, False]


def make(folder, moves, frames=12, notches=()):
    """A session with motion at the given times; its first frame is at 0."""
    info = SessionInfo(space=SPACE, frame_size=(16, 16), clock={"wall_ns": 1, "monotonic_ns": 2})
    events = [Motion(*move) for move in moves]
    events += [Key(t_ns, "wheel_up", down) for t_ns in notches for down in (True, False)]
    with SessionWriter(folder, info) as writer:
        writer.event(Held(0, frozenset()))
        for event in sorted(events, key=lambda event: event.t_ns):
            writer.event(event)
        jpeg = encode_jpeg(np.zeros((16, 16, 3), np.uint8), 90)
        for i in range(frames):
            writer.frame(i * PERIOD, jpeg)
        writer.event(Pause(frames * PERIOD, "stop"))
    return Session.open(folder)


moves = st.lists(
    st.tuples(st.integers(0, 12 * PERIOD - 1), st.integers(-300, 300), st.integers(-300, 300)), min_size=1, max_size=40
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(moves=moves, cuts=st.lists(st.integers(1, 11), min_size=1, max_size=3, unique=True))
def test_no_motion_is_lost_by_split_and_merge(tmp_path_factory, moves, cuts):
    root = tmp_path_factory.mktemp("edits")
    session = make(root / "whole", moves)
    total = [sum(move[axis] for move in moves) for axis in (1, 2)]
    assert session.motion().sum(axis=0).tolist() == total
    parts = editing.split(root / "whole", [cut / 10 for cut in sorted(cuts)])
    motion = np.concatenate([Session.open(part).motion() for part in parts])
    assert motion.tolist() == session.motion().tolist()
    merged = Session.open(editing.merge(parts, "merged"))
    assert merged.motion().tolist() == session.motion().tolist()
    assert np.sum(motions(merged), axis=0).tolist() == total
    assert check(merged.folder) == []


@pytest.mark.parametrize("tau_ms", [0, 120])
def test_trim_keeps_each_frames_motion_also_with_a_reaction_time(tmp_path, tau_ms):
    moved = [(50_000_000 + i * 30_000_000, i + 1, -i) for i in range(35)]
    session = make(tmp_path / "s", moved, notches=(5 * PERIOD + 7,))
    part = Session.open(editing.trim(tmp_path / "s", 0.3, 0.8))
    assert part.motion(tau_ms).tolist() == session.motion(tau_ms)[3:8].tolist()
    assert part.actions(tau_ms).tolist() == session.actions(tau_ms)[3:8].tolist()


def test_the_last_frame_before_a_gap_keeps_its_motion_and_its_notch(tmp_path):
    folder = tmp_path / "s"
    make(folder, [(PERIOD + 3 * PERIOD // 2, 7, 1), (PERIOD + 5, 2, 2)], notches=(PERIOD + 3 * PERIOD // 2,))
    lines = (folder / "frames.jsonl").read_text().splitlines()
    (folder / "frames.jsonl").write_text("\n".join(line for line in lines if '"i": 2,' not in line) + "\n")
    repair(folder)
    session = Session.open(folder)
    part = Session.open(editing.trim(folder, 0, 0.2))
    assert part.motion().tolist() == session.motion()[:2].tolist() == [[0, 0], [9, 3]]
    assert part.actions().tolist() == session.actions()[:2].tolist()


def test_recordings_with_another_mouse_are_not_merged(tmp_path):
    make(tmp_path / "a", [(5, 1, 1)])
    make(tmp_path / "b", [(5, 1, 1)])
    fields = json.loads((tmp_path / "b" / "session.json").read_text())
    fields["action_space"]["look"] = look(2700).to_json()
    (tmp_path / "b" / "session.json").write_text(json.dumps(fields))
    with pytest.raises(UserError, match=r"mouse of 2700 counts a turn.*a has of 5400"):
        editing.merge([tmp_path / "a", tmp_path / "b"], "c")


def test_a_damaged_line_of_motion_is_found_and_taken_out(tmp_path):
    folder = make(tmp_path / "s", [(5, 1, 1)]).folder
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"t_ns": 1200000000, "dx": 1e99, "dy": 0}\n{"t_ns": 1200000000, "dx": 9999999, "dy": 0}\n')
    assert len(check(folder)) == 2
    repair(folder)
    assert check(folder) == []
    assert motions(Session.open(folder)) == [(1, 1)]


def test_the_end_of_a_clip_is_a_cut(tmp_path):
    session = make(tmp_path / "s", [(5, 1, 1)])
    events = clips.clip_events(clips.Clip(session, 0, 3))
    assert isinstance(events[-1], Pause)
    assert events[-1].pause == CUT
