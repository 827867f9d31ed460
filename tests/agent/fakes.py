"""A world for the loop in which time, keys, window, pictures and the person are what a test says."""

import numpy as np

from protege.agent.loop import Heard, World
from protege.agent.worker import Prediction
from protege.core import NO_KEYS, Frame, Plan
from tests.fakes import FakeClock, FakeWindow

W, LEFT, W_LEFT = frozenset("w"), frozenset(("left",)), frozenset(("w", "left"))
DONE = Plan((NO_KEYS,) * 7)


class FakeKeys:
    def __init__(self, clock):
        self.clock = clock
        self.held = NO_KEYS
        self.log = []  # (ms, key, down)
        self.released = 0

    def hold(self, action):
        for key in sorted(self.held ^ action):
            self.log.append((round(self.clock.now_ns() / 1e6), key, key in action))
        self.held = action

    def release_all(self):
        self.hold(NO_KEYS)
        self.released += 1


class FakeScreen:
    def __init__(self, clock):
        self.clock = clock
        self.times = []

    def grab(self):
        self.times.append(round(self.clock.now_ns() / 1e6))
        return Frame(np.zeros((48, 64, 3), np.uint8), self.clock.now_ns())

    def close(self):
        pass


class FakeHuman:
    """events: what happens at which millisecond."""

    def __init__(self, clock, events=()):
        self.clock = clock
        self.events = [Heard(round(ms * 1e6), what, down) for ms, what, down in events]

    def heard(self):
        now = self.clock.now_ns()
        due = [event for event in self.events if event.t_ns <= now]
        self.events = self.events[len(due) :]
        return due


class Script:
    """A policy that gives plans (or raises errors) one after another, the last one for ever."""

    def __init__(self, *plans):
        self.plans = list(plans)
        self.asked = []

    def predict(self, frame, goal):
        self.asked.append((round(frame.t_ns / 1e6), goal))
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        if isinstance(plan, BaseException):
            raise plan
        return plan if isinstance(plan, Plan) else Plan(tuple(plan))

    def warm_up(self):
        pass


class SlowWorker:
    """Takes `latency_ms` of the fake clock for every prediction."""

    def __init__(self, policy, clock, latency_ms):
        self.policy, self.clock, self.latency_ns = policy, clock, round(latency_ms * 1e6)
        self.ready = None

    @property
    def busy(self):
        return self.ready is not None and self.clock.now_ns() < self.ready[0]

    def ask(self, frame, goal):
        assert not self.busy
        self.ready = (self.clock.now_ns() + self.latency_ns, frame.t_ns, goal, self.policy.predict(frame, goal))

    def answer(self):
        from protege.agent.worker import Prediction

        if self.ready is None or self.busy:
            return None
        at, t_ns, goal, plan = self.ready
        self.ready = None
        return Prediction(plan, goal, t_ns, at - t_ns)

    def close(self):
        pass


class Setting:
    """Everything `play` takes, with the clock at 0."""

    def __init__(self, *plans, latency_ms=5.0, human=()):
        self.clock = FakeClock(0)
        self.keys = FakeKeys(self.clock)
        self.screen = FakeScreen(self.clock)
        self.window = FakeWindow()
        self.human = FakeHuman(self.clock, human)
        self.policy = Script(*plans)
        self.worker = SlowWorker(self.policy, self.clock, latency_ms)
        self.world = World(self.screen, self.keys, self.clock, self.window, self.human)


class InstantWorker:
    """Thinks while it is asked."""

    def __init__(self, policy, clock):
        self._policy = policy
        self._clock = clock
        self._prediction = None
        self.busy = False

    def ask(self, frame, goal):
        plan = self._policy.predict(frame, goal)
        self._prediction = Prediction(plan, goal, frame.t_ns, self._clock.now_ns() - frame.t_ns)

    def answer(self):
        prediction, self._prediction = self._prediction, None
        return prediction

    def close(self):
        """Nothing runs."""
