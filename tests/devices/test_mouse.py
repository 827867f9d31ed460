"""The mouse heard on a real X server, and counts of which none is lost."""

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.core.events import Key
from protege.devices import x11
from protege.devices.keyboard import KeyListener
from protege.devices.mouse import Whole, summed
from protege.devices.pointer import XPointer
from tests.devices.hands import until

NAMES = frozenset(("w", "mouse_left", "mouse_right", "wheel_up", "wheel_down"))


class Heard:
    """What a listener tells, in order."""

    def __init__(self):
        self.events = []
        self.moved_by = [0, 0]

    def key(self, name, down, t_ns):
        self.events.append(Key(t_ns, name, down))

    def take(self, listener):
        for motion in listener.motion():
            self.events.append(motion)
            self.moved_by[0] += motion.dx
            self.moved_by[1] += motion.dy
        return self.moved_by


@pytest.fixture
def pointer(xvfb):
    made = XPointer()
    yield made
    made.release_all()
    made.close()


@pytest.fixture
def heard(pointer):
    return Heard()


def click(number):
    from Xlib import X
    from Xlib.ext import xtest

    display = x11.open_display()
    for kind in (X.ButtonPress, X.ButtonRelease):
        xtest.fake_input(display, kind, number)
    display.sync()
    display.close()


def test_every_count_is_heard_also_at_the_edge_of_the_screen(pointer, heard):
    rng = random.Random(0)
    pointer.place(0, 0)
    with KeyListener(NAMES, heard.key, motion=True) as listener:
        sent = [0, 0]
        for _ in range(300):
            dx, dy = rng.randint(-30, 5), rng.randint(-30, 30)
            pointer.move(dx, dy)
            sent = [sent[0] + dx, sent[1] + dy]
        until(lambda: heard.take(listener) == sent)
    assert heard.moved_by == sent
    times = [event.t_ns for event in heard.events]
    assert times == sorted(times)


def test_buttons_and_the_wheel_are_keys(pointer, heard):
    pointer.hold(frozenset(("left",)))
    with KeyListener(NAMES, heard.key) as listener:
        assert listener.held == listener.down_now() == {"mouse_left"}
        pointer.hold(frozenset(("right", "middle")))
        until(lambda: listener.held == {"mouse_right"})
        assert listener.down_now() == {"mouse_right"}
        pointer.move(5, 5)
        assert listener.motion() == []  # nobody asked for it
        for number in (4, 5, 5, 6):
            click(number)
        until(lambda: len(heard.events) >= 8)
        assert listener.alive
    told = [(event.key, event.down) for event in heard.events]
    notches = [(name, down) for name in ("wheel_up", "wheel_down", "wheel_down") for down in (True, False)]
    assert sorted(told[:2]) == [("mouse_left", False), ("mouse_right", True)]
    assert told[2:] == notches


def test_motion_has_the_time_at_which_it_was_moved_however_late_it_is_asked_for(pointer, heard):
    with KeyListener(NAMES, heard.key, motion=True) as listener:
        before = time.perf_counter_ns()
        pointer.move(3, 0)
        after = time.perf_counter_ns()
        time.sleep(0.3)
        until(lambda: heard.take(listener)[0] == 3)
    # The server counts in milliseconds.
    assert before - 1_000_000 <= heard.events[0].t_ns <= after


def test_motion_of_less_than_five_milliseconds_is_one():
    moves = [(t_us * 1000, 1, -1) for t_us in range(0, 20_000, 1000)]
    told = summed(moves, Whole())
    assert sum(motion.dx for motion in told) == 20
    assert sum(motion.dy for motion in told) == -20
    times = [-1, *(motion.t_ns for motion in told)]
    assert all(0 < later - earlier < 5_000_000 for earlier, later in itertools.pairwise(times))
    assert len(told) == 5


def test_without_a_mouse_in_the_names_none_is_heard(pointer, heard):
    with KeyListener(frozenset("w"), heard.key) as listener:
        pointer.move(5, 5)
        click(1)
        assert listener.down_now() == frozenset()
    assert heard.events == []


@given(
    st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40))), st.sampled_from([1, 256, 2**32])
)
def test_parts_of_a_count_are_carried(moves, parts):
    whole, told = Whole(parts), [0, 0]
    for dx, dy in moves:
        whole.add(dx, dy)
        counts = whole.take()
        told = [told[0] + counts[0], told[1] + counts[1]]
    for axis in (0, 1):
        left = sum(move[axis] for move in moves) - told[axis] * parts
        assert abs(left) < parts
