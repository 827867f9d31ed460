"""`protege play` and `protege replay`: the loop with the real screen, keyboard and window."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from protege.agent.goals import goal_source, read_goals
from protege.agent.human import HumanKeys
from protege.agent.listener import Listener
from protege.agent.loop import Ending, LoopOptions, World, play
from protege.agent.record import SOURCE, RunRecorder
from protege.agent.sequence import replay
from protege.agent.stats import LoopStats
from protege.agent.status import Picture, Status
from protege.agent.stuck import StuckDetector, StuckOptions
from protege.agent.vision import VisionOptions
from protege.agent.worker import ThreadWorker, ended
from protege.core.actions import NO_KEYS, NONE, Action, ActionSpace
from protege.core.card import Trained
from protege.core.devices import Clock, MonotonicClock, Window
from protege.core.frame import Frame
from protege.core.paths import agent_runs
from protege.core.plan import FRAME_HZ, Policy, Sampling
from protege.core.session import Session, SessionInfo, SessionWriter
from protege.devices.ending import interruptible
from protege.devices.guard import Guard
from protege.devices.hand import Hand, has_mouse
from protege.devices.keyboard import RealKeys, check_names
from protege.devices.screen import MssScreen
from protege.devices.turns import short_turns
from protege.devices.watchdog import Watchdog
from protege.devices.windows import find_window, focused_window, may_have_changed
from protege.errors import ProtegeError, UserError

UNWATCHED_S: Final = 2.0
"""A run ends when its watchdog has not answered for so long; nothing is held meanwhile."""
NOT_WATCHED: Final = "the watchdog does not answer"
LOOK_NS: Final = 50_000_000
"""So often all that keeps the mouse from moving is asked for."""
SWITCH_S: Final = 0.001
"""How long the thinking thread may keep the interpreter from the acting one; Python's own 5 ms make slots late."""


@dataclass(frozen=True)
class PlayOptions:
    """model: the policy's name, kept with the run; goals: a file, one a line; window: part of the game's title, None
    for the window that has the focus when the countdown ends; execute: slots of a plan to play before the next;
    dry_run: press nothing, and show; show: keep live.jpg in the run's folder; unstick: sample when stuck; focus_s: wait
    so long for the game's focus; stop_key ends, toggle_key takes over and hands back; record: keep the run as Session;
    never: keys that are not pressed, whatever the model says; tasks: goals to do one after the other where neither goal
    nor goals is given.
    """

    model: str = "models/gameplay_agent_lora"
    goal: str | None = None
    goals: Path | None = None
    window: str | None = None
    execute: int = 1
    max_minutes: float = 10.0
    dry_run: bool = False
    show: bool = False
    record: bool = True
    unstick: bool = False
    countdown_s: float = 3.0
    focus_s: float = 60.0
    stop_key: str = "f12"
    toggle_key: str = "p"
    out: Path | None = None
    never: Action = NO_KEYS
    tasks: tuple[str, ...] = ()
    stuck: StuckOptions = field(default_factory=StuckOptions)
    vision: VisionOptions = field(default_factory=VisionOptions)

    def __post_init__(self) -> None:
        if self.goal is None and self.goals is None and not self.tasks:
            raise UserError('give a goal: --goal "Go to the lantern", or --goals FILE')
        check_names("--stop-key, --toggle-key", (self.stop_key, self.toggle_key))
        for key in (self.stop_key, self.toggle_key):
            if key in self.vision.space.pressable:
                raise UserError(f"key {key!r} is one the agent presses; choose another as stop or toggle key")
        if self.show and not self.record:
            raise UserError("--show keeps its picture in the run's folder, which --no-record leaves out; choose one")
        if self.stop_key == self.toggle_key:
            raise UserError(f"stop key and toggle key are both {self.stop_key!r}; choose two keys")
        self.loop(FRAME_HZ)  # its options are checked before anything is loaded

    def loop(self, frame_hz: float, horizon: int = 0) -> LoopOptions:
        horizon = max(horizon, self.vision.horizon)
        return LoopOptions(round(1e9 / frame_hz), self.execute, horizon, self.max_minutes * 60)


@dataclass(frozen=True)
class Played:
    """How a run ended, its statistics, and its recording (None without one)."""

    ending: Ending
    stats: LoopStats
    folder: Path | None


