"""The live loop: at every slot's deadline hold its keys, later in the slot look and think. It knows only protocols."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from protege.agent.listener import Listener, Slot
from protege.agent.stats import MARGIN_NS, LoopStats
from protege.agent.worker import Prediction, Worker
from protege.core.actions import NO_KEYS, Action
from protege.core.devices import Clock, Keys, Screen, Window
from protege.core.events import AGENT, HUMAN, Motion
from protege.core.looking import BUTTONS
from protege.core.plan import HORIZON
from protege.errors import ProtegeError, UserError

DONE_IN_A_ROW = 2
CHECK_NS = 5_000_000
"""So long before a slot's deadline the window and the person are asked about: on a busy machine that takes a while."""


MOTION = "motion"
"""What a person did who moved the mouse."""


class Ending(StrEnum):
    """Why a run ended by itself."""

    REACHED = "the model thinks it is done"
    REPLAYED = "all of it was pressed"
    STOPPED = "stopped by hand"
    TIME = "time is up"


@dataclass(frozen=True)
class Heard:
    """What a person did: a key or button of the action space, what = "stop" or "toggle" for the hot keys, or `MOTION`
    of so many counts (right, down), where `down` says whether it takes over.
    """

    t_ns: int
    what: str
    down: bool = True
    counts: tuple[int, int] = (0, 0)


class Human(Protocol):
    """Hears the person at the keyboard and the mouse, never what the agent does with them."""

    def heard(self) -> list[Heard]:
        """What happened since the last call, in order."""
        ...


class Goals(Protocol):
    """Where goals come from."""

    def asked(self) -> str | None:
        """A goal that was asked for since the last call."""
        ...

    def reached(self, goal: str) -> bool:
        """A goal is reached; whether another may be asked for."""
        ...


@dataclass(frozen=True)
class LoopOptions:
    """period_ns: of a slot; execute: slots of a plan to play before the next one; horizon: of the plans;
    max_s: longest duration.
    """

    period_ns: int = 100_000_000
    execute: int = 1
    horizon: int = HORIZON
    max_s: float = 600.0

    def __post_init__(self) -> None:
        if not 1 <= self.execute <= self.horizon:
            raise UserError(f"--execute {self.execute}: expected 1 to {self.horizon} slots of a plan")
        if not 0 < self.max_s <= 24 * 3600:
            raise UserError(f"--max-minutes {self.max_s / 60:g}: expected more than 0 and at most a day")


@dataclass(frozen=True)
class World:
    """The devices. lost: what has died that the run cannot do without (watchdog, listener), None while all is well;
    hindered: why nothing may be held for the moment, "" when it may; move, moved: of a space with a mouse, moves it by
    counts right and down, and tells how the agent has moved it since this was last asked.
    """

    screen: Screen
    keys: Keys
    clock: Clock
    window: Window
    human: Human
    lost: Callable[[], str | None] = lambda: None
    hindered: Callable[[], str] = lambda: ""
    move: Callable[[int, int], None] = lambda right, down: None
    moved: Callable[[], Sequence[Motion]] = list


@contextmanager
def released_after(keys: Keys) -> Iterator[None]:
    """However the block is left, every key is up afterwards."""
    try:
        yield
    finally:
        keys.release_all()


def play(
    world: World,
    worker: Worker,
    goals: Goals,
    options: LoopOptions,
    listeners: Sequence[Listener] = (),
    stats: LoopStats | None = None,
) -> Ending:
    """Play until the goals are reached, a person stops it, or time is up; raises what the devices and policy raise.

    stats: counted up while it plays.
    """
    with released_after(world.keys):
        loop = _Loop(world, worker, goals, options, listeners, stats or LoopStats())
        while loop.ending is None:
            loop.act()
            loop.look()
        loop.finish()
        return loop.ending


