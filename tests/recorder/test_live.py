"""The recorder on a real third-party game: Chocolate Doom with Freedoom on an X server, real keys through XTest."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from protege.core import KEYBOARD_12, NO_KEYS, Session
from protege.core.events import Held, Key, Pause
from protege.core.session import check, find_sessions, repair
from protege.devices.backends import open_presser
from protege.devices.keyboard import RealKeys
from protege.devices.places import places_of
from protege.devices.windows import find_window, focused_window, list_windows
from protege.errors import UserError
from tests.conftest import need
from tests.devices.hands import GameWindow, Hands

CONFIG = Path(__file__).parents[1] / "fixtures" / "chocolate-doom"


def tap(name, seconds=0.1):
    """Somebody presses a key, in the space or not."""
    presser = open_presser()
    presser.press(places_of(name)[0])
    time.sleep(seconds)
    presser.release(places_of(name)[0])
    presser.close()


def start_doom(folder, config=CONFIG, options=("-nomouse",), **environment):
    game = subprocess.Popen(
        [
            need("chocolate-doom", "chocolate-doom"),
            *("-iwad", "/usr/share/games/doom/freedoom2.wad", "-warp", "1", "-skill", "2"),
            *("-window", "-nosound", *options),
            *("-config", str(config / "default.cfg"), "-extraconfig", str(config / "extra.cfg")),
        ],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: window_opened("chocolate doom"), 20)
    time.sleep(1.5)  # the level fades in
    return game


def window_opened(title):
    return any(title in window.title.lower() for window in list_windows())


def until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"did not happen within {seconds} s")


@pytest.fixture(scope="module")
def doom(xvfb, tmp_path_factory):
    game = start_doom(tmp_path_factory.mktemp("doom"))
    yield game
    game.kill()
    game.wait()


class Recording:
    """`protege record` in a process of its own."""

    def __init__(self, folder, *options, **environment):
        self.out = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "protege.cli", "record", "--out", str(folder), "--name", "s", *options],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def frames(self):
        lines = self.out / "s" / "frames.jsonl"
        return lines.read_bytes().count(b"\n") if lines.exists() else 0

    def wait_for_frames(self, number):
        until(lambda: self.frames() >= number or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.process.communicate()

    def stop(self, sent: signal.Signals | None = signal.SIGINT):
        if sent is not None:
            self.process.send_signal(sent)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err

    def session(self):
        return Session.open(self.out / "s")


def play(keys, seconds, seed=0):
    """Walk about, turning now and then, a new choice every quarter of a second."""
    rng = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        keys.hold(frozenset(rng.sample(["w", "s", "a", "d", "left", "right"], rng.choice([1, 1, 2]))))
        time.sleep(0.25)
    keys.release_all()


def difference(a, b):
    return float(np.abs(a.rgb.astype(int) - b.rgb.astype(int)).mean())


def test_a_real_game_is_recorded_with_a_good_verdict_and_keys_move_the_player(doom, tmp_path):
    recording = Recording(tmp_path, "--window", "chocolate doom")
    keys = RealKeys(KEYBOARD_12)
    time.sleep(2)
    assert not (tmp_path / "s").exists()  # P has not been pressed
    tap("p")
    recording.wait_for_frames(10)
    play(keys, 6)
    tap("p")
    time.sleep(0.5)
    frames = recording.frames()
    time.sleep(0.5)
    assert recording.frames() == frames
    code, out, err = recording.stop()
    assert code == 0, err
    assert "verdict" in out
    assert "good" in out
    assert "about 900 segments" in out
    session = recording.session()
    assert check(session.folder) == []
    assert session.info.verdict == ()
    assert session.info.window is not None
    assert "Chocolate Doom" in session.info.window["title"]
    assert session.frame(0).size == (640, 480)
    assert isinstance(session.events[0], Held)
    assert {e.key for e in session.events if isinstance(e, Key)} <= {"w", "s", "a", "d", "left", "right"}
    held = session.actions()[:, :-1].any(axis=1)
    first = int(np.argmax(held))
    assert held.mean() > 0.4
    standing = difference(session.frame(0), session.frame(max(first - 2, 1)))
    walking = difference(session.frame(first), session.frame(len(session) - 1))
    assert walking > 4 * standing + 4


def test_auto_repeat_is_not_recorded(doom, tmp_path):
    recording = Recording(tmp_path, "--window", "chocolate doom", "--start-now")
    recording.wait_for_frames(3)
    keys = RealKeys(KEYBOARD_12)
    keys.hold(frozenset({"left"}))
    time.sleep(1.5)  # the server repeats a held key from 0.66 s on
    keys.hold(NO_KEYS)
    time.sleep(0.3)
    recording.stop()
    changes = [(e.key, e.down) for e in recording.session().events if isinstance(e, Key)]
    assert changes == [("left", True), ("left", False)]


def test_ctrl_counts_as_c_and_keys_outside_the_space_leave_no_trace(doom, tmp_path):
    recording = Recording(tmp_path, "--window", "chocolate doom", "--start-now")
    recording.wait_for_frames(3)
    for name in ("ctrl", "x", "7"):
        tap(name)
    time.sleep(0.3)
    recording.stop()
    session = recording.session()
    assert [(e.key, e.down) for e in session.events if isinstance(e, Key)] == [("c", True), ("c", False)]
    assert set((session.folder / "events.jsonl").read_text().split('"')) & {"x", "7", "ctrl"} == set()


def test_a_recording_that_is_killed_loses_no_written_frame(doom, tmp_path):
    recording = Recording(tmp_path, "--window", "chocolate doom", "--start-now", "--fps", "30")
    recording.wait_for_frames(20)
    recording.process.kill()
    recording.stop(None)
    session = recording.session()
    assert session.info.status == "recording"
    assert len(session) >= 20
    pictures = len(list((session.folder / "frames").iterdir()))
    assert pictures - len(session) <= 1  # at most the frame being written has no line
    for i in range(len(session)):
        assert session.frame(i).size == (640, 480)
    repair(session.folder)
    assert check(session.folder) == []


def test_sigterm_and_stop_after_close_the_session(doom, tmp_path):
    recording = Recording(tmp_path, "--window", "chocolate doom", "--start-now")
    recording.wait_for_frames(5)
    assert recording.stop(signal.SIGTERM)[0] == 0
    assert recording.session().info.status == "complete"
    timed = Recording(tmp_path / "timed", "--window", "chocolate doom", "--start-now", "--stop-after", "1")
    assert timed.stop(None)[0] == 0
    assert len(timed.session()) == 10
    last = timed.session().events[-1]
    assert isinstance(last, Pause)
    assert last.pause == "stop"


def test_another_size_and_a_region_are_recorded(doom, tmp_path):
    recording = Recording(
        tmp_path, "--window", "chocolate doom", "--start-now", "--stop-after", "0.5", "--size", "320x240",
        "--region", "100,50,400,300",
    )  # fmt: skip
    recording.stop(None)
    assert recording.session().frame(0).size == (320, 240)


def test_a_region_off_the_screen_is_refused(doom, tmp_path):
    code, _, err = Recording(tmp_path, "--window", "chocolate doom", "--region", "5000,5000,640,480").stop(None)
    assert code == 2
    assert "--region 5000,5000,640,480: not on the screen" in err


def test_ctrl_c_before_the_first_frame_leaves_nothing(doom, tmp_path):
    recording = Recording(tmp_path, "--window", "chocolate doom")
    time.sleep(2)
    code, out, err = recording.stop()
    assert code == 0, err
    assert out.strip() == "nothing was recorded"
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(doom, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = Recording(tmp_path / "file", "--window", "chocolate doom", "--start-now").stop(None)
    assert code == 1
    assert "Not a directory" in err.strip().splitlines()[-1]
    assert "defect" not in err


def test_a_recording_in_progress_is_not_repaired_under_the_recorder(doom, tmp_path, run_protege):
    recording = Recording(tmp_path, "--window", "chocolate doom", "--start-now")
    recording.wait_for_frames(5)
    result = run_protege("doctor", "s", "--repair")
    assert result.returncode == 2
    assert "still being recorded" in result.stderr
    recording.stop()
    assert check(tmp_path / "s") == []


def test_the_focused_window_is_recorded_when_none_is_named(doom, tmp_path):
    window = focused_window()
    assert window is not None
    recording = Recording(tmp_path, "--start-now", "--stop-after", "0.3")
    recording.stop(None)
    info = recording.session().info.window
    assert info is not None
    assert info["title"] == window.title


def test_a_window_that_is_not_there_is_an_error_that_lists_those_that_are(doom, tmp_path):
    code, _, err = Recording(tmp_path, "--window", "No Such Game").stop(None)
    assert code == 2
    assert "No Such Game" in err
    assert "Chocolate Doom" in err
    assert len(err.strip().splitlines()) == 1
    with pytest.raises(UserError):
        find_window("No Such Game")


def test_windows_are_listed(doom, run_protege):
    assert "Chocolate Doom" in run_protege("record", "--list-windows").stdout


def test_keys_of_another_space_are_never_pressed(doom):
    keys = RealKeys(KEYBOARD_12)
    with pytest.raises(ValueError, match="never pressed"):
        keys.hold(frozenset({"f12"}))


@pytest.fixture
def own_server(tmp_path):
    """An X server with Doom on it that a test may destroy."""
    from pyvirtualdisplay.display import Display

    before = os.environ.get("DISPLAY")
    display = Display(backend="xvfb", size=(800, 600), extra_args=["-noreset"])
    display.start()
    game = start_doom(tmp_path)
    yield display, game
    game.kill()
    game.wait()
    display.stop()
    if before is not None:
        os.environ["DISPLAY"] = before


def test_a_closed_window_ends_the_recording_with_one_line(own_server, tmp_path):
    _, game = own_server
    recording = Recording(tmp_path / "out", "--window", "chocolate doom", "--start-now")
    recording.wait_for_frames(5)
    game.kill()
    code, out, err = recording.stop(None)
    assert code == 1
    assert "was closed" in err.strip().splitlines()[-1]
    assert "Traceback" not in err
    assert recording.session().info.status == "complete"
    assert "recording:" in out


def test_an_unplugged_display_ends_the_recording_with_one_line(own_server, tmp_path):
    display, _ = own_server
    recording = Recording(tmp_path / "out", "--window", "chocolate doom", "--start-now")
    recording.wait_for_frames(5)
    display.stop()
    code, _, err = recording.stop(None)
    assert code == 1
    assert "display is gone" in err or "no longer be read" in err
    assert "Traceback" not in err
    assert recording.session().info.status == "complete"


def test_a_full_disk_ends_the_recording_with_what_fits(doom, tmp_path):
    """A file system of 600 KB, mounted in a name space of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    copy = tmp_path / "copy"
    script = (
        f"mount -t tmpfs -o size=600k tmpfs {disk} && "
        f"{sys.executable} -m protege.cli record --out {disk} --name s --window 'chocolate doom' --start-now; "
        f"code=$?; cp -r {disk} {copy}; exit $code"
    )
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert "No space left on device" in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
    folder = find_sessions(copy)[0]
    session = Session.open(folder)
    assert session.info.status == "complete"
    assert len(session) > 3
    assert check(folder) == []


@pytest.mark.parametrize("name", ["fr", "ru"])
def test_the_same_keys_are_recorded_under_every_layout(xvfb, tmp_path, name):
    game = GameWindow("Recorded Game")
    hands = Hands()
    subprocess.run([need("setxkbmap", "x11-xkb-utils"), name], check=True, timeout=10)
    try:
        recording = Recording(tmp_path, "--window", "Recorded Game", "--start-now")
        recording.wait_for_frames(3)
        for code in (25, 38, 39, 40):
            hands.press(code)
            hands.release(code)
        time.sleep(0.3)
        recording.stop()
    finally:
        subprocess.run(["setxkbmap", "us"], check=True, timeout=10)
        hands.close()
        game.close()
    events = [(e.key, e.down) for e in recording.session().events if isinstance(e, Key)]
    assert events == [(key, down) for key in "wasd" for down in (True, False)]
