"""What the recorder stores and when, with fake devices."""

import threading

import pytest

from protege.core import Rect, Session, SessionInfo, SessionWriter
from protege.core.events import Focus, Held, Key, Pause
from protege.core.session import check
from protege.devices.errors import DisplayGone, WindowGone
from protege.errors import UserError
from protege.recorder.config import RecorderConfig
from protege.recorder.recorder import Recorder
from protege.recorder.status import status_text
from tests.fakes import FakeCapture, FakeClock, FakeWindow


class Game:
    """A recorder with fake devices, played frame by frame."""

    def __init__(self, tmp_path, writer=SessionWriter, **config):
        self.writer = writer
        self.clock = FakeClock()
        self.window = FakeWindow()
        self.screen = FakeCapture(self.clock)
        self.config = RecorderConfig(out=tmp_path, size=(64, 48), window="Fake", **config)
        self.recorder = Recorder(self.config, lambda: self.window, self.screen, self.clock, self.create)
        self.down: set[str] = set()
        self.recorder.held = lambda: frozenset(self.down)

    def create(self, window, rect):
        info = SessionInfo(frame_size=self.config.size, window={"title": window.title, **vars(rect)})
        return self.writer.create(self.config.out, info)

    def press(self, *names):
        for name in names:
            self.down.add(name)
            self.recorder.key(name, True)

    def release(self, *names):
        for name in names:
            self.down.discard(name)
            self.recorder.key(name, False)

    def frames(self, n):
        for _ in range(n):
            self.recorder.tick()
            while self.recorder.writer and self.recorder.status().frames < self.screen.grabs - self.dropped:
                threading.Event().wait(0.001)
            self.clock.advance(0.1)

    @property
    def dropped(self):
        return self.recorder.status().dropped

    def finish(self):
        writer = self.recorder.finish()
        assert writer is not None
        assert check(writer.folder) == []
        return Session.open(writer.folder)


def kinds(session):
    return [type(event).__name__ for event in session.events]


def test_nothing_is_stored_before_the_toggle_key(tmp_path):
    game = Game(tmp_path)
    game.press("w")
    game.frames(5)
    assert game.recorder.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_keys_and_frames_between_start_and_pause_are_stored(tmp_path):
    game = Game(tmp_path)
    game.press("w")
    game.recorder.key("p", True)
    game.recorder.key("p", False)
    game.frames(3)
    game.press("left")
    game.frames(2)
    game.release("left", "w")
    game.frames(2)
    game.recorder.key("p", True)
    game.press("d")
    game.frames(4)
    session = game.finish()
    assert len(session) == 7
    assert kinds(session) == ["Held", "Key", "Key", "Key", "Pause"]
    first, last = session.events[0], session.events[-1]
    assert isinstance(first, Held)
    assert first.held == {"w"}
    assert isinstance(last, Pause)
    assert last.pause == "toggle"
    spelled = [session.info.space.spell(a) for a in session.info.space.decode(session.actions())]
    assert spelled == ["w", "w", "w", "w+left", "w+left", "none", "none"]


