"""Playing with a mouse through a real X server: what is moved and clicked, what stops it, and what a run records."""

import threading
import time
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pytest

from protege.agent.baselines import ConstantPolicy, ScriptedPolicy
from protege.agent.goals import GoalList
from protege.agent.listener import Listener
from protege.agent.loop import LoopOptions, play
from protege.agent.run import PlayOptions, real_world, replay_game, run_recorder
from protege.agent.vision import VisionOptions
from protege.agent.worker import ThreadWorker
from protege.core.actions import ActionSpace
from protege.core.devices import MonotonicClock
from protege.core.events import Control, Key, Motion
from protege.core.looking import look
from protege.core.session import Session, check
from protege.devices.backends import open_hook
from protege.devices.x11_moving import buttons_down
from protege.errors import ProtegeError
from tests.agent.target import TITLE
from tests.agent.test_live import Run
from tests.recorder.test_live import until

LOOK = look()
SPACE = ActionSpace("MOUSE", ("w", "mouse_left", "wheel_up", "none"), look=LOOK)
TURN = frozenset(("w", "mouse_left", "yaw6"))


class Hook:
    """What somebody else hears of the mouse."""

    def __init__(self):
        self.events = []
        self.hook = open_hook(lambda event: None, None, self.events.append)
        self.hook.start()

    def moved(self):
        self.hook.down()
        return sum(event.dx for event in self.events)


@pytest.fixture
def heard(target):
    made = Hook()
    yield made
    made.hook.stop()


def run(folder, policy, **options):
    return Run(folder, policy, vision=VisionOptions(space=SPACE), **options)


def push(target, dx, dy=0, times=1):
    """A person moves the mouse."""
    from Xlib import X
    from Xlib.ext import xtest

    for _ in range(times):
        xtest.fake_input(target.display, X.MotionNotify, True, x=dx, y=dy)
        target.display.sync()


def click(target, *downs):
    from Xlib import X
    from Xlib.ext import xtest

    for down in downs:
        xtest.fake_input(target.display, X.ButtonPress if down else X.ButtonRelease, 1)
        target.display.sync()


def stands_still(heard):
    before = heard.moved()
    time.sleep(0.3)
    return heard.moved() == before


def stop(target, running):
    target.type("F12")
    running.join()
    assert buttons_down() == set()


class Slots(Listener):
    """Keeps what every slot held, and since when."""

    def __init__(self):
        self.slots = []

    def slot(self, slot):
        self.slots.append(slot)


def play_listened(folder, policy, seconds):
    """A run as `play_game` makes it; its slots, and its recording."""
    slots, clock = Slots(), MonotonicClock()
    options = PlayOptions(goal="Go", window=TITLE, countdown_s=0, out=folder, vision=VisionOptions(space=SPACE))
    with ExitStack() as stack:
        world = real_world(options, clock, stack, lambda text: None)
        worker = ThreadWorker(policy, clock)
        stack.callback(worker.close)
        recorder = run_recorder(options, world, 10)
        loop = LoopOptions(max_s=seconds)
        play(world, worker, GoalList(["Go"]), loop, [recorder, slots])
        recorder.finish(clock.now_ns(), {})
    return slots.slots, Session.open(recorder.writer.folder)


def test_a_run_records_what_it_moved_and_pressed_in_the_bins_of_its_plan(target, heard, tmp_path):
    steps = [frozenset(x) for x in [("w", "yaw4"), ("yaw-3", "pitch2"), ("mouse_left", "yaw6"), (), ("wheel_up",)]]
    slots, session = play_listened(tmp_path, ScriptedPolicy(steps * 4), 2.5)
    assert check(session.folder) == []
    motions = [event for event in session.events if isinstance(event, Motion)]
    assert sum(event.dx for event in motions) == heard.moved()
    turned = 0
    for slot, after in pairwise(slots):
        if after.t_ns - slot.t_ns < 92_000_000:  # cut short, since this machine is busy: it has moved its share
            continue
        moved = [(m.dx, m.dy) for m in motions if slot.t_ns < m.t_ns <= after.t_ns]
        counts = np.array(moved or [(0, 0)]).sum(axis=0, keepdims=True)
        assert SPACE.turned(counts) == [slot.action & symbols()]
        turned += bool(moved)
    assert turned >= 5
    notches = [event.down for event in session.events if isinstance(event, Key) and event.key == "wheel_up"]
    assert notches.count(True) == notches.count(False) == sum("wheel_up" in slot.action for slot in slots)


def symbols():
    return frozenset(LOOK.yaw.symbols) | frozenset(LOOK.pitch.symbols)


