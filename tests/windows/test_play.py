"""Playing on Windows: real processes, windows and keys."""

# pyright: reportAttributeAccessIssue=false

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from protege.core.events import Control, Key
from protege.core.session import Session, check
from protege.devices.places import PLACES, places_of
from protege.devices.win32_keys import Win32Presser
from tests.windows.conftest import console_behind, until

BY_ID = {place.id: place for place in PLACES}
W = (BY_ID["w"].scan, False)


@pytest.fixture
def play(protege, target, tmp_path):
    """`protege play` with a policy that holds w for ever, once it holds it."""

    def start(*args):
        command = protege(
            *("play", "--model", "majority", "--goal", "Go", "--window", target.title, "--countdown", "0"),
            *("--max-minutes", "1", "--out", tmp_path / "runs", *args),
        )
        until(lambda: target.held() == {W} or command.process.poll() is not None, 40)
        assert command.process.poll() is None, command.err
        return command

    return start


def recorded(tmp_path):
    (folder,) = (tmp_path / "runs").iterdir()
    return Session.open(folder)


def test_the_stop_key_ends_a_run_and_nothing_is_held(play, target, hands, tmp_path):
    run = play()
    hands.tap("f12")
    assert run.join() == 0, run.err
    assert "stopped by hand" in run.out
    until(lambda: not target.held())
    session = recorded(tmp_path)
    assert not check(session.folder)
    assert len(session) > 0
    assert any(event.key == "w" and event.down for event in session.events if isinstance(event, Key))


@pytest.mark.parametrize("key", ["w", "d", "right"])
def test_a_persons_key_takes_over_also_the_one_that_the_agent_holds(play, target, hands, tmp_path, key):
    run = play()
    hands.press(key)
    until(lambda: "you play" in run.err)
    hands.release(key)
    until(lambda: not target.held())
    time.sleep(0.5)
    assert not target.held()  # it stays the person's turn
    hands.tap("p")
    until(lambda: target.held() == {W})
    hands.tap("f12")
    assert run.join() == 0, run.err
    assert [event.by for event in recorded(tmp_path).events if isinstance(event, Control)] == [
        "agent",
        "human",
        "agent",
    ]


def test_keys_that_a_remote_control_injects_take_over(play, target):
    run = play()
    remote = Win32Presser()  # this process is not the agent's
    remote.press(BY_ID["d"])
    until(lambda: "you play" in run.err)
    remote.release(BY_ID["d"])
    until(lambda: not target.held())
    remote.press(BY_ID["f12"])
    remote.release(BY_ID["f12"])
    assert run.join() == 0, run.err


def test_nothing_is_pressed_into_another_window(play, target, game, hands):
    run = play()
    other = game("Elsewhere", place=(500, 80, 300, 200))
    time.sleep(0.6)
    hands.tap("d")  # typed elsewhere: none of its business
    d = (BY_ID["d"].scan, False)
    until(lambda: (*d, False) in other.presses())
    assert [press for press in other.presses() if press[2]] == [(*d, True)]  # w was released there, not pressed
    time.sleep(0.6)
    target.focus()
    until(lambda: target.held() == {W}, about=lambda: run.err)
    hands.tap("f12")
    assert run.join() == 0, run.err
    assert "you play" not in run.err


def test_a_killed_agents_keys_are_released(play, target):
    run = play()
    run.process.kill()
    until(lambda: not target.held(), 5)
    assert (*W, False) in target.presses()


def test_a_suspended_agents_keys_are_released(play, target):
    run = play()
    agent = psutil.Process(run.process.pid)
    agent.suspend()
    until(lambda: not target.held(), 5)
    agent.resume()
    # It goes on, or ends in words where a busy machine kept the watchdog from answering.
    until(lambda: target.held() == {W} or run.process.poll() is not None, about=lambda: run.err)
    assert "stood still" in run.err or "does not answer" in run.err


def test_ctrl_c_in_the_console_ends_a_run_cleanly(target, tmp_path):
    """It reaches every process of the console, so the watchdog must have another one."""
    helper = Path(__file__).with_name("in_console.py")
    args = ["play", "--model", "majority", "--goal", "Go", "--window", target.title, "--countdown", "0"]
    process = subprocess.Popen(
        [sys.executable, str(helper), str(tmp_path), *args, "--out", str(tmp_path / "runs")],
        **console_behind(),
    )
    until((tmp_path / "err").exists)
    target.focus()
    until(lambda: target.held() == {W} or process.poll() is not None, 60)
    (tmp_path / "go").touch()
    process.wait(60)
    until(lambda: not target.held())
    assert (tmp_path / "code").read_text() == "0", (tmp_path / "err").read_text(encoding="utf-8")
    assert "stopped by hand" in (tmp_path / "out").read_text(encoding="utf-8")
    assert recorded(tmp_path).info.status == "complete"


def test_a_replay_presses_what_was_recorded(play, target, hands, protege, tmp_path):
    run = play("--execute", "2")
    time.sleep(0.5)
    hands.tap("f12")
    assert run.join() == 0, run.err
    before = len(target.presses())
    replay = protege("replay", recorded(tmp_path).folder, "--window", target.title, "--countdown", "0")
    assert replay.join() == 0, replay.err
    assert "all of it was pressed" in replay.out
    until(lambda: (*W, True) in target.presses()[before:])
    until(lambda: not target.held())


def test_a_dry_run_presses_nothing_and_keeps_its_picture(protege, target, hands, tmp_path):
    run = protege(
        *("play", "--model", "majority", "--goal", "Go", "--window", target.title, "--countdown", "0"),
        *("--dry-run", "--show", "--out", tmp_path / "runs", "--max-minutes", "1"),
    )
    picture = until(lambda: next(tmp_path.glob("runs/*/live.jpg"), None), 40)
    with picture.open("rb"):  # a viewer that has it open: a frame of the preview is dropped, the run goes on
        time.sleep(1)
        assert run.process.poll() is None
    hands.tap("f12")
    assert run.join() == 0, run.err
    assert not target.presses() or {key[0] for key in target.presses()} == {places_of("f12")[0].scan}
