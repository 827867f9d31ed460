"""A person at the keyboard while the control policy plays: the stop key ends it, any other of theirs takes over."""

from contextlib import ExitStack

import pytest

from protege.agent.loop import Heard, World
from protege.commands import features
from protege.controls.bridge import PrintBridge
from protege.controls.websocket import WebSocketBridge
from protege.core.devices import MonotonicClock
from protege.errors import ProtegeError, UserError
from tests.agent.fakes import FakeKeys, FakeScreen
from tests.fakes import FakeClock, FakeWindow


class Person:
    """What was heard since the last call, as a test says."""

    def __init__(self):
        self.events = []

    def heard(self):
        events, self.events = self.events, []
        return events


@pytest.fixture
def opened():
    """A permission over fakes of the devices, the person, and lists of what is lost and who watches."""
    person, lost, watching = Person(), [], [True]
    clock = FakeClock()
    world = World(FakeScreen(clock), FakeKeys(clock), clock, FakeWindow(), person, lambda: lost[0] if lost else None)
    return features.Permission(world, lambda: watching[0]), person, lost, watching


def test_a_persons_key_takes_over_until_they_hand_back(opened):
    may_act, person, _, _ = opened
    assert may_act()
    person.events = [Heard(0, "w")]
    assert not may_act()
    assert not may_act()
    person.events = [Heard(0, "toggle")]
    assert may_act()
    person.events = [Heard(0, "toggle")]
    assert not may_act()


def test_the_stop_key_ends_it(opened):
    may_act, person, _, _ = opened
    person.events = [Heard(0, "stop")]
    with pytest.raises(features.Stopped):
        may_act()


def test_what_it_cannot_do_without_ends_it(opened):
    may_act, _, lost, watching = opened
    watching[0] = False
    with pytest.raises(ProtegeError, match="watchdog that would release the mouse"):
        may_act()
    lost.append("the keyboard can no longer be heard")
    with pytest.raises(ProtegeError, match="keyboard can no longer be heard; nothing is held"):
        may_act()


def test_a_dry_run_and_a_mod_need_no_keyboard():
    with ExitStack() as stack:
        dry = features.FeatureOptions("m.pt", "r.npz", dry_run=True)
        bridge, may_act = features._open(dry, MonotonicClock(), stack, print)
        assert isinstance(bridge, PrintBridge)
        assert may_act()
        mod = features.FeatureOptions("m.pt", "r.npz", bridge="ws://127.0.0.1:1")
        bridge, _ = features._open(mod, MonotonicClock(), stack, print)
        assert isinstance(bridge, WebSocketBridge)
        bridge.close()
    with pytest.raises(UserError, match="--bridge telepathy"):
        features.play_features(features.FeatureOptions("m.pt", "r.npz", bridge="telepathy"), print)
