"""What listens to a run: the stuck detector, the recorder, the status line; and whose key it was."""

import io
from typing import Any

import numpy as np
import pytest

from protege.agent.listener import Slot
from protege.agent.record import RunRecorder
from protege.agent.run import PlayOptions
from protege.agent.sequence import changes
from protege.agent.stats import LoopStats
from protege.agent.status import Status
from protege.agent.stuck import StuckDetector, StuckOptions
from protege.core import KEYBOARD_12, NO_KEYS, Frame, Session, SessionInfo, SessionWriter
from protege.core.events import Control, Key, Pause
from protege.core.session import check
from protege.errors import ProtegeError, UserError
from tests.agent.fakes import LEFT, W


class Warm:
    temperature = 0.0


def slot(number, action, by="agent", waiting=""):
    t_ns = number * 100_000_000
    return Slot(number, t_ns, t_ns, action, None, 0, by, "Go", waiting)


def watch(detector, seconds, action, moving, start=0.0):
    rng = np.random.default_rng(1)
    still = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for n in range(round(start * 10), round((start + seconds) * 10)):
        detector.slot(slot(n, action))
        picture = rng.permuted(still, axis=0) if moving else still
        detector.frame(Frame(picture, n * 100_000_000 + 50_000_000))


def test_standing_still_with_keys_held_is_said_once_and_cured_with_a_temperature():
    said, policy = [], Warm()
    detector = StuckDetector(said.append, StuckOptions(still_s=2, same_s=60), policy, temperature=0.8)
    watch(detector, 1.5, W, moving=False)
    assert said == []
    watch(detector, 3, W, moving=False, start=1.5)
    assert len(said) == 1
    assert "hardly changed" in said[0]
    assert policy.temperature == 0.8
    watch(detector, 0.5, W, moving=True, start=4.5)
    assert policy.temperature == 0.0
    watch(detector, 3, W, moving=False, start=5)
    assert len(said) == 2


def test_standing_still_without_keys_is_not_stuck():
    said = []
    watch(StuckDetector(said.append, StuckOptions(still_s=1, same_s=1)), 5, NO_KEYS, moving=False)
    assert said == []


def test_the_same_keys_for_ever_are_said_even_if_the_picture_moves():
    said = []
    watch(StuckDetector(said.append, StuckOptions(still_s=60, same_s=2)), 5, LEFT, moving=True)
    assert len(said) == 1
    assert "same keys" in said[0]


def writer(folder):
    return SessionWriter.create(folder, SessionInfo(frame_size=(64, 48)), "run")


def test_a_run_is_recorded_with_who_pressed_what(tmp_path):
    recorder = RunRecorder(writer(tmp_path), 0)
    recorder.control(0, "agent")
    recorder.goal(0, "Go")
    for n in range(5):
        recorder.slot(slot(n, W if n < 3 else NO_KEYS, by="agent" if n < 3 else "human"))
        recorder.frame(Frame(np.full((96, 128, 3), n, np.uint8), n * 100_000_000 + 50_000_000))
        if n == 2:
            recorder.control(280_000_000, "human")
            recorder.human_key(270_000_000, "left", True)  # heard in another thread, a little earlier
            recorder.human_key(270_000_000, "left", True)
    recorder.human_key(460_000_000, "left", False)
    recorder.finish(500_000_000, {"model": "scripted"})
    session = Session.open(tmp_path / "run")
    assert check(session.folder) == []
    assert session.frame(0).size == (64, 48)
    keys = [(e.key, e.down, e.t_ns) for e in session.events if isinstance(e, Key)]
    assert keys == [
        ("w", True, 0), ("w", False, 280_000_000), ("left", True, 280_000_000), ("left", False, 460_000_000),
    ]  # fmt: skip
    assert [e.by for e in session.events if isinstance(e, Control)] == ["agent", "human"]
    assert session.info.extra["model"] == "scripted"


def test_a_lost_focus_is_a_pause_of_the_recording(tmp_path):
    recorder = RunRecorder(writer(tmp_path), 0)
    recorder.slot(slot(0, W))
    recorder.frame(Frame(np.zeros((48, 64, 3), np.uint8), 1))
    recorder.focus(100_000_000, False)
    recorder.human_key(150_000_000, "a", True)  # typed elsewhere
    recorder.focus(200_000_000, True)
    recorder.finish(300_000_000, {})
    session = Session.open(tmp_path / "run")
    assert [e.pause for e in session.events if isinstance(e, Pause)] == ["focus", "stop"]
    assert not [e for e in session.events if isinstance(e, Key) and e.key == "a"]
    assert [(t, held) for t, held in changes(session)][-1] == (200_000_000, NO_KEYS)


def test_a_recording_that_cannot_be_written_ends_the_run_in_words(tmp_path):
    recorder = RunRecorder(writer(tmp_path), 0)
    (tmp_path / "run" / "frames").rename(tmp_path / "gone")
    recorder.frame(Frame(np.zeros((48, 64, 3), np.uint8), 1))
    recorder.finish(2, {})
    with pytest.raises(ProtegeError, match="cannot write"):
        recorder.slot(slot(0, NO_KEYS))


def test_the_status_line_says_who_plays_what_comes_and_how_fast():
    out = io.StringIO()
    stats = LoopStats()
    for ms in (10, 20, 400):
        stats.predicted(ms * 1_000_000)
        stats.acted(1_000_000)
    status = Status(KEYBOARD_12, stats, out)
    status.goal(0, "Go to the lantern")
    status.slot(slot(0, W))
    status.slot(slot(1, LEFT))  # too soon for another line
    status.slot(slot(2, NO_KEYS, waiting="another window covers the game"))  # but what stops it is said at once
    status.slot(slot(3, NO_KEYS, waiting="another window covers the game"))
    status.slot(slot(200, NO_KEYS, by="human", waiting="you play"))
    status.goal_ended(0, "Go to the lantern", "success")
    status.close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "goal: Go to the lantern"
    assert lines[1].startswith("keys: w  then: -")
    assert lines[2].startswith("[another window covers the game]")
    assert lines[3].startswith("[you play]  0.1 decisions/s  thinking 20/400 ms")
    assert lines[4] == "the model thinks it is done: Go to the lantern"
    assert len(lines) == 5
    assert stats.to_json()["deadline_p99_ms"] == 1.0


def test_options_of_a_run_that_make_no_sense_are_refused_in_words():
    bad: list[tuple[dict[str, Any], str]] = [
        ({}, "give a goal"),
        ({"goal": "g", "stop_key": "w"}, "the agent presses"),
        ({"goal": "g", "stop_key": "p"}, "two keys"),
        ({"goal": "g", "execute": 9}, "--execute 9"),
        ({"goal": "g", "max_minutes": -1}, "--max-minutes"),
        ({"goal": "g", "show": True, "record": False}, "--no-record"),
    ]
    for options, words in bad:
        with pytest.raises(UserError, match=words):
            PlayOptions(**options)
