"""OWAMcap recordings with raw motion of the mouse, imported for a game of any keys."""

import numpy as np
import pytest

from protege import cli
from protege.core import Session
from protege.core.actions import NONE, ActionSpace
from protege.core.events import Key, Motion, frame_motion
from protege.core.looking import look
from protege.core.session import check
from protege.errors import UserError
from tests.recorder.foreign import OWAMCAP, T0, S, import_recordings, in_order, key, mcap, screens, video, window

SPACE = ActionSpace("shooter", ("w", "ctrl", "shift", "f1", "mouse_left", "wheel_up", NONE), look=look())


def raw(seconds, x=0, y=0, flags=0, data=0, names=("last_x", "last_y"), **fields):
    moved = dict(zip(names, (x, y), strict=True))
    return "mouse/raw", T0 + round(seconds * S), moved | {"button_flags": flags, "button_data": data} | fields


def imported(tmp_path, messages, space=SPACE):
    video(tmp_path / "v.mkv", frames=100, fps=20)
    mcap(tmp_path / "play.mcap", in_order([*screens(), *messages]))
    (made,) = import_recordings(tmp_path / "play.mcap", tmp_path / "out", space=space)
    assert check(made.folder) == []
    return Session.open(made.folder)


@pytest.mark.parametrize("names", [("last_x", "last_y"), ("dx", "dy")])
def test_no_count_of_the_mouse_is_lost(tmp_path, names):
    steps = np.random.default_rng(1).integers(-40, 41, (500, 2)).tolist()
    session = imported(tmp_path, [raw(0.5 + 0.008 * i, x, y, names=names) for i, (x, y) in enumerate(steps)])
    motion = frame_motion(session.t_ns, session.events, session.info.period_ns)
    assert motion.sum(axis=0).tolist() == np.sum(steps, axis=0).tolist()
    assert not motion[:5].any()


def test_buttons_and_the_wheel_are_keys(tmp_path):
    messages = [raw(1, flags=1), raw(1.5, flags=2), raw(2, flags=4), raw(3, flags=0x400, data=120)]
    session = imported(tmp_path, [*messages, raw(3.5, flags=0x400, data=0xFF88)])  # 120 towards the player
    changes = [(e.key, e.down, round((e.t_ns - T0) / S, 3)) for e in session.events if isinstance(e, Key)]
    assert changes == [
        ("mouse_left", True, 1.0),
        ("mouse_left", False, 1.5),
        ("wheel_up", True, 3.0),
        ("wheel_up", False, 3.1),
    ]
    assert "wheel_up" in set().union(*session.info.space.decode(session.actions()))


def test_places_of_a_touch_screen_are_no_motion(tmp_path):
    session = imported(tmp_path, [raw(1, 3000, 2000, us_flags=1), raw(2, 5, 6)])
    assert [(e.dx, e.dy) for e in session.events if isinstance(e, Motion)] == [(5, 6)]


def test_what_was_moved_in_another_window_is_not_the_games(tmp_path):
    windows = [window(0, "game", 1), window(2, "browser", 2), window(3, "game", 1)]
    session = imported(tmp_path, [*windows, raw(1, 1, 0), raw(2.5, 10, 0), raw(3.5, 100, 0)])
    assert [e.dx for e in session.events if isinstance(e, Motion)] == [1, 100]


def test_keys_of_another_space_are_found_by_their_codes(tmp_path):
    codes = {"ctrl": 0xA3, "shift": 0xA0, "f1": 0x70}
    presses = [key(1 + i, code, True) for i, code in enumerate(codes.values())]
    releases = [key(1.5 + i, code, False) for i, code in enumerate(codes.values())]
    session = imported(tmp_path, [*presses, *releases, raw(1, 1, 1)])
    assert [e.key for e in session.events if isinstance(e, Key) and e.down] == list(codes)


def test_a_recording_of_places_alone_is_refused_for_a_game_with_a_mouse(tmp_path):
    with pytest.raises(UserError, match="no messages of mouse/raw"):
        import_recordings(OWAMCAP / "0.4.2.mcap", tmp_path, space=SPACE)
    assert not any(tmp_path.iterdir())


def test_the_command_takes_a_game(tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.run(["import", str(OWAMCAP / "0.4.2.mcap"), "--out", str(out), "--game", "chocolate-doom"]) == 0
    capsys.readouterr()
    session = Session.open(out / "0.4.2")
    assert session.info.space.name == "chocolate-doom"
    assert "ctrl" in {event.key for event in session.events if isinstance(event, Key)}
