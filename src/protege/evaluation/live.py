"""The arena's score through its window: real keys, real screen, real time, judged by the engine's own log."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from protege.agent.loop import Heard, play
from protege.agent.run import PlayOptions, real_world, run_recorder
from protege.agent.stats import LoopStats
from protege.agent.vision import VisionOptions
from protege.agent.worker import ThreadWorker
from protege.arena import stage
from protege.arena.log import Ended, Started, Tic, read_lines
from protege.arena.state import DECISION_HZ
from protege.arena.window import TITLE
from protege.core.devices import Clock, MonotonicClock
from protege.core.plan import Policy
from protege.devices.errors import WindowGone
from protege.errors import ProtegeError
from protege.evaluation.episodes import Player, Result
from protege.policies import load_policy

STAND_NS: Final = 700_000_000
"""The run goes on so long after an episode has ended, so that a recording shows the agent standing at its goal."""


class LogGoals:
    """Follows the log of one window: its goal is the loop's, and a moment after its end the run is stopped.

    Implements `loop.Goals` and `loop.Human`.
    """

    def __init__(self, log: IO[str], clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._rest = ""
        self._started: Started | None = None
        self._path: list[tuple[float, float]] = []
        self._stop_ns = 0
        self.result: Result | None = None

    def asked(self) -> str | None:
        goal = None
        *whole, self._rest = (self._rest + self._log.read()).split("\n")
        for line in read_lines(text + "\n" for text in whole):
            match line:
                case Started():
                    self._started, self._path, goal = line, [], line.goal
                case Tic():
                    self._path.append((line.x, line.y))
                case Ended() if self._started is not None:
                    self.result = self._result(line, self._started)
                    self._stop_ns = self._clock.now_ns() + STAND_NS
        return goal

    def _result(self, line: Ended, started: Started) -> Result:
        return Result(
            seed=line.seed,
            goal=started.goal_name,
            task=started.task,
            success=line.end == "success",
            end=line.end,
            decisions=round((line.t_ns - started.t_ns) * DECISION_HZ / 1e9),
            first_object=line.first_object,
            swapped_from=None,
            path=tuple(self._path[::3]),
        )

    def reached(self, goal: str) -> bool:
        return True  # the window says when the episode is over

    def heard(self) -> list[Heard]:
        over = self.result is not None and self._clock.now_ns() >= self._stop_ns
        return [Heard(self._stop_ns, "stop")] if over else []


def play_live(
    player: Player,
    seeds: Sequence[int],
    say: Callable[[str], None] = lambda text: None,
    record_to: Path | None = None,
) -> list[Result]:
    """Play these rooms, each in a window of its own episode; on a display without a screen where there is none.

    record_to: keep every run as a Session there.
    """
    policy = load_policy(player.model, player.vision())
    policy.warm_up()
    results: list[Result] = []
    with stage.any_display():
        for seed in seeds:
            results.append(_episode(player, seed, policy, record_to))
            say(f"live seed {seed}: {results[-1].goal}, {results[-1].end} after {results[-1].seconds:.1f} s")
    return results


def _episode(player: Player, seed: int, policy: Policy, record_to: Path | None) -> Result:
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protege-live-"))) / "log"
        command = ["protege.arena.window", "--seed", str(seed), "--episodes", "1", "--size", "640x480"]
        command += ["--mouse"] if player.space.look is not None else []
        window = stack.enter_context(stage.process(*command, "--log", str(log)))
        stage.wait_for(lambda: log.exists() and '"tic"' in log.read_text(), window)
        clock = MonotonicClock()
        options = PlayOptions(
            *(player.model, "-"),
            window=TITLE,
            countdown_s=0,
            out=record_to,
            execute=player.execute,
            vision=VisionOptions(space=player.space),
        )
        world = real_world(options, clock, stack, lambda text: None)
        goals = LogGoals(stack.enter_context(log.open(encoding="utf-8")), clock)
        world = replace(world, human=goals)
        worker = ThreadWorker(policy, clock)
        stack.callback(worker.close)
        recorder = None if record_to is None else run_recorder(options, world, DECISION_HZ)
        stats = LoopStats()
        listeners = [] if recorder is None else [recorder]
        try:
            play(world, worker, goals, options.loop(DECISION_HZ), listeners, stats)
        except WindowGone:
            goals.asked()  # its last lines
        finally:
            if recorder is not None:
                about = {"model": player.model, "numbers": stats.to_json(), "seed": seed}
                recorder.finish(clock.now_ns(), about)
        if goals.result is None:
            raise ProtegeError(f"the window of seed {seed} was closed before its episode had ended")
        return goals.result
