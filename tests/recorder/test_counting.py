"""What a resumed recording stores once, and what counts as recorded time."""

from protege.core import Rect
from protege.core.events import Held, Key
from protege.recorder.config import STEADY_S
from tests.recorder.test_recorder import Game


def presses(session, key):
    return [event for event in session.events if isinstance(event, Key) and event.key == key and event.down]


def snapshots(session):
    return [event.held for event in session.events if isinstance(event, Held)]


def test_the_key_that_ends_an_idle_pause_is_in_the_snapshot_and_stored_no_second_time(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(302)  # longer than 30 s without a key
    assert game.recorder.status().paused == "idle"
    game.press("w")
    game.frames(3)
    game.release("w")
    game.frames(2)
    session = game.finish()
    assert snapshots(session)[-1] == {"w"}
    assert presses(session, "w") == []


def test_a_key_that_finds_the_window_steady_again_is_stored_once(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(2)
    game.window.rect = Rect(0, 0, 80, 60)
    game.recorder.tick()
    assert game.recorder.status().paused == "resize"
    for _ in range(round(STEADY_S * 10) - 1):
        game.clock.advance(0.1)
        game.recorder.tick()
    assert game.recorder.status().paused == "resize"
    game.clock.advance(0.11)
    game.press("w")  # before the next frame is due: recording goes on with this key, which the snapshot has
    assert game.recorder.status().paused is None
    game.frames(3)
    game.release("w")
    session = game.finish()
    assert len(presses(session, "w")) + sum("w" in held for held in snapshots(session)) == 1


def test_missed_frames_count_for_stop_after(tmp_path):
    game = Game(tmp_path, stop_after_s=1.0)
    game.recorder.toggle()
    for _ in range(5):  # every second deadline is missed: 5 pictures of a whole second
        assert not game.recorder.finished
        game.recorder.tick(late=1)
        game.clock.advance(0.2)
    assert game.recorder.finished
    game.recorder.finish()