def test_what_is_typed_in_another_window_is_never_stored(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(2)
    game.window.focused = False  # and a key comes before the next frame is due
    game.press("s")
    game.frames(3)
    game.press("a")
    game.release("s", "a")
    game.window.focused = True
    game.frames(3)
    session = game.finish()
    assert not [event for event in session.events if isinstance(event, Key)]
    assert kinds(session) == ["Held", "Focus", "Pause", "Focus", "Held", "Pause"]
    assert [e.focus for e in session.events if isinstance(e, Focus)] == [False, True]
    assert len(session) == 5


def test_a_key_that_went_down_in_another_window_is_not_ours_when_the_focus_comes(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(2)
    game.window.focused = False
    game.frames(1)
    game.press("enter", "s")
    game.window.focused = True  # as when a launcher opens the game
    game.frames(2)
    game.release("enter")
    game.press("enter")
    game.frames(1)
    session = game.finish()
    assert [e.held for e in session.events if isinstance(e, Held)] == [frozenset(), frozenset()]
    assert [(e.key, e.down) for e in session.events if isinstance(e, Key)] == [("enter", True)]


def test_a_key_heard_before_the_new_focus_was_seen_is_not_ours(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(1)
    game.window.focused = False
    game.frames(1)
    game.window.focused = True  # no frame since: the key may have been typed just before
    game.press("enter")
    game.frames(1)
    assert not [e for e in game.finish().events if isinstance(e, Key) or (isinstance(e, Held) and e.held)]


def test_nothing_about_keys_or_focus_is_told_while_paused(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.press("w")
    game.frames(1)
    assert game.recorder.status().held == {"w"}
    game.recorder.toggle()
    for focused in (False, True, False):
        game.window.focused = focused
        game.frames(1)
    game.press("s")
    assert game.recorder.status().held == frozenset()
    assert kinds(game.finish()) == ["Held", "Key", "Pause"]


def test_a_key_held_down_for_long_is_play(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.press("w")
    game.frames(330)
    session = game.finish()
    assert [e.pause for e in session.events if isinstance(e, Pause)] == ["stop"]
    assert len(session) == 330


def test_the_status_line_names_the_window(tmp_path):
    game = Game(tmp_path)
    assert status_text(game.recorder.status(), "p") == "press P in the game's window to start"
    game.recorder.toggle()
    game.press("w")
    game.frames(10)
    text = status_text(game.recorder.status(), "p")
    assert text == "00:01  10 frames  10.0 fps  0 dropped  keys: w  (recording 'Fake Game', P pauses)"
    game.recorder.toggle()
    assert "paused, P goes on" in status_text(game.recorder.status(), "p")
    game.finish()


def test_the_toggle_key_does_nothing_in_another_window(tmp_path):
    game = Game(tmp_path)
    game.window.focused = False
    game.recorder.key("p", True)
    game.window.focused = True
    game.frames(3)
    assert game.recorder.finish() is None


def test_keys_held_through_a_lost_focus_are_in_the_snapshot_when_it_returns(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.press("w")
    game.frames(20)
    game.window.focused = False
    game.frames(1)
    game.window.focused = True
    game.frames(1)
    held = [e for e in game.finish().events if isinstance(e, Held)]
    assert [e.held for e in held] == [frozenset(), {"w"}]


def test_a_window_that_changes_its_size_pauses_until_it_is_steady(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(15)
    game.window.rect = Rect(0, 0, 80, 60)
    game.frames(5)
    game.window.rect = Rect(0, 0, 96, 72)
    game.frames(9)
    assert game.recorder.status().paused == "resize"
    game.frames(5)
    session = game.finish()
    pauses = [e.pause for e in session.events if isinstance(e, Pause)]
    assert pauses == ["resize", "stop"]
    assert session.frame(len(session) - 1).size == (64, 48)
    assert game.screen.rect == Rect(0, 0, 96, 72)


def test_who_was_quicker_than_the_countdown_records_on_without_a_break(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(5)
    game.recorder.start()
    game.frames(5)
    assert [e.pause for e in game.finish().events if isinstance(e, Pause)] == ["stop"]


def test_starting_without_the_toggle_key_waits_for_the_focus(tmp_path):
    game = Game(tmp_path)
    game.window.focused = False
    game.recorder.start()
    game.frames(3)
    assert game.recorder.writer is None
    game.window.focused = True
    game.frames(1)
    game.press("w")
    game.frames(1)
    session = game.finish()
    assert len(session) == 2
    assert kinds(session)[-3:] == ["Held", "Key", "Pause"]


def test_a_window_that_only_moves_is_followed(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(2)
    game.window.rect = Rect(30, 10, 64, 48)
    game.frames(2)
    assert game.screen.rect == Rect(30, 10, 64, 48)
    assert len(game.finish()) == 4


def test_thirty_seconds_without_a_key_pause_until_the_next_one(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(310)
    assert game.recorder.status().paused == "idle"
    game.press("w")
    game.frames(2)
    session = game.finish()
    assert [e.pause for e in session.events if isinstance(e, Pause)] == ["idle", "stop"]
    assert [e.held for e in session.events if isinstance(e, Held)] == [frozenset(), {"w"}]
    assert 300 <= len(session) <= 303


def test_a_region_is_recorded_instead_of_the_window(tmp_path):
    game = Game(tmp_path, region=Rect(5, 6, 32, 24))
    game.recorder.toggle()
    game.frames(1)
    assert game.screen.rect == Rect(5, 6, 32, 24)
    game.finish()


def test_missed_deadlines_count_as_dropped(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.recorder.tick(late=3)
    assert game.finish().info.dropped == 3


def test_it_is_finished_after_the_asked_time(tmp_path):
    game = Game(tmp_path, stop_after_s=0.5)
    game.recorder.toggle()
    while not game.recorder.finished:
        game.frames(1)
    assert len(game.finish()) == 5


@pytest.mark.parametrize("what", ["window", "screen"])
def test_a_device_that_is_gone_ends_it_with_what_was_recorded(tmp_path, what):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(3)
    if what == "window":
        game.window.open = False
    else:
        game.screen.error = DisplayGone("the screen can no longer be read: gone")
    with pytest.raises((WindowGone, DisplayGone)):
        game.frames(1)
    assert len(game.finish()) == 3


def test_a_window_closed_while_a_key_is_heard_is_raised_by_the_loop(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(1)
    game.window.open = False
    game.press("w")
    with pytest.raises(WindowGone):
        game.recorder.tick()
    game.finish()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "--fps 0"),
        ({"size": (8, 480)}, "--size 8x480"),
        ({"stop_after_s": 0}, "--stop-after 0"),
        ({"toggle_key": "w"}, "--toggle-key 'w'"),
        ({"toggle_key": "f12"}, "--toggle-key"),
        ({"toggle_key": " "}, "--toggle-key"),
        ({"stop_after_s": float("nan")}, "--stop-after nan"),
        ({"name": "a/b"}, "--name 'a/b'"),
        ({"name": " "}, "--name ' '"),
        ({"name": "nul"}, "--name 'nul'"),
        ({"name": "com1.level"}, "--name 'com1.level'"),
        ({"name": "level."}, "--name 'level.'"),
        ({"name": "x" * 300}, "--name"),
        ({"region": Rect(0, 0, 4, 4)}, "--region"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        RecorderConfig(out=tmp_path, **options)


def test_presses_of_unknown_keys_and_the_picture_off_the_screen_are_counted_while_recording(tmp_path):
    game = Game(tmp_path)
    heard = [0, 0]
    game.recorder.presses = lambda: (heard[0], heard[1])
    heard[:] = [50, 40]  # before it began
    game.frames(2)
    game.recorder.toggle()
    game.frames(2)
    heard[:] = [60, 43]
    game.screen.outside = 0.5
    game.frames(2)
    game.recorder.toggle()
    heard[:] = [900, 900]  # paused
    game.frames(2)
    extra = game.finish().info.extra
    assert (extra["presses_heard"], extra["presses_unknown"], extra["outside_screen"]) == (10, 3, 0.25)