def test_a_persons_hand_on_the_mouse_takes_over_at_once_and_its_motion_is_recorded(target, heard, tmp_path):
    running = run(tmp_path, ConstantPolicy(TURN))
    until(lambda: buttons_down() == {"mouse_left"} and heard.moved() > 100, 20)
    push(target, 30, times=3)
    until(lambda: not buttons_down(), 5)
    assert stands_still(heard)
    push(target, -7, 3)
    time.sleep(0.2)
    stop(target, running)
    session = running.session()
    assert [event.by for event in session.events if isinstance(event, Control)] == ["agent", "human"]
    taken = next(event.t_ns for event in session.events if isinstance(event, Control) and event.by == "human")
    assert [(e.dx, e.dy) for e in session.events if isinstance(e, Motion) and e.t_ns >= taken][-1] == (-7, 3)


def test_a_knock_against_the_mouse_takes_nothing_over(target, heard, tmp_path):
    running = run(tmp_path, ConstantPolicy(TURN))
    until(lambda: heard.moved() > 100, 20)
    push(target, 5, -5)
    time.sleep(0.4)
    assert buttons_down() == {"mouse_left"}
    stop(target, running)
    assert [event.by for event in running.session().events if isinstance(event, Control)] == ["agent"]


def test_a_persons_click_takes_over(target, heard, tmp_path):
    running = run(tmp_path, ConstantPolicy(frozenset(("w", "yaw6"))))
    until(lambda: heard.moved() > 100, 20)
    click(target, True)
    time.sleep(0.3)
    assert stands_still(heard)
    click(target, False)
    stop(target, running)
    events = running.session().events
    assert [event.by for event in events if isinstance(event, Control)] == ["agent", "human"]
    assert [(e.key, e.down) for e in events if isinstance(e, Key)][-2:] == [("mouse_left", True), ("mouse_left", False)]


def test_without_the_focus_nothing_is_moved_or_clicked(target, heard, tmp_path):
    running = run(tmp_path, ConstantPolicy(TURN))
    until(lambda: buttons_down() == {"mouse_left"} and heard.moved() > 100, 20)
    target.focus(1)
    time.sleep(0.03)
    assert stands_still(heard)
    assert buttons_down() == set()
    push(target, 50, times=2)  # elsewhere the mouse is the person's own, and so is the click that comes back
    click(target, True)
    target.focus(0)
    time.sleep(0.15)
    click(target, False)
    before = heard.moved()
    until(lambda: heard.moved() > before + 50, 5)
    stop(target, running)
    assert [event.by for event in running.session().events if isinstance(event, Control)] == ["agent"]


def test_buttons_that_are_never_pressed_are_neither_pressed_nor_hidden(target, heard, tmp_path):
    running = run(tmp_path, ConstantPolicy(TURN), never=frozenset(("mouse_left",)))
    until(lambda: heard.moved() > 200, 20)
    assert buttons_down() == set()
    stop(target, running)
    assert not [event for event in heard.events if event.button and event.down]


def test_a_dry_run_moves_nothing_and_a_persons_mouse_is_their_own(target, heard, tmp_path):
    running = run(tmp_path, ConstantPolicy(TURN), dry_run=True, max_minutes=1 / 60)
    push(target, 50, times=2)
    running.join()
    assert heard.moved() == 100
    assert not [event for event in running.session().events if isinstance(event, Control) and event.by == "human"]


def test_a_run_with_a_mouse_is_replayed_to_the_count(target, heard, tmp_path):
    steps = [frozenset(x) for x in [("w", "yaw4"), ("yaw-3", "pitch2"), ("mouse_left", "yaw6"), ("wheel_up",)]]
    running = run(tmp_path, ScriptedPolicy(steps * 4), max_minutes=1.5 / 60).join()
    session = running.session()
    before = len(heard.events)
    heard.moved()
    first = [(e.button, e.down) for e in heard.events if e.button]
    moved = heard.moved(), sum(event.dy for event in heard.events)
    heard.events.clear()
    assert before
    assert str(replay_game(session.folder, TITLE, 0)) == "all of it was pressed"
    assert (heard.moved(), sum(event.dy for event in heard.events)) == moved
    assert [(e.button, e.down) for e in heard.events if e.button] == first
    assert buttons_down() == set()


def test_a_replay_stops_when_a_person_moves_the_mouse(target, heard, tmp_path):
    running = run(tmp_path / "run", ConstantPolicy(TURN), max_minutes=3 / 60).join()
    ended = []
    replaying = threading.Thread(target=lambda: ended.append(replay_game(running.session().folder, TITLE, 0)))
    heard.events.clear()
    replaying.start()
    until(lambda: heard.moved() > 100, 20)
    push(target, -30, times=3)
    replaying.join(20)
    assert [str(ending) for ending in ended] == ["stopped by hand"]
    assert buttons_down() == set()


def test_an_action_outside_the_space_is_never_pressed(target, heard, tmp_path):
    running = run(tmp_path, ConstantPolicy(frozenset(("mouse_right",)))).join()
    assert isinstance(running.error, ProtegeError)
    assert "never pressed" in str(running.error)
    assert buttons_down() == set()