class NoKeys:
    """Presses nothing; implements `core.devices.Keys` for --dry-run."""

    def hold(self, action: Action) -> None:
        """Nothing."""

    def release_all(self) -> None:
        """Nothing."""


class FollowingScreen:
    """Grabs a window's contents wherever it is; implements `core.devices.Screen`."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._screen = MssScreen(window.state().rect)
        self._grabs, self._outside = 0, 0.0

    def grab(self) -> Frame:
        self._screen.rect = self._window.state().rect
        frame = self._screen.grab()
        self._grabs += 1
        self._outside += self._screen.outside
        return frame

    @property
    def outside(self) -> float:
        """The share of all pictures, 0 to 1, that was not on the screen and is black."""
        return self._outside / max(1, self._grabs)

    def close(self) -> None:
        self._screen.close()


def play_game(options: PlayOptions, policy: Policy, say: Callable[[str], None] = print) -> Played:
    """Play until the goals are reached, a person stops it or time is up.

    ProtegeError when the window closes, the policy fails or a device is gone; UserError when it cannot begin. Every
    key is up again in all cases, and the recording is closed.
    """
    try:
        policy.warm_up()
    except SystemExit as error:
        raise ended(error) from None
    clock = MonotonicClock()
    listed = ([options.goal] if options.goal else []) + (read_goals(options.goals) if options.goals else [])
    listed = listed or list(options.tasks)
    card = policy.card if isinstance(policy, Trained) else None
    hz = float(card.frame_hz) if card is not None else FRAME_HZ
    with _stoppable(), ExitStack() as stack:
        stats = LoopStats()
        status = Status(options.vision.space, stats)
        stack.callback(status.close)
        world = real_world(options, clock, stack, say, status.say, hz)
        worker = ThreadWorker(policy, clock)
        stack.callback(worker.close)
        recorder = run_recorder(options, world, hz) if options.record else None
        try:
            ending = play(
                world,
                worker,
                goal_source(listed, status.say),
                options.loop(hz, 0 if card is None else card.horizon),
                _listeners(options, policy, status, recorder, stats),
                stats,
            )
        except KeyboardInterrupt:
            ending = Ending.STOPPED
        except ProtegeError:
            raise
        except Exception as error:
            raise ProtegeError(f"the policy failed ({type(error).__name__}: {error}); no key is held") from error
        finally:
            if recorder is not None:
                about = {"model": str(options.model), "numbers": stats.to_json(), "dry_run": options.dry_run}
                if isinstance(world.screen, FollowingScreen) and world.screen.outside:
                    about["outside_screen"] = round(world.screen.outside, 4)
                recorder.finish(clock.now_ns(), about)
        return Played(ending, stats, recorder.writer.folder if recorder else None)


def replay_game(
    session: Path,
    window: str | None = None,
    countdown_s: float = 3.0,
    max_minutes: float = 10.0,
    say: Callable[[str], None] = print,
    never: Action = NO_KEYS,
) -> Ending:
    """Press a recording's keys, and move its mouse, again with its timing, in a window with `window` in its title (or
    the focused one). never: keys that are not pressed, though they were recorded.
    """
    recorded = Session.open(session)
    vision = VisionOptions(space=recorded.info.space)
    options = PlayOptions(goal="-", window=window, countdown_s=countdown_s, never=never, vision=vision)
    with _stoppable(), ExitStack() as stack:
        world = real_world(options, MonotonicClock(), stack, say)
        try:
            return replay(recorded, world, max_minutes * 60)
        except KeyboardInterrupt:
            return Ending.STOPPED


def real_world(
    options: PlayOptions,
    clock: Clock,
    stack: ExitStack,
    say: Callable[[str], None],
    warn: Callable[[str], None] | None = None,
    hz: float = FRAME_HZ,
) -> World:
    """The real devices, closed by `stack`; waits for the window's focus and counts down. For the thread that plays,
    which must sleep by the world's clock: that is how the watchdog knows that it is well, and how the mouse moves.
    warn: for what happens later; hz: slots a second, over each of which its motion is spread.
    """
    short_turns()
    space = options.vision.space
    window = _focused(options, clock, say)
    stack.callback(window.close)
    screen = FollowingScreen(window)
    stack.callback(screen.close)
    hot = {options.stop_key: "stop", options.toggle_key: "toggle"}
    if options.dry_run:
        human = stack.enter_context(HumanKeys(ActionSpace(space.name, (NONE,)), hot))
        return World(screen, NoKeys(), clock, window, human, lambda: _deaf(human))
    watchdog = stack.enter_context(Watchdog(space))
    keys: RealKeys | Hand
    if not has_mouse(space):
        keys = RealKeys(space, options.never)
    else:
        keys = Hand(space, clock, round(1e9 / hz), options.never)
        keys.allowed = _MayMove(window, clock, lambda: human.acts())  # noqa: PLW0108  made below
    stack.callback(keys.presser.close)
    human = stack.enter_context(HumanKeys(space, hot, keys.presser))

    def lapsed(seconds: float) -> None:
        (warn or say)(f"the agent stood still for {seconds:.2f} s, so its keys were let go of")

    def lost() -> str | None:
        if not watchdog.alive:
            return "the watchdog that would release the keys has ended"
        if guard.unwatched_s > UNWATCHED_S:
            return "the watchdog that would release the keys does not answer"
        return _deaf(human)

    guard = Guard(keys, watchdog, clock, lapsed)
    return World(
        *(screen, guard, guard, window, human, lost, lambda: "" if guard.watched else NOT_WATCHED),
        move=guard.move,
        moved=guard.moved,
    )


class _MayMove:
    """Whether the mouse may move, asked before every step of it: what stops the agent is not left until the next slot.

    Asking an X server for everything takes seven answers, which a busy machine gives slowly; it tells of a lost focus
    by itself, so all is asked only then and every `LOOK_NS`.
    """

    def __init__(self, window: Window, clock: Clock, stopped: Callable[[], bool]) -> None:
        self._window, self._clock, self._stopped = window, clock, stopped
        self._asked_ns = -LOOK_NS
        self._focused = False

    def __call__(self) -> bool:
        now = self._clock.now_ns()
        if may_have_changed(self._window) or now - self._asked_ns >= LOOK_NS:
            self._focused, self._asked_ns = self._window.state().focused, now
        return self._focused and not self._stopped()


def _deaf(human: HumanKeys) -> str | None:
    return None if human.alive else "the keyboard can no longer be heard"


def _focused(options: PlayOptions, clock: Clock, say: Callable[[str], None]) -> Window:
    """The game's window, once it has the focus and the countdown is over."""
    window = find_window(options.window) if options.window is not None else None
    end = clock.now_ns() + round(options.focus_s * 1e9)
    if window is not None and not window.state().focused:
        say(f"click into {window.title!r}")
        while not window.state().focused:
            if clock.now_ns() > end:
                window.close()
                raise UserError(f"{window.title!r} did not get the focus within {options.focus_s:g} s; click into it")
            clock.sleep_until(clock.now_ns() + 100_000_000)
    if options.countdown_s > 0:
        say(f"starting in {options.countdown_s:g} s; {options.stop_key.upper()} stops, any of your keys takes over")
        clock.sleep_until(clock.now_ns() + round(options.countdown_s * 1e9))
    if window is None and (window := focused_window()) is None:
        raise UserError("no window has the focus; click into the game, or name it with --window TITLE")
    return window