@dataclass
class _Loop:
    """One run. Slot n is due at `origin + n * period`; a plan's step k is for the time k periods after its frame."""

    world: World
    worker: Worker
    goals: Goals
    options: LoopOptions
    listeners: Sequence[Listener]
    stats: LoopStats
    ending: Ending | None = None

    def __post_init__(self) -> None:
        self._goal: str | None = None
        self._by = AGENT
        self._focused = True
        self._obstacle = ""
        self._hindered = ""
        self._prediction: Prediction | None = None
        self._arrived: Prediction | None = None
        self._starved = False
        self._done = 0
        self._number = 0
        self._asked = -self.options.horizon
        self._origin_ns = self._since_ns = self.world.clock.now_ns()
        self._tell(lambda to: to.control(self._origin_ns, AGENT))

    def act(self) -> None:
        """At the slot's deadline: hold what the newest plan has for this slot, or nothing."""
        self.world.clock.sleep_until(self._deadline_ns - CHECK_NS)
        self._check()
        self.world.clock.sleep_until(self._deadline_ns)
        prediction, self._arrived = self.worker.answer() or self._arrived, None
        if prediction is not None and prediction.goal == self._goal and prediction.t_ns >= self._since_ns:
            self._adopt(prediction)
        action, step = self._due()
        self._tell_moved()
        self.world.keys.hold(action)
        now = self.world.clock.now_ns()
        self.stats.acted(now - self._deadline_ns)
        seen = Slot(
            self._number, self._deadline_ns, now, action, self._prediction, step, self._by, self._goal, self._waiting
        )  # fmt: skip
        self._tell(lambda to: to.slot(seen))

    def look(self) -> None:
        """Later in the slot, so that the plan is ready for the next deadline: take a picture and think about it."""
        period = self.options.period_ns
        lead = min(max(self.stats.lead_ns % period, MARGIN_NS), period)
        self.world.clock.sleep_until(self._deadline_ns + period - lead)
        self._check()
        if self._waiting:
            self.world.keys.hold(NO_KEYS)
        if self._focused and self.ending is None:
            frame = self.world.screen.grab()
            self._tell(lambda to: to.frame(frame))
            if not self._waiting and self._goal is not None and not self.worker.busy and self._is_due_to_think():
                self._asked = self._number
                self._arrived = self.worker.answer() or self._arrived  # the next one would take its place
                self.worker.ask(frame, self._goal)
        behind = (self.world.clock.now_ns() - self._deadline_ns) // period
        self.stats.skipped_slots += max(0, behind - 1)
        self._number += max(1, behind)

    def finish(self) -> None:
        self._tell_moved()
        self.world.keys.hold(NO_KEYS)
        self._end_goal(str(self.ending))

    @property
    def _deadline_ns(self) -> int:
        return self._origin_ns + self._number * self.options.period_ns

    @property
    def _waiting(self) -> str:
        """Why the agent holds nothing now; "" when it may."""
        if self.ending is not None:
            return str(self.ending)
        if not self._focused:
            return self._obstacle or "another window has the focus"
        if self._hindered:
            return self._hindered
        if self._by == HUMAN:
            return "you play"
        return "" if self._goal is not None else "no goal"

    def _tell(self, what: Callable[[Listener], None]) -> None:
        for listener in self.listeners:
            what(listener)

    def _drop_plan(self) -> None:
        """Discard the current and any in-flight plan."""
        self._prediction, self._starved, self._done = None, False, 0
        self._asked = self._number - self.options.horizon
        self._since_ns = self.world.clock.now_ns()

    def _check(self) -> None:
        """What must be known before keys are held: the window, the person, the time, the goal."""
        if (lost := self.world.lost()) is not None:
            raise ProtegeError(f"{lost}; the agent stopped")
        now = self.world.clock.now_ns()
        self._tell_moved()
        if (hindered := self.world.hindered()) != self._hindered:
            self._hindered = hindered
            self._drop_plan()
        state = self.world.window.state()
        focused, self._obstacle = state.focused, state.obstacle
        regained = focused and not self._focused
        if focused != self._focused:
            self._focused = focused
            self._drop_plan()
            self._tell(lambda to: to.focus(now, focused))
        for heard in self.world.human.heard():
            # The click that gave the game the focus, and the way there, are no play.
            if not (regained and heard.what in (MOTION, *BUTTONS)):
                self._hear(heard)
        if now - self._origin_ns >= self.options.max_s * 1e9:
            self.ending = Ending.TIME
        if (goal := self.goals.asked()) is not None and self.ending is None:
            self._end_goal("changed")
            self._begin(goal)

    def _hear(self, heard: Heard) -> None:
        if heard.what == "stop":
            self.ending = Ending.STOPPED
        elif heard.what == "toggle":
            self._hand_over(heard.t_ns, HUMAN if self._by == AGENT else AGENT)
        elif heard.what == MOTION:
            self._hear_motion(heard)
        elif self._by == AGENT and heard.what in BUTTONS and not heard.down:
            pass  # the end of such a click
        elif self._focused:  # what is typed into other windows is none of our business
            if self._by == AGENT:
                self._hand_over(heard.t_ns, HUMAN)
            self._tell(lambda to: to.human_key(heard.t_ns, heard.what, heard.down))

    def _hear_motion(self, heard: Heard) -> None:
        if not self._focused:
            return
        if self._by == AGENT and heard.down:
            self._hand_over(heard.t_ns, HUMAN)
        if self._by == HUMAN:
            self._tell(lambda to: to.motion(Motion(heard.t_ns, *heard.counts)))

    def _tell_moved(self) -> None:
        """How the agent has moved the mouse, before what comes after it."""
        for motion in self.world.moved():
            self._tell(lambda to, motion=motion: to.motion(motion))

    def _hand_over(self, t_ns: int, by: str) -> None:
        self._by = by
        self._drop_plan()
        self.world.keys.hold(NO_KEYS)
        self._tell(lambda to: to.control(t_ns, by))

    def _begin(self, goal: str) -> None:
        self._goal = goal
        self._drop_plan()
        now = self.world.clock.now_ns()
        self._tell(lambda to: to.goal(now, goal))

    def _end_goal(self, how: str) -> None:
        """No goal from here on; does nothing where there was none."""
        goal, self._goal = self._goal, None
        if goal is not None:
            now = self.world.clock.now_ns()
            self._tell(lambda to: to.goal_ended(now, goal, how))

    def _adopt(self, prediction: Prediction) -> None:
        """A new plan: its slots that have passed are dropped; reached is what it says twice in a row."""
        if (steps := len(prediction.plan.steps)) != self.options.horizon:
            raise ProtegeError(f"the policy's plan has {steps} steps, expected {self.options.horizon}; no key is held")
        step = self._step(prediction)
        self.stats.predicted(prediction.latency_ns)
        self.stats.dropped_slots += min(step, len(prediction.plan.steps))
        if self._starved or step >= len(prediction.plan.steps):
            self.stats.late_plans += 1
        self._prediction, self._starved = prediction, False
        self._done = self._done + 1 if prediction.plan.done else 0
        if self._done >= DONE_IN_A_ROW and self._goal is not None:
            reached = self._goal
            self._drop_plan()
            self._end_goal("success")
            if not self.goals.reached(reached):
                self.ending = Ending.REACHED

    def _step(self, prediction: Prediction) -> int:
        """Which step of a plan is for this slot: the one that shares most of its time."""
        return max(0, round((self._deadline_ns - prediction.t_ns) / self.options.period_ns))

    def _due(self) -> tuple[Action, int]:
        """The keys of this slot and the step they come from; none where the plan has run out."""
        if self._waiting or self._prediction is None:
            return NO_KEYS, 0
        step = self._step(self._prediction)
        if step < len(self._prediction.plan.steps):
            return self._prediction.plan.steps[step], step
        self._starved = True
        self.stats.empty_slots += 1
        return NO_KEYS, step

    def _is_due_to_think(self) -> bool:
        """Whether enough of the plan is played. Asking so late that it would run out meanwhile is never enough."""
        passed = round(self.stats.lead_ns / self.options.period_ns)
        interval = max(1, min(self.options.execute, self.options.horizon - passed))
        return self._number - self._asked >= interval
