"""protege bench arena: how often does a policy reach its goal, by playing, in rooms that nothing was trained on?"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.arena.rooms import EVAL_SEED_START
from protege.arena.tasks import Rooms, Task
from protege.errors import UserError
from protege.evaluation.episodes import BASELINES, Job, Player, Result, jobs, play_all
from protege.evaluation.figures import Figure

Z95: Final = 1.959964
TARGET_SUCCESS: Final = 0.6
TARGET_TIMES_RANDOM: Final = 5.0


@dataclass(frozen=True)
class ArenaBench:
    """episodes: of the policy and of each baseline; task: only goals of this kind, None for all
    that seeds draw; seed: the first room,
    10,000 or later; swaps: episodes with another object asked for; live: play through the window with real keys, so
    many episodes; page: write an HTML page there; processes, ray: where episodes are played.
    """

    player: Player
    episodes: int = 100
    task: Rooms = None
    seed: int = EVAL_SEED_START
    swaps: int = 50
    baselines: tuple[str, ...] = BASELINES
    live: int = 0
    page: Path | None = None
    processes: int = 1
    ray: bool = False

    def __post_init__(self) -> None:
        if self.seed < EVAL_SEED_START:
            raise UserError(f"--seed {self.seed}: rooms for evaluation begin at {EVAL_SEED_START}")
        if self.episodes < 1 or min(self.swaps, self.live) < 0 or not 1 <= self.player.execute <= 7:
            raise UserError("expected at least one episode, and --execute from 1 to 7")
        if self.live and not isinstance(self.task, Task | None):
            raise UserError(
                f"--live {self.live}: through the window rooms ask for goals of their own, and none draws {self.task}"
            )
        if unknown := set(self.baselines) - set(BASELINES):
            raise UserError(f"no baseline {', '.join(sorted(unknown))}; they are {', '.join(BASELINES)}")


def run(bench: ArenaBench, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """The figures of a policy, and of the baselines in the same rooms."""
    todo = jobs(bench.seed, bench.episodes, bench.task)
    results = play_all(bench.player, todo, bench.processes, bench.ray, say)
    others: dict[str, list[Result]] = {}
    for name in bench.baselines:
        if name != bench.player.model:
            say(f"baseline {name}")
            others[name] = play_all(Player(name, game=bench.player.space), todo, bench.processes, bench.ray, say)
    figures = _figures(results, others)
    if bench.swaps and bench.task in (None, Task.GO_TO):
        say("the same rooms, another of their objects asked for")
        swaps = play_all(
            bench.player, jobs(bench.seed, bench.swaps, Task.GO_TO, swap=True), bench.processes, bench.ray, say
        )
        figures += swap_figures(swaps)
    if bench.live:
        from protege.evaluation.live import play_live

        say(f"live: {bench.live} episodes through the window")
        seeds = [job.seed for job in jobs(bench.seed, bench.live, bench.task)]
        figures += live_figures(play_live(bench.player, seeds, say), results)
    if bench.page is not None:
        from protege.evaluation.page import write_page

        best, worst = best_and_worst(results)
        filmed = [Job(r.seed, r.goal, film=True) for r in (*best, *worst)]
        films = play_all(bench.player, filmed, say=lambda text: None)
        write_page(bench.page, bench.player.model, figures, results, others, films)
        say(f"page: {bench.page}")
    return figures


def wilson(won: int, of: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a rate; (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    rate = won / of
    middle = (rate + Z95**2 / (2 * of)) / (1 + Z95**2 / of)
    half = Z95 / (1 + Z95**2 / of) * math.sqrt(rate * (1 - rate) / of + Z95**2 / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def rate(results: Sequence[Result]) -> float:
    return sum(result.success for result in results) / len(results) if results else 0.0


def rate_text(results: Sequence[Result]) -> str:
    low, high = wilson(sum(result.success for result in results), len(results))
    return f"{rate(results):.0%} of {len(results)} ({low:.0%} to {high:.0%})"


def groups(results: Sequence[Result], key: str) -> dict[str, list[Result]]:
    """Results by their task or goal, in order of name."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        found[vars(result)[key]].append(result)
    return dict(sorted(found.items()))


def best_and_worst(results: Sequence[Result], count: int = 3) -> tuple[list[Result], list[Result]]:
    """The quickest successes, and the failures in the order of their length."""
    won = sorted((r for r in results if r.success), key=lambda r: r.decisions)
    lost = sorted((r for r in results if not r.success), key=lambda r: -r.decisions)
    return won[:count], lost[:count]


def _figures(results: list[Result], others: dict[str, list[Result]]) -> list[Figure]:
    success = rate(results)
    ci = wilson(sum(r.success for r in results), len(results))
    figures = [
        Figure("success", round(success, 4), rate_text(results), f"≥ {TARGET_SUCCESS:.0%}", success >= TARGET_SUCCESS),
        Figure("success_ci", [round(bound, 4) for bound in ci], f"{ci[0]:.3f} to {ci[1]:.3f}"),
    ]
    for name, theirs in others.items():
        times = success / rate(theirs) if rate(theirs) else math.inf
        target = f"ours ≥ {TARGET_TIMES_RANDOM:g}x" if name == "random" else ""
        good = times >= TARGET_TIMES_RANDOM and success > 0 if name == "random" else None
        text = f"{rate_text(theirs)}; ours {times:.1f}x"
        figures.append(Figure(f"success_{name}", round(rate(theirs), 4), text, target, good))
    for key in ("task", "goal"):
        for name, theirs in groups(results, key).items():
            figures.append(Figure(f"success_{key}_{name.replace(' ', '_')}", round(rate(theirs), 4), rate_text(theirs)))
    times_s = [result.seconds for result in results if result.success]
    p50 = statistics.median(times_s) if times_s else None
    figures.append(Figure("time_to_goal_s", p50, "never" if p50 is None else f"{p50:.1f} s (median of successes)"))
    go_to = [result for result in results if result.task == Task.GO_TO]
    wrong = sum(result.end == "wrong_object" for result in go_to) / max(len(go_to), 1)
    figures.append(Figure("wrong_object", round(wrong, 4), f"{wrong:.0%} of {len(go_to)} stopped at another object"))
    gave_up = sum(result.end == "gave_up" for result in results) / len(results)
    figures.append(Figure("gave_up", round(gave_up, 4), f"{gave_up:.0%} said done and were not"))
    return figures


def swap_figures(swaps: list[Result]) -> list[Figure]:
    """goal_following: of the episodes that touched the asked or the original object first, how many the asked one."""
    there = sum(result.first_object == result.goal for result in swaps)
    old = sum(result.first_object == result.swapped_from for result in swaps)
    share = there / (there + old) if there + old else 0.0
    text = f"{there} of {len(swaps)} touch the object now asked for first, {old} the one asked for before"
    return [
        Figure("goal_following", round(share, 4), text, "more than half", share > 0.5),
        Figure("success_swapped", round(rate(swaps), 4), rate_text(swaps)),
    ]


def live_figures(live: list[Result], headless: list[Result]) -> list[Figure]:
    """The live rate beside the headless one's interval."""
    low, high = wilson(sum(r.success for r in headless), len(headless))
    ours = wilson(sum(r.success for r in live), len(live))
    agrees = ours[0] <= high and low <= ours[1]
    return [
        Figure("success_live", round(rate(live), 4), rate_text(live), f"overlaps {low:.0%} to {high:.0%}", agrees),
    ]