def run_recorder(options: PlayOptions, world: World, hz: float) -> RunRecorder:
    """A new session of a run, in options.out."""
    rect = world.window.state().rect
    info = SessionInfo(
        space=options.vision.space,
        frame_hz=hz,
        source=SOURCE,
        window={"title": world.window.title, **vars(rect)},
        libraries={"protege": version("protege"), "python": sys.version.split()[0]},
    )
    writer = SessionWriter.create(options.out or agent_runs(), info)
    return RunRecorder(writer, world.clock.now_ns(), plans=True)


def _listeners(
    options: PlayOptions, policy: Policy, status: Status, recorder: RunRecorder | None, stats: LoopStats
) -> list[Listener]:
    sampled = policy if options.unstick and isinstance(policy, Sampling) else None
    listeners: list[Listener] = [StuckDetector(status.say, options.stuck, sampled)]
    if recorder is not None:
        listeners.append(recorder)
        if options.show or options.dry_run:
            listeners.append(Picture(recorder.writer.folder / "live.jpg", options.vision.space, stats))
    return [*listeners, status]


@contextmanager
def _stoppable() -> Iterator[None]:
    """A polite kill or a closed terminal ends the run as Ctrl-C does; threads take turns often enough for the slots."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        with interruptible():
            yield
    finally:
        sys.setswitchinterval(interval)
