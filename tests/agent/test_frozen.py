"""Nothing stays down: an agent that stands still, or is killed with all that belongs to it, has its keys released."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from protege.agent.baselines import ConstantPolicy
from protege.agent.worker import ThreadWorker
from protege.core import KEYBOARD_12, Frame, MonotonicClock, Session
from protege.core.events import Control
from protege.devices.keyboard import RealKeys
from protege.devices.watchdog import Watchdog
from protege.errors import ProtegeError
from tests.agent.test_live import TITLE, Run, down
from tests.devices.hands import GameWindow, until
from tests.devices.servers import x_server

AGENT = """
import re, sys
from pathlib import Path
from protege.agent.baselines import ConstantPolicy
from protege.agent.run import PlayOptions, play_game
class Policy(ConstantPolicy):
    asked = 0
    def predict(self, frame, goal):
        self.asked += 1
        if {busy} and self.asked > 5:
            self.asked = -100
            re.match("(a+)+$", "a" * 27 + "b")  # holds the interpreter for seconds
        return super().predict(frame, goal)
options = PlayOptions(goal="Go", window={title!r}, countdown_s=0, out=Path(sys.argv[1]), max_minutes={seconds} / 60)
play_game(options, Policy(frozenset(("w", "left"))))
"""


@pytest.fixture
def game(xvfb):
    made = GameWindow(TITLE)
    RealKeys(KEYBOARD_12).close()  # lets go of whatever the test before left down
    yield made
    made.close()


@pytest.fixture
def agent(game, tmp_path):
    """Starts an agent in a session of its own that holds w and left; returns its process."""
    started = []

    def start(busy=False, seconds=60):
        code = AGENT.format(title=TITLE, busy=busy, seconds=seconds)
        command = [sys.executable, "-c", code, str(tmp_path)]
        started.append(subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True))
        until(lambda: down() == {"w", "left"}, 30)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def watchdogs_of(process):
    """Watchdogs that are the process's children."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], check=False, capture_output=True, text=True)
    return found.stdout.split()


def test_a_stopped_agents_keys_are_released_and_it_goes_on_when_it_is_continued(agent, tmp_path):
    process = agent(seconds=4)
    for _ in range(2):
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: not down(), 5)
        time.sleep(0.3)
        assert not down()
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: down() == {"w", "left"}, 10)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "the agent stood still for" in err
    session = Session.open(next(tmp_path.glob("*/session.json")).parent)
    assert {event.by for event in session.events if isinstance(event, Control)} == {"agent"}  # nobody took over


def test_a_policy_that_holds_the_interpreter_does_not_hold_the_keys(agent):
    process = agent(busy=True)
    until(lambda: not down(), 10)
    start = time.monotonic()
    while time.monotonic() < start + 0.5:
        assert not down()  # not a flicker: the interpreter is held still
    assert process.poll() is None


def test_an_agent_that_is_killed_with_its_group_and_children_leaves_no_key_down(agent):
    process = agent()
    assert watchdogs_of(process) == []
    os.killpg(process.pid, signal.SIGKILL)
    until(lambda: not down(), 5)


def test_a_stopped_watchdog_is_noticed_nothing_is_held_and_the_run_ends_in_words(game, tmp_path):
    run = Run(tmp_path, ConstantPolicy(), max_minutes=0.5)
    until(lambda: down() == {"w"})
    stopped = [int(pid) for pid in subprocess.check_output(["pgrep", "-f", "protege.devices.watchdog w s a"]).split()]
    mine = [pid for pid in stopped if display_of(pid) == os.environ["DISPLAY"]]
    assert len(mine) == 1
    os.kill(mine[0], signal.SIGSTOP)
    until(lambda: not down(), 5)
    run.join()
    assert isinstance(run.error, ProtegeError)
    assert "does not answer" in str(run.error)
    assert not down()


def display_of(pid):
    environ = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
    return next(entry.removeprefix("DISPLAY=") for entry in environ if entry.startswith("DISPLAY="))


def test_a_watchdog_ignores_what_is_sent_to_everybody_and_ends_with_the_pipe(xvfb):
    with Watchdog(KEYBOARD_12) as watchdog:
        assert os.getsid(watchdog.pid) != os.getsid(0)
        assert os.getpgid(watchdog.pid) != os.getpgid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(watchdog.pid, number)
        time.sleep(0.3)
        assert watchdog.alive
    assert not watchdog.alive


class Leaves(ConstantPolicy):
    def __init__(self, *, at_once):
        super().__init__()
        self.at_once = at_once
        self.asked = 0

    def warm_up(self):
        if self.at_once:
            sys.exit(0)

    def predict(self, frame, goal):
        self.asked += 1
        if self.asked > 3:
            sys.exit(0)
        return super().predict(frame, goal)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_policy_that_ends_the_program_ends_the_run_in_words(game, tmp_path, at_once):
    run = Run(tmp_path, Leaves(at_once=at_once)).join()
    assert isinstance(run.error, ProtegeError)
    assert "ended itself (SystemExit: 0)" in str(run.error)
    assert not down()


def test_a_thinker_says_what_ended_its_policy():
    policy = Leaves(at_once=False)
    policy.asked = 3
    worker = ThreadWorker(policy, MonotonicClock())
    worker.ask(Frame(np.zeros((8, 8, 3), np.uint8), 0), "Go")
    worker._thread.join(5)
    with pytest.raises(ProtegeError, match="ended itself"):
        worker.answer()
    assert not [thread for thread in threading.enumerate() if thread.name == "policy" and thread is worker._thread]


@pytest.mark.parametrize("command", ["play", "record"])
def test_a_display_that_is_gone_is_one_line_and_no_traceback(command, tmp_path, monkeypatch):
    with x_server("Xvfb", "xvfb", "-noreset") as (server, name):
        game = GameWindow(TITLE, name=name)
        monkeypatch.setenv("DISPLAY", name)
        options = {
            "play": ["--model", "repeat", "--goal", "Go", "--countdown", "0", "--out", str(tmp_path)],
            "record": ["--start-now", "--out", str(tmp_path)],
        }[command]
        process = subprocess.Popen(
            [sys.executable, "-m", "protege.cli", command, "--window", TITLE, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: len(list(tmp_path.glob("*/frames/*"))) > 5, 60)
        server.kill()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "Traceback" not in err + out
        assert "Exception" not in err + out
        last = err.strip().splitlines()[-1]
        assert last.startswith("protege: ")
        assert "display" in last or "screen" in last or "keyboard" in last
        for closing in (game.display.close,):
            with contextlib.suppress(Exception):
                closing()
