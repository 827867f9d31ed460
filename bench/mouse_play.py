"""Playing with a mouse on a real X server: does the loop keep its deadlines, and does a replay turn as the run did?"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from bench.live import TimedPolicy
from protege.agent.baselines import ScriptedPolicy
from protege.agent.goals import GoalList
from protege.agent.listener import Listener, Slot
from protege.agent.loop import LoopOptions, play
from protege.agent.run import SWITCH_S, PlayOptions, real_world, replay_game, run_recorder
from protege.agent.stats import LoopStats
from protege.agent.vision import VisionOptions
from protege.agent.worker import ThreadWorker
from protege.arena import stage
from protege.arena.engine import ARENA_MOUSE
from protege.arena.log import Tic, read_lines
from protege.arena.state import DECISION_HZ
from protege.core.actions import Action
from protege.core.devices import MonotonicClock
from protege.core.events import Motion
from protege.core.session import Session
from protege.evaluation.figures import Figure

THINK_S: Final = 0.06
LONGEST_S: Final = 1_000.0
LEAST_NS: Final = 92_000_000
"""A slot that is shorter, since the one before began late, moves its share alone."""
KEYS: Final = frozenset(ARENA_MOUSE.pressable)
WALKS: Final = tuple(frozenset(keys) for keys in ("w", "w", "s", "a", "d", ""))
"""Never enter, so that an episode that asks for the door goes on."""


@dataclass(frozen=True)
class Turned:
    """A run in the arena's window: its recording, degrees that the engine turned to the right, counts right and down
    that were moved, slots of full length, those of them that did not move what their bins say, and the loop's numbers.
    """

    session: Path
    degrees: float
    counts: tuple[int, int]
    slots: int
    wrong_slots: int
    stats: LoopStats

    @property
    def expected_deg(self) -> float:
        assert ARENA_MOUSE.look is not None
        return self.counts[0] * ARENA_MOUSE.look.degrees_per_count


def run(seconds: float = 60.0, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """The loop with a mouse for `seconds` in the arena's window, and its recording replayed there."""
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name, stage.own_display():
        folder = Path(name)
        say(f"the arena's window, {seconds:g} s with the mouse")
        found = _play(folder / "run", seconds)
        say("the same, replayed")
        again = replayed(found.session, folder / "again", 2 * seconds)
    return figures(found, again)


def figures(found: Turned, again_deg: float) -> list[Figure]:
    error, stats = abs(found.degrees - again_deg), found.stats.to_json()
    p99 = stats["deadline_p99_ms"]
    off = abs(found.degrees - found.expected_deg)
    return [
        Figure("replay_yaw_error_deg", round(error, 3), f"{error:.2f}° of {found.degrees:.0f}°", "≤ 1.0°", error <= 1),
        Figure("deadline_p99_ms", p99, f"{p99:.1f} ms of {found.stats.slots} slots", "≤ 15 ms", p99 <= 15),
        Figure("other_bins", found.wrong_slots, f"{found.wrong_slots} of {found.slots}", "0", not found.wrong_slots),
        Figure("pressed_yaw_error_deg", round(off, 3), f"{off:.2f}° between counts and the engine"),
    ]


def replayed(session: Path, folder: Path, longest_s: float) -> float:
    """Degrees to the right that the arena's window turns while a recording is replayed in it."""
    with window(folder) as log:
        before = angles(log)
        replay_game(session, stage.TITLE, 0, longest_s / 60, lambda text: None)
        _settle(log)
        return _turned(angles(log)[len(before) - 1 :])


@contextmanager
def window(folder: Path, seed: int = stage.SEED) -> Iterator[Path]:
    """The arena's window with a mouse, in one endless episode; yields its log."""
    folder.mkdir(parents=True)
    log = folder / "log.jsonl"
    command = ["protege.arena.window", "--mouse", "--seed", str(seed), "--goal", "Open the door"]
    with stage.process(*command, "--seconds", f"{LONGEST_S:g}", "--log", str(log)) as child:
        stage.wait_for(lambda: log.exists() and '"tic"' in log.read_text(), child)
        yield log


def angles(log: Path) -> list[float]:
    """The engine's angle after every tic so far, in degrees, left positive."""
    with log.open(encoding="utf-8") as lines:
        return [line.angle_deg for line in read_lines(lines) if isinstance(line, Tic)]


def pattern(slots: int, seed: int = 0) -> tuple[Action, ...]:
    """Walking about and looking around, a little or a lot, in every bin."""
    assert ARENA_MOUSE.look is not None
    rng, found = random.Random(seed), []
    yaw, pitch = (axis.symbols for axis in ARENA_MOUSE.look.axes)
    while len(found) < slots:
        looks = rng.choice(yaw), rng.choice(pitch[2:-2])
        found += [rng.choice(WALKS) | frozenset(looks) - ARENA_MOUSE.at_rest] * rng.randint(1, 4)
    return tuple(found[:slots])


def _play(folder: Path, seconds: float) -> Turned:
    slots, stats, clock = Slots(), LoopStats(), MonotonicClock()
    policy = TimedPolicy(ScriptedPolicy(pattern(round(seconds * DECISION_HZ))), THINK_S)
    options = PlayOptions(
        goal="Go", window=stage.TITLE, countdown_s=0, out=folder / "runs", vision=VisionOptions(space=ARENA_MOUSE)
    )
    with window(folder / "window") as log, ExitStack() as stack:
        world = real_world(options, clock, stack, lambda text: None)
        worker = ThreadWorker(policy, clock)
        stack.callback(worker.close)
        recorder = run_recorder(options, world, DECISION_HZ)
        before = angles(log)
        sys.setswitchinterval(SWITCH_S)  # as `play_game` does
        play(world, worker, GoalList(["Go"]), LoopOptions(max_s=seconds), [recorder, slots], stats)
        recorder.finish(clock.now_ns(), {})
        _settle(log)
        degrees = _turned(angles(log)[len(before) - 1 :])
    session = Session.open(recorder.writer.folder)
    motions = [event for event in session.events if isinstance(event, Motion)]
    counts = sum(m.dx for m in motions), sum(m.dy for m in motions)
    whole, wrong = compared(slots.slots, motions)
    return Turned(session.folder, degrees, counts, whole, wrong, stats)


class Slots(Listener):
    """Keeps what every slot held, and since when."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []

    def slot(self, slot: Slot) -> None:
        self.slots.append(slot)


def compared(slots: Sequence[Slot], motions: Sequence[Motion]) -> tuple[int, int]:
    """How many slots had their full length, and how many of them moved by other bins than their action's."""
    whole = wrong = 0
    times = np.array([motion.t_ns for motion in motions])
    moved = np.array([(motion.dx, motion.dy) for motion in motions]).reshape(-1, 2)
    for slot, after in pairwise(slots):
        if after.t_ns - slot.t_ns < LEAST_NS:
            continue
        inside = (times > slot.t_ns) & (times <= after.t_ns)
        whole += 1
        wrong += ARENA_MOUSE.turned(moved[inside].sum(axis=0, keepdims=True))[0] != slot.action - KEYS
    return whole, wrong


def _turned(found: list[float]) -> float:
    return -sum((after - before + 180) % 360 - 180 for before, after in pairwise(found))


def _settle(log: Path) -> None:
    """Wait until the engine has taken what was sent last."""
    before = len(angles(log))
    while len(angles(log)) < before + 10:
        time.sleep(0.05)
