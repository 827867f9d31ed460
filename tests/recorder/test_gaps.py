"""A recorder that stood still: what happened meanwhile is not known, and says so."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from protege.core import Session
from protege.core.events import Held, Key, Pause
from protege.errors import ProtegeError
from tests.recorder.test_recorder import Game, kinds

S = 1_000_000_000


def test_a_recorder_that_stood_still_breaks_the_recording_and_trusts_no_key_heard_late(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.press("w")
    game.frames(5)
    stopped_ns = game.clock.now_ns()
    game.clock.advance(13)
    game.release("w")  # all that was typed in 13 s is heard now, within milliseconds
    game.press("a")
    game.release("a")
    game.press("d")
    assert game.recorder.status().paused == "gap"
    game.frames(20)
    assert game.recorder.status().paused == "gap"  # d is still held, and nobody knows since when and for which window
    game.release("d")
    game.press("s")
    game.frames(3)
    session = game.finish()
    assert kinds(session) == ["Held", "Key", "Pause", "Held", "Key", "Pause"]
    pause, held, key = session.events[2:5]
    assert isinstance(pause, Pause)
    assert isinstance(held, Held)
    assert isinstance(key, Key)
    assert (pause.t_ns, pause.pause) == (pytest.approx(stopped_ns, abs=0.01 * S), "gap")
    assert held.t_ns - stopped_ns > 13 * S
    assert (held.held, key.key) == (frozenset(), "s")
    assert [(span.start, span.stop) for span in session.spans()] == [(0, 5), (5, len(session))]
    spelled = [session.info.space.spell(action) for action in session.info.space.decode(session.actions())]
    assert set(spelled[:5]) == {"w"}
    assert set(spelled[5:]) == {"s"}
    assert session.info.dropped == 0  # it was not recording


def test_a_key_held_all_the_while_is_still_held(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.press("w")
    game.frames(5)
    game.clock.advance(13)
    game.frames(10)
    session = game.finish()
    assert [e.held for e in session.events if isinstance(e, Held)] == [frozenset(), {"w"}]
    assert [e.pause for e in session.events if isinstance(e, Pause)] == ["gap", "stop"]


def test_the_toggle_key_heard_late_toggles_nothing(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(3)
    game.clock.advance(13)
    game.recorder.key("p", True)  # typed into a terminal, perhaps
    game.frames(8)
    assert game.recorder.status().paused is None
    game.finish()


def test_the_toggle_key_starts_it_however_busy_the_machine_was(tmp_path):
    game = Game(tmp_path)
    game.frames(3)
    game.clock.advance(13)
    game.recorder.key("p", True)
    assert game.recorder.status().paused is None
    game.frames(2)
    assert len(game.finish()) == 2


def test_a_stutter_of_a_few_frames_is_no_gap(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(3)
    game.clock.advance(0.35)
    game.frames(3)
    assert kinds(game.finish()) == ["Held", "Pause"]


def test_a_picture_that_took_seconds_is_not_kept(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(3)
    game.screen.takes_s = 5
    game.recorder.tick()
    session = game.finish()
    assert len(session) == 3
    assert [e.pause for e in session.events if isinstance(e, Pause)] == ["gap"]


def test_a_key_has_the_time_at_which_it_was_heard(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(2)
    heard_ns = game.clock.now_ns()
    game.clock.advance(0.03)
    game.recorder.key("w", True, heard_ns)
    game.recorder.key("w", False, heard_ns - S // 10)  # never before what is written already
    times = [e.t_ns for e in game.finish().events if isinstance(e, Key)]
    assert times == [heard_ns, heard_ns]


def test_a_key_taken_seconds_after_it_was_heard_is_not_trusted(tmp_path):
    game = Game(tmp_path)
    game.recorder.toggle()
    game.frames(30)
    game.recorder.key("w", True, game.clock.now_ns() - 2 * S)
    session = game.finish()
    assert not [e for e in session.events if isinstance(e, Key)]
    assert [e.pause for e in session.events if isinstance(e, Pause)] == ["gap"]


def test_a_key_in_the_snapshot_of_held_keys_is_not_stored_again(tmp_path):
    """The listener knows of a press before the recorder is told."""
    game = Game(tmp_path)
    game.down = {"w"}
    game.recorder.toggle()
    game.recorder.key("w", True)
    game.frames(3)
    game.release("w")
    game.release("w")
    session = game.finish()
    changes = [(e.key, e.down) for e in session.events if isinstance(e, Key)]
    assert changes == [("w", False)]


def test_a_keyboard_that_went_deaf_ends_the_recording(tmp_path):
    game = Game(tmp_path)
    real: set[str] = set()
    game.recorder.down_now = lambda: frozenset(real)
    game.recorder.toggle()
    game.frames(15)
    real.add("w")  # a single difference is a key on its way
    game.frames(1)
    real.clear()
    game.frames(20)
    real.add("w")
    with pytest.raises(ProtegeError, match=r"the keyboard is no longer heard \(w changed without a word"):
        game.frames(40)
    session = game.finish()
    assert [e.pause for e in session.events if isinstance(e, Pause)] == ["keys"]
    assert len(session) <= 58


FROZEN = """
import sys
from pathlib import Path
import numpy as np
from protege.core import SessionInfo, SessionWriter
from protege.core.devices import MonotonicClock
from protege.recorder.config import RecorderConfig
from protege.recorder.recorder import Recorder
from protege.recorder.run import _loop
from tests.fakes import FakeCapture, FakeWindow

class Capture(FakeCapture):
    def grab_bgra(self):
        return np.zeros((48, 64, 4), np.uint8), self.clock.now_ns()

clock = MonotonicClock()
config = RecorderConfig(out=Path(sys.argv[1]), size=(64, 48), window="Fake", stop_after_s=2.0, fps=20)
info = SessionInfo(frame_size=(64, 48), frame_hz=20)
recorder = Recorder(config, FakeWindow, Capture(clock), clock, lambda w, r: SessionWriter.create(config.out, info, "s"))
recorder.start()
print("recording", flush=True)
_loop(recorder, clock, lambda: True, lambda text: None)
recorder.finish()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_real_process_that_was_stopped_leaves_a_gap_and_counts_no_dropped_frames(tmp_path):
    command = [sys.executable, "-c", FROZEN, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"recording\n"
        time.sleep(0.7)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 0
    session = Session.open(tmp_path / "s")
    pauses = [e.t_ns for e in session.events if isinstance(e, Pause) and e.pause == "gap"]
    resumed = [e.t_ns for e in session.events if isinstance(e, Held)]
    assert pauses
    assert max(after - before for before, after in zip(pauses, resumed[1:], strict=True)) > 2 * S
    assert max(span.stop - span.start for span in session.spans()) < len(session)
    assert session.info.dropped < 20
