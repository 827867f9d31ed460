"""OWAMcap recordings in which something is missing or contradicts itself: a break with a reason, never a repeat."""

import itertools

import numpy as np
import pytest

from protege.core import Session
from protege.core.events import Held, Key, Pause
from protege.core.session import check
from protege.errors import UserError
from tests.recorder.foreign import (
    T0,
    A,
    S,
    W,
    import_recordings,
    in_order,
    key,
    mcap,
    screens,
    shifted,
    state,
    video,
    window,
)

PLAY = [*screens(), key(1, W, True), key(3, W, False), key(3.5, A, True), key(4, A, False)]


def held_by_tenths(session):
    """{tenth of a second: keys held} of every frame."""
    decoded = session.info.space.decode(session.actions())
    tenths = np.round((session.t_ns - T0) / (S / 10)).astype(int).tolist()
    return {tenth: session.info.space.spell(action) for tenth, action in zip(tenths, decoded, strict=True)}


def pauses(session):
    return [(e.pause, round((e.t_ns - T0) / S, 2)) for e in session.events if isinstance(e, Pause)]


def span(keys, start, stop):
    return dict.fromkeys(range(start, stop), keys)


@pytest.fixture
def take(tmp_path):
    """Import an .mcap of some messages beside a 5 s video, each time into another folder."""
    outs = (tmp_path / f"out{number}" for number in itertools.count())
    (tmp_path / "in").mkdir()
    video(tmp_path / "in" / "v.mkv", frames=100, fps=20)

    def import_it(messages):
        path = mcap(tmp_path / "in" / "case.mcap", messages)
        (made,) = import_recordings(path, next(outs), size=None)
        assert check(made.folder) == []
        return made, Session.open(made.folder)

    return import_it


def test_a_sound_recording_has_no_break(take):
    made, session = take(in_order([*PLAY, *(state(t, [W] if 1 < t < 3 else []) for t in (0, 2, 4)), window(0, "Game")]))
    assert made.left_out == ()
    assert pauses(session) == [("stop", 4.95)]
    expected = span("none", 0, 50) | span("w", 10, 30) | span("a", 35, 40)
    assert held_by_tenths(session) == expected


def test_a_suspended_recording_is_a_pause_between_two_stretches_of_play(take):
    made, session = take(shifted(PLAY, 2.5, 120))
    assert made.left_out == (
        "2.5 s to 122.5 s left out: nothing was recorded (stopped, suspended, or its clock set forward)",
    )
    assert len(session) == 50
    assert session.duration_s == pytest.approx(5, abs=0.2)
    assert [s.stop - s.start for s in session.spans()] == [25, 25]
    assert pauses(session) == [("silence", 2.45), ("stop", 124.95)]


def test_a_clock_that_was_set_back_is_a_break_behind_which_its_times_go_on(take):
    """The messages stand in the order in which they were written."""
    made, session = take(shifted(PLAY, 2.5, -2))
    assert len(made.left_out) == 1
    assert "its clock was set back (by 1.9 s)" in made.left_out[0] or "(by 2.0 s)" in made.left_out[0]
    assert [pause for pause, _ in pauses(session)] == ["clock", "stop"]
    spelled = list(held_by_tenths(session).values())
    assert [keys for keys, _ in itertools.groupby(spelled)] == ["none", "w", "none", "a", "none"]
    assert (spelled.count("w"), spelled.count("a")) == (pytest.approx(20, abs=1), pytest.approx(5, abs=1))
    assert [s.stop - s.start for s in session.spans()] == [25, 25]


def test_a_clock_that_was_set_back_among_sorted_messages_is_refused(take, tmp_path):
    """Nothing tells which key belongs to which of the two pasts: a chord that nobody held must not come of it."""
    play = [*screens(), key(1, W, True), key(2, W, False), key(3, A, True), key(4, A, False)]
    with pytest.raises(UserError, match=r"case.mcap: its clock was set back by 1.9 s at 2.5 s of the video"):
        take(in_order(shifted(play, 2.5, -2)))
    assert not list((tmp_path / "out0").glob("*"))


def test_a_release_that_was_lost_ends_where_the_keyboards_state_last_agreed(take):
    states = [state(t, [W] if t == 1.5 else []) for t in (0, 1.5, 2, 3, 4)]
    made, session = take(in_order([*screens(), key(1, W, True), *states]))
    assert made.left_out == ("1.5 s to 2.0 s left out: key events are missing (the keyboard's state says w is up)",)
    assert held_by_tenths(session) == span("none", 0, 10) | span("w", 10, 15) | span("none", 20, 50)
    assert pauses(session) == [("keys", 1.5), ("stop", 4.95)]


