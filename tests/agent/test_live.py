"""Playing through real keys on a real X server: every promise of safety, and what a run leaves on disk."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from protege.agent.baselines import ConstantPolicy, RandomPolicy, ScriptedPolicy
from protege.agent.human import HumanKeys
from protege.agent.run import Played, PlayOptions, play_game, replay_game
from protege.agent.sequence import execute_action_sequence
from protege.agent.stuck import StuckOptions
from protege.core import KEYBOARD_12, NO_KEYS, MonotonicClock, Plan, Session
from protege.core.events import Control, End, Goal, Key
from protege.core.session import check
from protege.devices.errors import WindowGone
from protege.devices.keyboard import RealKeys
from protege.errors import ProtegeError, UserError
from tests.agent.target import TITLE
from tests.recorder.test_live import difference, start_doom, until

ROOT = Path(__file__).parents[2]
SPACE = KEYBOARD_12


class Run:
    """`play_game` in a thread."""

    def __init__(self, folder, policy, **options):
        self.folder = folder
        self.said: list[str] = []
        self.played: Played | None = None
        self.error: Exception | None = None
        defaults = {"goal": "Go", "window": TITLE, "countdown_s": 0.0, "max_minutes": 1.0, "out": folder}
        self._options = PlayOptions(**{**defaults, **options})
        self._policy = policy
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self.played = play_game(self._options, self._policy, say=self.said.append)
        except Exception as error:
            self.error = error

    def join(self):
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self

    @property
    def result(self):
        assert self.played is not None, self.error
        return self.played

    def session(self):
        return Session.open(next(self.folder.glob("*/session.json")).parent)


def down():
    from protege.devices import x11_keys

    return frozenset(x11_keys.keys_down(SPACE.pressable))


def holds(*keys):
    until(lambda: down() == frozenset(keys), 20)


def stop(target, run):
    target.type("F12")
    run.join()
    assert down() == NO_KEYS


W = frozenset("w")


class Failing(ConstantPolicy):
    """Walks, and fails once somebody says so."""

    broken = False

    def predict(self, frame, goal):
        if self.broken:
            raise RuntimeError("CUDA out of memory")
        return super().predict(frame, goal)


def test_the_stop_key_ends_the_run_and_releases_every_key(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy())
    holds("w")
    stop(target, run)
    assert run.error is None
    assert str(run.result.ending) == "stopped by hand"
    session = run.session()
    assert check(session.folder) == []
    assert [type(e) for e in session.events if not isinstance(e, Key)][:3:2] == [type(session.events[0]), Goal]
    assert session.info.extra["numbers"]["decisions"] > 0


def test_a_lost_focus_mid_hold_releases_every_key_and_playing_goes_on_when_it_is_back(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy())
    holds("w")
    target.focus(1)
    holds()
    time.sleep(0.5)
    assert down() == NO_KEYS
    target.focus(0)
    holds("w")
    stop(target, run)


@contextmanager
def agent_py(folder, *options, **popen):
    """The root command in a process of its own, in front of the target."""
    command = [sys.executable, str(ROOT / "agent.py"), "--goal", "Go", "--countdown", "0", "--out", str(folder)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so do theirs
    with subprocess.Popen(
        [*command, *options], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen
    ) as agent:
        try:
            yield agent
        finally:
            agent.kill()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_agent_that_is_sent_away_leaves_no_key_down(target, tmp_path, sent):
    """Killed, it leaves its keys to the watchdog; asked to go (Ctrl-C, a closed terminal), it closes its run."""
    options = ("--model", "majority", "--window", TITLE)
    with agent_py(tmp_path, *options) as agent:
        holds("w")
        agent.send_signal(sent)
        out, err = agent.communicate(timeout=30)
        holds()
    if sent != signal.SIGKILL:
        assert (agent.returncode, "ended: stopped by hand" in out) == (0, True), err
        assert Session.open(next(tmp_path.glob("*/session.json")).parent).info.status == "complete"


def test_an_exception_in_the_policy_mid_hold_releases_every_key_and_is_one_line(target, tmp_path):
    policy = Failing()
    run = Run(tmp_path, policy)
    holds("w")
    policy.broken = True
    run.join()
    assert isinstance(run.error, ProtegeError)
    assert "CUDA out of memory" in str(run.error)
    assert down() == NO_KEYS
    assert run.session().info.status == "complete"


def test_a_closed_window_mid_hold_releases_every_key(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy())
    holds("w")
    target.windows[0].destroy()
    target.display.sync()
    run.join()
    assert isinstance(run.error, WindowGone)
    assert down() == NO_KEYS
    target.windows.pop(0)


def test_the_longest_duration_ends_the_run(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy(), max_minutes=1.5 / 60).join()
    assert str(run.result.ending) == "time is up"
    assert down() == NO_KEYS


def test_a_key_outside_the_space_is_never_pressed(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy(frozenset(("f5",)))).join()
    assert isinstance(run.error, ProtegeError)
    assert "never pressed" in str(run.error)
    assert down() == NO_KEYS


def test_nothing_is_pressed_until_the_window_has_the_focus(target, tmp_path):
    target.focus(1)
    run = Run(tmp_path, ConstantPolicy())
    until(lambda: run.said, 20)
    assert run.said == [f"click into {TITLE!r}"]
    time.sleep(0.4)
    assert down() == NO_KEYS
    target.focus(0)
    holds("w")
    stop(target, run)


def test_a_window_that_never_gets_the_focus_is_a_mistake_in_words(target, tmp_path):
    target.focus(1)
    run = Run(tmp_path, ConstantPolicy(), focus_s=0.3).join()
    assert isinstance(run.error, UserError)
    assert "did not get the focus within 0.3 s" in str(run.error)
    assert down() == NO_KEYS


def test_a_dry_run_presses_nothing_and_shows_what_it_would_press_over_the_picture(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy(), dry_run=True, max_minutes=2 / 60)
    until(lambda: list(tmp_path.glob("*/live.jpg")), 20)
    seen = set(down())
    target.type("Left")  # one's own keys are one's own
    while run.played is None and run.error is None:
        seen |= down()
        time.sleep(0.05)
    run.join()
    assert not seen
    assert run.result.stats.decisions > 3
    assert not [e for e in run.session().events if isinstance(e, Control) and e.by == "human"]


def test_a_sequence_is_pressed_and_let_go_of(target):
    heard = []

    class Noted(RealKeys):
        def hold(self, action):
            super().hold(action)
            heard.append(down())

    execute_action_sequence(["w", "w+right", "none", "space"], Noted(SPACE), MonotonicClock(), SPACE, 50_000_000)
    assert heard == [{"w"}, {"w", "right"}, NO_KEYS, {"space"}]
    assert down() == NO_KEYS
    with pytest.raises(ValueError, match="not in the action space"):
        execute_action_sequence(["w", "f5"], Noted(SPACE), MonotonicClock(), SPACE)
    assert down() == NO_KEYS


def test_a_run_is_replayed_with_its_keys(target, tmp_path):
    steps = [frozenset(keys) for keys in [("w",)] * 4 + [("w", "right")] * 3 + [()] * 2]
    run = Run(tmp_path / "run", ScriptedPolicy(steps), max_minutes=2 / 60).join()
    recorded = run.session()
    pressed = [(e.key, e.down) for e in recorded.events if isinstance(e, Key)]
    assert len(pressed) >= 4
    with HumanKeys(SPACE, {}) as listener:  # to it, the replaying process is a person
        code = (
            "from pathlib import Path\n"
            "from protege.agent.run import replay_game\n"
            f"replay_game(Path({str(recorded.folder)!r}), {TITLE!r}, 0)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=30)
        time.sleep(0.2)
        assert [(h.what, h.down) for h in listener.heard()] == pressed
    assert down() == NO_KEYS


def test_a_replay_stops_when_a_person_presses_a_key(target, tmp_path):
    run = Run(tmp_path / "run", ConstantPolicy(), max_minutes=4 / 60).join()
    ended = []
    replaying = threading.Thread(target=lambda: ended.append(replay_game(run.session().folder, TITLE, 0)))
    replaying.start()
    holds("w")
    target.type("Left")
    replaying.join(20)
    assert [str(ending) for ending in ended] == ["stopped by hand"]
    assert down() == NO_KEYS


def test_show_keeps_a_picture_with_the_keys_on_it(target, tmp_path):
    run = Run(tmp_path, ConstantPolicy(), show=True, max_minutes=1.5 / 60).join()
    from PIL import Image

    with Image.open(run.session().folder / "live.jpg") as picture:
        assert picture.size == (320, 240)


class DoneSoon(RandomPolicy):
    """Plays until it has been asked often enough, then says done."""

    def __init__(self, asked):
        super().__init__()
        self.left = asked

    def predict(self, frame, goal):
        self.left -= 1
        return super().predict(frame, goal) if self.left > 0 else Plan((NO_KEYS,) * 7)


def test_a_goal_that_is_reached_ends_the_run_and_says_so(target, tmp_path):
    run = Run(tmp_path, DoneSoon(10)).join()
    assert str(run.result.ending) == "the model thinks it is done"
    assert down() == NO_KEYS
    assert [e.end for e in run.session().events if isinstance(e, End)] == ["success"]


def test_goals_of_a_file_follow_one_another(target, tmp_path):
    (tmp_path / "goals.txt").write_text("Go to the lantern\nOpen the door\n")
    run = Run(tmp_path / "runs", DoneSoon(5), goal=None, goals=tmp_path / "goals.txt").join()
    assert str(run.result.ending) == "the model thinks it is done"
    goals = [e.goal for e in run.session().events if isinstance(e, Goal)]
    assert goals == ["Go to the lantern", "Open the door"]


class Hot(ConstantPolicy):
    """Walks on, and can be told to try other things."""

    temperature = 0.0


def test_a_run_that_gets_nowhere_samples_until_something_moves(target, tmp_path):
    policy = Hot()
    run = Run(tmp_path, policy, unstick=True, stuck=StuckOptions(still_s=0.5))
    until(lambda: policy.temperature == 1.0, 20)
    target.paint()
    until(lambda: policy.temperature == 0.0, 20)
    stop(target, run)
    assert str(run.result.ending) == "stopped by hand"


def test_chocolate_doom_is_driven_by_agent_py_and_its_goal_changed_by_typing(xvfb, tmp_path):
    """A real game, the real command, real keys, a terminal to type in."""
    game = start_doom(tmp_path)
    terminal, inside = pty.openpty()
    options = ("--model", "scripted", "--window", "chocolate doom", "--max-minutes", "0.2")
    try:
        with agent_py(tmp_path, *options, stdin=inside) as agent:
            holds("w")
            os.write(terminal, b"Open the door\n")
            out, err = agent.communicate(timeout=90)
        assert (agent.returncode, out.splitlines()[0]) == (0, "ended: time is up"), err
        assert down() == NO_KEYS
        session = Session.open(next(tmp_path.glob("*/session.json")).parent)
        assert check(session.folder) == []
        assert session.events[-1].t_ns - session.events[0].t_ns > 11e9
        assert [e.goal for e in session.events if isinstance(e, Goal)] == ["Go", "Open the door"]
        assert {e.key for e in session.events if isinstance(e, Key)} == {"w", "a", "left", "right"}
        quarters = [session.frame(len(session) * n // 4) for n in range(4)]
        assert min(difference(a, b) for a, b in pairwise(quarters)) > 8  # it gets about all the while
    finally:
        game.kill()
        game.wait()
        os.close(terminal)
        os.close(inside)
