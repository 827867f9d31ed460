"""The window on a real X server, played through real key events."""

import itertools
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from protege.arena.engine import ARENA_MOUSE
from protege.arena.expert import Expert
from protege.arena.log import Ended, Opened, Started, Tic, read_lines
from protege.arena.player import PERIOD_NS, play_window
from protege.arena.window import main, parse_size
from protege.core.actions import KEYBOARD_12
from protege.core.devices import MonotonicClock
from protege.core.looking import look
from protege.devices.guard import Guard
from protege.devices.hand import Hand
from protege.devices.keyboard import RealKeys
from protege.devices.watchdog import Watchdog
from protege.devices.windows import find_window, list_windows
from protege.devices.x11 import XWindow
from protege.errors import UserError

DEGREES_PER_COUNT = look().degrees_per_count
pytestmark = pytest.mark.usefixtures("xvfb")


@contextmanager
def window(tmp_path, *options):
    """The window's process, and the stream of its log; it is gone afterwards."""
    command = [sys.executable, "-m", "protege.arena.window", "--size", "320x240", "--log", "-", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_the_scripted_player_wins_with_real_keys_and_the_log_says_what_the_engine_saw(tmp_path):
    with window(tmp_path, "--seed", "5000", "--episodes", "2") as process:
        assert process.stdout is not None
        stream, lines = iter(process.stdout), []

        def copied():
            for line in stream:
                lines.append(line)
                yield line

        presses = play_window(copied(), RealKeys(KEYBOARD_12), MonotonicClock(), seconds=60)
        assert process.wait(20) == 0
        log = list(read_lines(lines))
    assert isinstance(log[0], Opened)
    assert log[0].title.startswith("Protege Arena - ")
    assert [line.seed for line in log if isinstance(line, Started)] == [5_000, 5_001]
    assert [line.end for line in log if isinstance(line, Ended)] == ["success", "success"]
    tics = [line for line in log if isinstance(line, Tic)]
    seen = {key for line in tics for key, down in line.buttons.items() if down}
    assert seen == {key for _, key, _ in presses}
    assert all(a.t_ns < b.t_ns for a, b in itertools.pairwise(tics))
    assert not list(tmp_path.iterdir())


def test_every_key_reaches_its_button(tmp_path):
    with window(tmp_path, "--seed", "5000") as process:
        assert process.stdout is not None
        log = read_lines(process.stdout)
        assert isinstance(next(log), Opened)
        keys = RealKeys(KEYBOARD_12)
        try:
            for key in KEYBOARD_12.pressable:
                keys.hold(frozenset((key,)))
                tics = (line for line in log if isinstance(line, Tic))
                buttons = next(t.buttons for _, t in zip(range(70), tics, strict=False) if t.buttons[key])
                assert [name for name, down in buttons.items() if down] == [key]
                keys.release_all()
                next(t for _, t in zip(range(70), tics, strict=False) if not any(t.buttons.values()))
        finally:
            keys.release_all()


def test_a_mouse_that_really_moves_turns_the_view_by_its_counts_and_a_player_wins_with_it(tmp_path):
    clock = MonotonicClock()
    with window(tmp_path, "--mouse", "--seed", "5000", "--episodes", "1") as process:
        assert process.stdout is not None
        stream, lines = iter(process.stdout), []

        def copied():
            for line in stream:
                lines.append(line)
                yield line

        with Watchdog(ARENA_MOUSE) as watchdog:
            hand = Hand(ARENA_MOUSE, clock, PERIOD_NS)
            guard = Guard(hand, watchdog, clock)
            play_window(copied(), guard, guard, seconds=60, expert=Expert(space=ARENA_MOUSE))
            counts = sum(motion.dx for motion in guard.moved())
            hand.close()
        assert process.wait(20) == 0
    log = list(read_lines(lines))
    assert [line.end for line in log if isinstance(line, Ended)] == ["success"]
    tics = [line for line in log if isinstance(line, Tic)]
    assert set(tics[0].buttons) == set(ARENA_MOUSE.pressable)
    turned = sum((a.angle_deg - b.angle_deg + 180) % 360 - 180 for a, b in itertools.pairwise(tics))
    assert counts
    assert turned == pytest.approx(counts * DEGREES_PER_COUNT, abs=3.0)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, "closed"])
def test_it_ends_cleanly_and_keeps_its_log(tmp_path, end):
    with window(tmp_path, "--goal", "Open the door") as process:
        assert process.stdout is not None
        log = read_lines(process.stdout)
        assert isinstance(next(log), Opened)
        assert isinstance(next(log), Started)
        assert isinstance(next(log), Tic)
        found = find_window("protege arena")
        assert found.title == "Protege Arena - Open the door"
        assert (found.state().rect.width, found.state().focused) == (320, True)
        found.close()
        if end == "closed":
            subprocess.run(["xdotool", "search", "--name", "Protege Arena", "windowkill"], check=True)
        else:
            process.send_signal(end)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in errors
    assert not [w for w in list_windows() if "Protege Arena" in w.title]


def test_an_engine_that_hangs_when_its_window_is_closed_is_ended(tmp_path):
    with window(tmp_path, "--goal", "Open the door") as process:
        assert process.stdout is not None
        opened = next(read_lines(process.stdout))
        assert isinstance(opened, Opened)
        made = XWindow(opened.window or 0, "")
        made.state()
        engine = engine_of(process.pid)
        os.kill(engine, signal.SIGSTOP)  # as one that waits for itself at its end
        made._display.create_resource_object("window", made.id).kill_client()
        made._display.sync()
        _, errors = process.communicate(timeout=30)
        made.close()
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert not Path(f"/proc/{engine}").exists()


def engine_of(pid):
    children = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for line in children for child in line.read_text().split()]
    return next(child for child in found if b"vizdoom" in Path(f"/proc/{child}/cmdline").read_bytes())


def test_mistakes_are_one_line_and_exit_code_2(capsys):
    assert main(["--goal", "Fly away"]) == 2
    assert capsys.readouterr().err.startswith("protege: the arena has no goal 'Fly away'")
    assert main(["--size", "big"]) == 2
    assert "such as 640x480, got 'big'" in capsys.readouterr().err


def test_a_size_is_two_numbers():
    assert parse_size("640x480") == (640, 480)
    with pytest.raises(UserError, match="640x480"):
        parse_size("640")
