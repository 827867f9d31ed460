"""python -m bench live: does the loop keep its deadlines and let go of its keys, on a real X server?"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from bench import live_safety
from protege.agent.baselines import ScriptedPolicy
from protege.agent.goals import GoalList
from protege.agent.human import HumanKeys
from protege.agent.listener import Listener, Slot
from protege.agent.loop import Heard, Human, play
from protege.agent.run import SWITCH_S, PlayOptions, real_world
from protege.agent.stats import LoopStats
from protege.agent.vision import VisionAgent
from protege.agent.worker import ThreadWorker
from protege.arena import stage
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action
from protege.core.devices import MonotonicClock
from protege.core.frame import Frame
from protege.core.plan import HORIZON, Plan, Policy
from protege.devices import x11, x11_keys
from protege.errors import ProtegeError
from protege.evaluation.figures import Figure
from protege.vlm.tiny import copy_base

TITLE: Final = "Protege Bench"
_HELD: Final = ((("w",), 9), (("w", "left"), 4), (("left",), 3), ((), 1), (("d", "w"), 5), (("space",), 1))
PATTERN: Final = tuple(frozenset(keys) for keys, slots in _HELD for _ in range(slots))
FAST_S: Final = 0.06
SLOW_S: Final = 0.9
KEYS: Final = KEYBOARD_12.pressable


class TimedPolicy:
    """Another policy, which takes so many seconds to think."""

    def __init__(self, policy: Policy, seconds: float) -> None:
        self._policy = policy
        self._seconds = seconds

    def predict(self, frame: Frame, goal: str) -> Plan:
        time.sleep(self._seconds)
        return self._policy.predict(frame, goal)

    def warm_up(self) -> None:
        """Nothing to warm up."""


class Slots(Listener):
    """Keeps what every slot held."""

    def __init__(self) -> None:
        self.actions: list[Action] = []

    def slot(self, slot: Slot) -> None:
        self.actions.append(slot.action)


class Deadline:
    """Ends a run after a while; implements `loop.Human`."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def end(self) -> None:
        self._end = 0.0

    def heard(self) -> list[Heard]:
        return [Heard(0, "stop")] if time.monotonic() > self._end else []