def test_a_press_that_was_lost_is_not_guessed(take):
    states = [state(t, [W] if t == 2 else []) for t in (0, 1, 2, 4)]
    made, session = take(in_order([*screens(), key(3, W, False), *states]))
    assert made.left_out == ("1.0 s to 2.0 s left out: key events are missing (the keyboard's state says w is held)",)
    assert held_by_tenths(session) == span("none", 0, 10) | span("w", 20, 30) | span("none", 30, 50)
    made, session = take(in_order([*screens(), state(0, []), key(3, W, False)]))
    assert made.left_out == ("0.0 s to 3.0 s left out: key events are missing (w went up and had never gone down)",)
    assert held_by_tenths(session) == span("none", 30, 50)


def test_a_state_read_while_a_key_changed_is_no_contradiction(take):
    states = [state(t, []) for t in (0, 1.01, 4)]
    made, _ = take(in_order([*screens(), key(1, W, True), key(3, W, False), *states]))
    assert made.left_out == ()


def test_what_was_typed_in_another_window_is_no_action(take):
    typed = [key(1.2, W, True), key(1.7, W, False), key(2, A, True), key(3.5, A, False)]
    windows = [window(0, "Game", 1), window(1, "Chat\x1b[31m", 2), window(3, "Game: level 2", 1)]
    made, session = take(in_order([*screens(), *windows, *typed]))
    assert made.left_out == ("1.0 s to 3.0 s left out: another window was active (Chat\ufffd[31m)",)
    assert held_by_tenths(session) == span("none", 0, 10) | span("none", 30, 50)
    assert not [e for e in session.events if isinstance(e, Key) or (isinstance(e, Held) and e.held)]
    assert (session.info.window or {})["title"] == "Game: level 2"


def test_a_video_that_was_cut_off_ends_what_can_be_used(take, tmp_path):
    whole = (tmp_path / "in" / "v.mkv").read_bytes()
    (tmp_path / "in" / "v.mkv").write_bytes(whole[: len(whole) * 2 // 5])
    made, session = take(in_order(PLAY))
    assert len(session) < 25
    assert made.counts["messages_without_picture"] > 50
    assert pauses(session)[0][0] == "pictures"
    assert len(pauses(session)) == 1
    last_s = (int(session.t_ns[-1]) - T0) / S
    assert pauses(session)[0][1] - last_s < 0.2
    assert any("pictures missing or not matched" in reason for reason in made.quality.reasons)


def test_pictures_that_fail_in_the_middle_leave_a_break(take):
    kept = [message for message in screens() if not 1.5 <= (message[1] - T0) / S < 3.2]
    lost = [("screen", t, f | {"media_ref": {"uri": "v.mkv", "pts_ns": t - T0 + S // 50}}) for t, f in lost_screens()]
    made, session = take(in_order([*kept, *lost, key(1, W, True), key(3.4, W, False)]))
    assert held_by_tenths(session) == span("none", 0, 10) | span("w", 10, 15) | span("w", 32, 34) | span("none", 34, 50)
    assert pauses(session) == [("pictures", 1.5), ("stop", 4.95)]
    assert made.left_out == ("1.5 s to 3.2 s left out: pictures are missing",)


def lost_screens():
    return [(t, fields) for _, t, fields in screens() if 1.5 <= (t - T0) / S < 3.2]


def test_a_still_screen_stands_for_two_seconds_and_no_longer(take):
    def without(start, stop):
        return [message for message in screens() if not start <= (message[1] - T0) / S < stop]

    busy = [("mouse", T0 + round(t * S / 10), {"x": 1}) for t in range(50)]
    made, session = take(in_order([*without(1, 2.9), *busy]))
    assert (made.left_out, len(session)) == ((), 50)
    made, session = take(in_order([*without(1, 3.5), *busy]))
    assert made.left_out == ("1.1 s to 3.5 s left out: pictures are missing",)
    assert len(session) == 26


def test_pictures_of_another_video_are_not_looked_for_in_this_one(take):
    other = [("screen", t, f | {"media_ref": f["media_ref"] | {"uri": "w.mkv"}}) for _, t, f in screens()[50:]]
    made, session = take(in_order([*screens()[:50], *other]))
    assert made.counts["messages_of_another_video"] == 50
    assert len(session) == 25
    assert pauses(session) == [("pictures", 2.5)]
    assert any(
        "50 of 100 pictures missing" in reason or "pictures missing" in reason for reason in made.quality.reasons
    )


def test_a_recording_of_which_nothing_can_be_used_is_refused(take, tmp_path):
    with pytest.raises(UserError, match=r"case.mcap: nothing of it can be used; 0.0 s to .* left out"):
        take(in_order([*screens(count=20), key(4.9, W, False)]))
    assert not list((tmp_path / "out0").glob("*"))
