"""The scripted player, with a fake keyboard and a log that is played back."""

import threading

import pytest

from protege.arena.expert import Expert
from protege.arena.log import Ended, Started, Tic, write_line
from protege.arena.player import LOOKS, PERIOD_NS, play_window
from protege.arena.rooms import layout
from protege.arena.tasks import GOALS
from protege.core.actions import KEYBOARD_12, NO_KEYS

MADE = layout(10_000, GOALS["tree"])
START = Started(0, 0, 10_000, MADE.goal.sentence, "tree", "go_to")
END = Ended(9, 0, 10_000, "success", "tree", None)


class FakeKeys:
    """Remembers what was held."""

    def __init__(self):
        self.log = []
        self.released = 0

    def hold(self, action):
        self.log.append(action)

    def release_all(self):
        self.released += 1


class SteppingClock:
    """Time passes only when somebody sleeps; each whole decision lets the log go on by one line."""

    def __init__(self, stream):
        self.t_ns = 0
        self.stream = stream

    def now_ns(self):
        return self.t_ns

    def sleep_until(self, t_ns):
        self.t_ns = max(self.t_ns, t_ns)
        if self.t_ns % PERIOD_NS == 0:
            self.stream.release()


class Stream:
    """A log whose next line comes only when it is released, as from a running window."""

    def __init__(self, lines):
        self.lines = lines
        self.gate = threading.Semaphore(0)
        self.taken = threading.Semaphore(1)

    def release(self):
        self.gate.release()
        self.taken.acquire(timeout=0.3)

    def __iter__(self):
        self.taken.acquire()
        for line in self.lines:
            self.gate.acquire()
            yield line
            self.taken.release()


def tic(pose):
    buttons = dict.fromkeys(KEYBOARD_12.pressable, False)
    return write_line(Tic(1, buttons, pose.x, pose.y, pose.z, pose.angle_deg, pose.pitch_deg, 0.0))


def there():
    assert MADE.target is not None
    return MADE.start.__class__(MADE.target.x - 60, MADE.target.y)


def play(lines, **limits):
    keys, stream = FakeKeys(), Stream(lines)
    return keys, play_window(stream, keys, SteppingClock(stream), **limits)


def test_it_presses_what_the_expert_says_and_lets_go_on_arrival():
    lines = [write_line(START), *[tic(MADE.start)] * 3, *[tic(there())] * 3, write_line(END)]
    keys, presses = play(lines, episodes=1)
    expected = Expert().act(Tic(1, {}, MADE.start.x, MADE.start.y, 0, MADE.start.angle_deg, 0, 0).state(MADE))
    assert expected in keys.log
    assert {key for _, key, down in presses if down} == expected
    assert keys.log[-1] == NO_KEYS
    assert keys.released == 1


def test_without_the_focus_it_holds_no_key_and_lets_go_within_20_ms():
    lines = [write_line(START), *[tic(MADE.start)] * 30]
    keys, presses = play(lines, seconds=1.0, focused=lambda: False)
    assert set(keys.log) == {NO_KEYS}
    assert not presses
    answers = iter([True, True, True])
    keys, presses = play(lines, seconds=1.0, focused=lambda: next(answers, False))
    (down,) = {t_ns for t_ns, _, down in presses if down}
    (up,) = {t_ns for t_ns, _, down in presses if not down}
    assert up - down == 3 * PERIOD_NS // LOOKS


def test_what_it_returns_replays_to_what_was_held():
    lines = [write_line(START), *[tic(MADE.start)] * 4, *[tic(there())] * 2]
    _, presses = play(lines)
    held = set()
    for t_ns, key, down in presses:
        assert (key in held) != down
        (held.add if down else held.discard)(key)
        assert t_ns % PERIOD_NS == 0
    assert not held


def test_it_stops_after_its_time():
    keys, _ = play([write_line(START), *[tic(MADE.start)] * 30], seconds=1.0)
    assert len(keys.log) == 11


def test_a_broken_log_is_an_error_and_releases_every_key():
    keys, stream = FakeKeys(), Stream([write_line(START), tic(MADE.start), tic(MADE.start), "nonsense\n"])
    with pytest.raises(ValueError, match="not a line of the arena's log"):
        play_window(stream, keys, SteppingClock(stream), seconds=60)
    assert keys.log[-1] == NO_KEYS
    assert keys.released == 1
