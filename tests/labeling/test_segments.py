"""Where a session is cut: by time, never across a break, and nothing is lost without being counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.labeling.segments import NO_KEYS_HELD, TOO_SHORT, Segment, cut, cut_times
from tests.labeling.recordings import HOLD, opened

W, NONE = HOLD["w"], HOLD["none"]
S = 1_000_000_000


def bounds(session, **kwargs):
    segments, aside = cut(session, session.actions(), **kwargs)
    return [(s.start, s.stop) for s in segments], [(a.start, a.stop, a.why) for a in aside]


def test_ten_seconds_become_two_segments_of_four_seconds_and_one_of_two(tmp_path):
    assert bounds(opened(tmp_path, [W] * 100)) == ([(0, 40), (40, 80), (80, 100)], [])


def test_a_last_piece_of_a_second_is_kept_and_a_shorter_one_goes_to_the_piece_before(tmp_path):
    assert bounds(opened(tmp_path, [W] * 50, name="a"))[0] == [(0, 40), (40, 50)]
    assert bounds(opened(tmp_path, [W] * 49, name="b"))[0] == [(0, 49)]


def test_a_recording_shorter_than_a_second_is_set_aside(tmp_path):
    assert bounds(opened(tmp_path, [W] * 9)) == ([], [(0, 9, TOO_SHORT)])


def test_segments_without_any_key_are_set_aside(tmp_path):
    assert bounds(opened(tmp_path, [W] * 40 + [NONE] * 40 + [W] * 40)) == (
        [(0, 40), (80, 120)],
        [(40, 80, NO_KEYS_HELD)],
    )


def test_no_segment_crosses_a_pause_or_an_episode(tmp_path):
    goals = [(0, "Go to the lantern", 30, "success"), (30, "Open the door", 75, "success")]
    session = opened(tmp_path, [W] * 120, goals=goals, pauses=(90,))
    found, _ = bounds(session)
    assert found == [(0, 30), (30, 75), (75, 90), (90, 120)]


def test_frames_are_cut_by_time_and_not_by_count(tmp_path):
    times = np.array([0, 0.1, 0.2, 3.0, 3.97, 4.1, 5.0, 8.3]) * S
    assert cut_times(times.astype(np.int64), 4.0, S // 10) == [(0, 4), (4, 7), (7, 8)]


@given(st.lists(st.integers(1, 3 * S), max_size=60), st.floats(1, 9))
def test_pieces_hold_every_frame_once_and_none_is_longer_than_asked(steps, seconds):
    period = S // 10
    times = np.cumsum([0, *steps])
    pieces = cut_times(times, seconds, period)
    assert [i for a, b in pieces for i in range(a, b)] == list(range(len(times)))
    for a, b in pieces:
        begin = (int(times[a]) + period // 2) // round(seconds * 1e9)
        assert all((int(times[i]) + period // 2) // round(seconds * 1e9) == begin for i in range(a, b))


def test_a_stored_goal_reaches_to_its_episodes_end_and_says_whether_it_was_reached(tmp_path):
    goals = [(0, "Go to the lantern", 60, "success"), (60, "Open the door", 110, "timeout")]
    session = opened(tmp_path, [W] * 110, goals=goals)
    segments, _ = cut(session, session.actions())
    assert [(s.stop, s.goal_stop, s.reached, s.end) for s in segments] == [
        (40, 60, True, "success"),
        (60, 60, True, "success"),
        (100, 110, False, "timeout"),
        (110, 110, False, "timeout"),
    ]


def test_standing_still_at_an_episodes_end_does_not_hide_where_the_goal_was_reached(tmp_path):
    session = opened(tmp_path, [W] * 40 + [NONE] * 20, goals=[(0, "Go to the lantern", 60, "success")])
    segments, aside = cut(session, session.actions())
    assert segments == [Segment(0, 40, "Go to the lantern", 40, True, "success")]
    assert [a.why for a in aside] == [NO_KEYS_HELD]


def test_a_goal_is_not_reached_where_the_recording_only_paused(tmp_path):
    session = opened(tmp_path, [W] * 80, goals=[(0, "Open the door", 80, None)], pauses=(40,))
    segments, _ = cut(session, session.actions())
    assert [s.reached for s in segments] == [False, True]


def test_a_segment_without_frames_cannot_be_built():
    with pytest.raises(ValueError, match="start, stop"):
        Segment(4, 4)
