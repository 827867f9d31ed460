"""The verdict about a recording: each reason in words and numbers, and only when it holds."""

from dataclasses import replace

import numpy as np
import pytest

from protege.core import NO_KEYS, Session, SessionInfo, SessionWriter, encode_jpeg
from protege.core.events import Held, Key, Pause
from protege.core.quality import assess, judge, table
from protege.core.session import frame_path

MS = 1_000_000
PERIOD = 100 * MS
rng = np.random.default_rng(7)
NOISE = [encode_jpeg(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(8)]
BLACK = encode_jpeg(np.zeros((48, 64, 3), np.uint8))
BLUE = encode_jpeg(np.full((48, 64, 3), (0, 0, 200), np.uint8))
PLAYED = (
    Key(0, "w", True),
    Key(2000 * MS, "left", True),
    Key(3000 * MS, "left", False),
    Key(5000 * MS, "w", False),
    Pause(10_000 * MS, "stop"),
)


def record(root, frames=100, events=PLAYED, pictures=NOISE, period=PERIOD, dropped=0, **info):
    writer = SessionWriter(root / "s", SessionInfo(frame_size=(64, 48), **info))
    for event in events:
        writer.event(event)
    for i in range(frames):
        writer.frame(i * period, pictures[i % len(pictures)])
    return Session.open(writer.finish(dropped=dropped))


def test_a_played_game_is_good_and_its_figures_are_right(tmp_path):
    quality = assess(record(tmp_path))
    assert quality.good
    assert quality.reasons == ()
    assert quality.minutes == pytest.approx(10 / 60)
    assert quality.fps == pytest.approx(10)
    assert (quality.frames, quality.presses, quality.dropped) == (100, 2, 0)
    assert {key: share for key, share in quality.key_shares.items() if share} == {"w": 0.5, "left": 0.1}
    assert quality.idle == 0.5
    assert (quality.per_hour.segments, quality.per_hour.samples) == (900, 36_000)


def test_the_rate_leaves_pauses_out(tmp_path):
    writer = SessionWriter(tmp_path / "s", SessionInfo())
    for event in (*PLAYED[:-2], Pause(4950 * MS, "toggle")):
        writer.event(event)
    for i in range(100):
        writer.frame(i * PERIOD + (60_000 * MS if i >= 50 else 0), NOISE[i % 8])
    quality = assess(Session.open(writer.finish()))
    assert quality.fps == pytest.approx(10)
    assert quality.minutes == pytest.approx(10 / 60)


REASONS = {
    "slow": ({"period": 125 * MS}, "8.0 frames a second, 80 % of the 10 wanted (at least 90 %); close other programs"),
    "dropped": ({"dropped": 5}, "5 frames dropped, 4.8 % (at most 2 %); record to a faster disk"),
    "no keys": ({"events": ()}, "hardly any keys: held in 0.0 % of the frames (at least 5 %); play with the keyboard"),
    "no camera": (
        {"events": (Key(0, "w", True),)},
        "the camera keys (up down left right) were never used; turn with them while playing, not with the mouse",
    ),
    "equal": ({"pictures": NOISE[:1]}, "all frames are equal (32 looked at); record the game's window itself"),
    "black": ({"pictures": [BLACK]}, "all frames are black (32 looked at); record the game's window itself"),
    "flat": ({"pictures": [BLUE]}, "all frames are one flat colour (32 looked at)"),
    "missing": (
        {"extra": {"pictures_missing": 120, "pictures_claimed": 200}},
        "120 of 200 pictures missing or not matched, 60 % (at most 5 %); copy the recording again",
    ),
    "unknown": (
        {"extra": {"presses_heard": 50, "presses_unknown": 10}},
        "10 of 50 key presses were of keys that are not known, 20 % (at most 5 %); check with protege doctor",
    ),
    "outside": (
        {"extra": {"outside_screen": 0.5}},
        "50 % of the picture were not on the screen and are black (at most 2 %); move the whole window",
    ),
    "stood still": (
        {"events": (*PLAYED[:-1], Pause(9000 * MS, "gap"), Held(9001 * MS, NO_KEYS), Pause(9500 * MS, "keys"))},
        "2 breaks in 0.2 min (at most one a minute): the recorder stood still (1), key events are missing (1); see",
    ),
    "video": ({"events": (), "extra": {"keys": False}}, "no keys: a plain video says nothing about what was pressed"),
}


@pytest.mark.parametrize("case", REASONS)
def test_each_reason_says_what_was_found_expected_and_to_do(tmp_path, case):
    made, said = REASONS[case]
    quality = assess(record(tmp_path, **made))
    assert not quality.good
    assert any(reason.startswith(said) for reason in quality.reasons)
    assert len(quality.reasons) == (2 if case == "no keys" else 1)
    assert all("; " in reason for reason in quality.reasons)


@pytest.mark.parametrize(
    "made",
    [
        {"period": 110 * MS},
        {"dropped": 2},
        {"extra": {"pictures_missing": 10, "pictures_claimed": 200, "presses_heard": 20, "presses_unknown": 1}},
        {"extra": {"outside_screen": 0.02}},
        {"extra": {"outside_screen": "much", "presses_heard": None, "presses_unknown": 7, "pictures_missing": [1]}},
        {"events": (*PLAYED[:-1], Pause(9000 * MS, "gap"), Held(9001 * MS, NO_KEYS))},
        {"events": (Key(0, "left", True), Key(500 * MS, "left", False))},
    ],
)
def test_what_is_just_good_enough_is_good(tmp_path, made):
    assert assess(record(tmp_path, **made)).good


def test_a_single_frame_is_not_called_equal_to_itself(tmp_path):
    assert assess(record(tmp_path, frames=1, events=(Key(0, "left", True),))).good


def test_a_picture_that_cannot_be_read_is_a_reason_and_no_crash(tmp_path):
    session = record(tmp_path)
    frame_path(session.folder, 0).write_bytes(b"no picture")
    frame_path(session.folder, 99).unlink()
    (reason,) = assess(session).reasons
    assert reason.startswith("2 of 32 pictures looked at cannot be read; repair with: protege doctor")


def test_judging_stores_the_verdict(tmp_path):
    session = record(tmp_path, dropped=5)
    quality = judge(session.folder)
    assert Session.open(session.folder).info == replace(session.info, verdict=quality.reasons)
    assert len(quality.reasons) == 1


def test_the_table_is_plain_aligned_text(tmp_path):
    session = record(tmp_path, dropped=5)
    lines = table(assess(session)).splitlines()
    assert lines[:6] == [
        "length          0.2 min, 100 frames",
        "rate            10.00 of 10 frames a second, 4.8 % dropped",
        "keys            2 presses, none held in 50 % of the frames",
        "held            w 50 %, left 10 %",
        "1 hour of this  about 900 segments, 36,000 samples",
        "verdict         1 reason against it",
    ]
    assert lines[6].startswith("                5 frames dropped")
    assert len(lines) == 7


def test_frames_missing_without_an_event_are_breaks_too(tmp_path):
    writer = SessionWriter(tmp_path / "s", SessionInfo())
    for event in PLAYED:
        writer.event(event)
    for i in range(100):
        writer.frame(i * PERIOD + i // 30 * 2000 * MS, NOISE[i % 8])
    reasons = assess(Session.open(writer.finish())).reasons
    assert [reason.partition(";")[0] for reason in reasons] == [
        "3 breaks in 0.2 min (at most one a minute): frames are missing (3)"
    ]