def run(seconds: float = 60.0, kills: int = 5, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """Timing with a quick and with a slow policy, what a killed or frozen agent leaves held, layouts and takeovers."""
    with stage.own_display(), target() as window:
        say(f"a policy of {FAST_S * 1e3:g} ms for {seconds:g} s")
        fast, ups, held = _timed(FAST_S, seconds)
        say(f"a policy of {SLOW_S * 1e3:g} ms for {seconds / 3:g} s")
        slow, slow_ups, slow_held = _timed(SLOW_S, seconds / 3)
        safety = live_safety.released(TITLE, kills, 4 * kills, say)
        safety += live_safety.layouts(window, _handed, seconds, say)
    stats, slow_stats = fast.to_json(), slow.to_json()
    p99, spurious, at_end = stats["deadline_p99_ms"], ups + slow_ups, [*held, *slow_held]
    missed = slow.late_plans
    return [
        Figure("deadline_p99_ms", p99, f"{p99:.1f} ms of {fast.slots} slots", "≤ 15 ms", p99 <= 15),
        Figure("deadline_p50_ms", stats["deadline_p50_ms"], f"{stats['deadline_p50_ms']:.2f} ms"),
        Figure("spurious_releases", spurious, str(spurious), "0", spurious == 0),
        Figure("held_at_end", len(at_end), " ".join(at_end) or "nothing", "nothing", not at_end),
        Figure("decisions_per_s", round(fast.decisions / seconds, 2), f"{fast.decisions / seconds:.1f}"),
        Figure("late_plans", fast.late_plans, str(fast.late_plans)),
        Figure("late_plans_slow", missed, f"{missed} of {slow.decisions}", "counted", missed > 0),
        Figure("deadline_p99_ms_slow", slow_stats["deadline_p99_ms"], f"{slow_stats['deadline_p99_ms']:.1f} ms"),
        *safety,
    ]  # fmt: skip


def reaction(
    model: str | Path | None = None, changes: int = 40, say: Callable[[str], None] = lambda text: None
) -> list[Figure]:
    """From a change on the screen to the key: a real model decodes every frame, and the key follows the brightness.

    model: None for the tiny base that comes with protege (what it says does not matter here, what it costs does).
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protege-bench-")))
        agent = VisionAgent(model or copy_base(folder / "tiny"))
        stack.enter_context(stage.own_display())
        window = stack.enter_context(target())
        say(f"{changes} changes of the picture")
        taken, stats = _reactions(agent, window, changes)
    ms = np.array(taken) * 1e3
    p50, p99 = float(np.percentile(ms, 50)), float(np.percentile(ms, 99))
    thinking = stats.to_json()["latency_p50_ms"]
    return [
        Figure("reaction_p50_ms", round(p50, 1), f"{p50:.0f} ms ({thinking:.0f} ms of it thinking, slots of 100 ms)"),
        Figure("reaction_p99_ms", round(p99, 1), f"{p99:.0f} ms of {len(taken)} changes"),
    ]


class Brightness:
    """Holds W while the picture is bright; the agent thinks about every frame meanwhile."""

    def __init__(self, agent: VisionAgent) -> None:
        self._agent = agent

    def predict(self, frame: Frame, goal: str) -> Plan:
        self._agent.predict(frame, goal)
        return Plan((frozenset("w") if frame.rgb.mean() > 128 else frozenset("s"),) * HORIZON)

    def warm_up(self) -> None:
        self._agent.warm_up()


def _reactions(agent: VisionAgent, window: "Target", changes: int) -> tuple[list[float], LoopStats]:
    """Seconds from each change to the key that answers it."""
    rng = random.Random(0)
    policy = Brightness(agent)
    policy.warm_up()
    heard: list[tuple[float, str]] = []
    stop = Deadline(3600)
    stats = LoopStats()
    taken: list[float] = []
    with _playing(policy, stop, [], stats) as ear:
        bright = False
        for _ in range(changes):
            time.sleep(rng.uniform(0.5, 0.9))
            bright = not bright
            changed = time.monotonic()
            window.paint(bright)
            key = "w" if bright else "s"
            while not any(name == key and at >= changed for at, name in heard):
                heard += [(event.t_ns / 1e9, event.what) for event in ear.heard() if event.down]
                if time.monotonic() > changed + 10:
                    raise ProtegeError("no key answered a change of the picture within 10 s")
                time.sleep(0.001)
            taken.append(min(at for at, name in heard if name == key and at >= changed) - changed)
        stop.end()
    return taken, stats


def _timed(think_s: float, seconds: float) -> tuple[LoopStats, int, list[str]]:
    """The loop's statistics, how many releases were heard beyond those of the slots, and the keys that stay down."""
    slots, stats = Slots(), LoopStats()
    policy = TimedPolicy(ScriptedPolicy(PATTERN), think_s)
    with _playing(policy, Deadline(seconds), [slots], stats) as ear:
        time.sleep(seconds)
    heard = ear.heard()
    ups = sum(not event.down for event in heard)
    pairs = zip(slots.actions, [*slots.actions[1:], NO_KEYS], strict=True)
    expected = sum(len(held - after) for held, after in pairs)
    return stats, max(0, ups - expected), sorted(x11_keys.keys_down(KEYS))


@contextmanager
def _playing(
    policy: Policy, human: Human, listeners: Sequence[Listener], stats: LoopStats, person: bool = False
) -> Iterator[HumanKeys]:
    """The loop in a thread with real devices; yields an ear that hears every key it presses. Ends when `human` says.

    person: whether the real keyboard is heard, too.
    """
    errors: list[Exception] = []
    options = PlayOptions(goal="Go", window=TITLE, countdown_s=0, max_minutes=60)
    clock = MonotonicClock()

    def work() -> None:
        with ExitStack() as stack:
            world = real_world(options, clock, stack, lambda text: None)
            world = replace(world, human=Both(world.human, human) if person else human)
            worker = ThreadWorker(policy, clock)
            stack.callback(worker.close)
            try:
                play(world, worker, GoalList(["Go"]), options.loop(10), listeners, stats)
            except ProtegeError as error:
                errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    ear = HumanKeys(KEYBOARD_12, {})
    thread = threading.Thread(target=work)
    try:
        with ear:
            thread.start()
            yield ear
            thread.join(30)
            time.sleep(0.2)  # the last releases are on their way to the ear
    finally:
        sys.setswitchinterval(before)
    if errors:
        raise errors[0]


@contextmanager
def _handed(
    policy: Policy, seconds: float | None, listeners: Sequence[Listener], stats: LoopStats
) -> Iterator[Callable[[], None]]:
    """As `_playing`, but whoever presses plays. Ends after `seconds`, or when what it yields is called."""
    end = Deadline(3600 if seconds is None else seconds)
    with _playing(policy, end, listeners, stats, person=True):
        yield end.end


class Both:
    """A real person, and the end of the run; implements `loop.Human`."""

    def __init__(self, person: Human, end: Human) -> None:
        self._person, self._end = person, end

    def heard(self) -> list[Heard]:
        return [*self._person.heard(), *self._end.heard()]


class Target:
    """A window that has the keyboard and is black or white."""

    def __init__(self) -> None:
        from Xlib import X

        self._display = x11.open_display()
        screen = self._display.screen()
        self._colors = (screen.black_pixel, screen.white_pixel)
        self._window = screen.root.create_window(
            *(100, 100, 640, 480, 0, screen.root_depth, X.InputOutput),
            background_pixel=screen.black_pixel,
            event_mask=X.KeyPressMask,
        )
        self._window.set_wm_name(TITLE)
        self._window.map()
        self._window.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self._gc = self._window.create_gc()
        self._display.sync()

    def paint(self, bright: bool) -> None:
        self._gc.change(foreground=self._colors[bright])
        self._window.fill_rectangle(self._gc, 0, 0, 640, 480)
        self._display.sync()

    def codes(self) -> list[int]:
        """The keycodes of the presses that reached it since the last call."""
        from Xlib import X

        events = [self._display.next_event() for _ in range(self._display.pending_events())]
        return [event.detail for event in events if event.type == X.KeyPress]

    def close(self) -> None:
        self._window.destroy()
        self._display.close()


@contextmanager
def target() -> Iterator[Target]:
    window = Target()
    try:
        yield window
    finally:
        window.close()
