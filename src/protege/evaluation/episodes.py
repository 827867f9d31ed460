"""Whole episodes of the arena played by any policy, without a window, one process or many; each gives a result."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protege.agent.baselines import ConstantPolicy, RandomPolicy, repeat_policy
from protege.agent.loop import DONE_IN_A_ROW
from protege.agent.vision import VisionOptions
from protege.arena.engine import SIZES, Engine, drawn_size
from protege.arena.expert import Expert
from protege.arena.record import rooms_of
from protege.arena.rooms import Layout, layout
from protege.arena.state import DECISION_HZ, STOPPED_DECISIONS, ArenaState, Judge, tics_of
from protege.arena.tasks import ALL_GOALS, Rooms, Task
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action, ActionSpace
from protege.core.card import Trained
from protege.core.frame import Frame, encode_jpeg
from protege.core.plan import Plan, Policy
from protege.errors import MissingExtra
from protege.policies import card_of, load_policy

BASELINES: Final = ("random", "random_held", "repeat", "majority", "expert")
"""random draws a key for every decision, random_held one for half a second; repeat holds one key for ever."""
PERIOD_NS: Final = 1_000_000_000 // DECISION_HZ
FILM_EVERY: Final = 5
SMALL: Final = SIZES[0]


@dataclass(frozen=True)
class Job:
    """One episode. goal: instead of the seed's own; swap: ask for another object of the room; film: keep pictures."""

    seed: int
    goal: str | None = None
    swap: bool = False
    film: bool = False

    @property
    def layout(self) -> Layout:
        """Its room, before a swap."""
        return layout(self.seed, ALL_GOALS[self.goal] if self.goal else None)


@dataclass(frozen=True)
class Player:
    """Who plays, and how: a --model or the name of a baseline; execute: slots of a plan to play before the next;
    delay: slots between a picture and the first action that answers it; temperature, device, decoding: as in
    `VisionOptions`; game: the action space, None for that of a model that looks with the mouse, else KEYBOARD_12.
    """

    model: str
    execute: int = 1
    delay: int = 0
    temperature: float = 0.0
    device: str = "auto"
    decoding: str = "auto"
    game: ActionSpace | None = None

    @property
    def space(self) -> ActionSpace:
        """What it plays with."""
        if self.game is not None:
            return self.game
        card = None if self.model in BASELINES else card_of(self.model)
        return card.space if card is not None and card.space.look is not None else KEYBOARD_12

    def vision(self) -> VisionOptions:
        return VisionOptions(temperature=self.temperature, device=self.device, decoding=self.decoding, space=self.space)


@dataclass(frozen=True)
class Result:
    """How an episode went. end: success, wrong_object, timeout or gave_up (the policy said done and was not);
    path: (x, y) per decision; film: JPEGs.
    """

    seed: int
    goal: str
    task: str
    success: bool
    end: str
    decisions: int
    first_object: str | None
    swapped_from: str | None
    path: tuple[tuple[float, float], ...]
    film: tuple[bytes, ...] = ()

    @property
    def seconds(self) -> float:
        return self.decisions / DECISION_HZ


class ExpertPolicy:
    """The scripted expert as a policy; the runner tells it the engine's state."""

    def __init__(self, space: ActionSpace = KEYBOARD_12) -> None:
        self._expert = Expert(space=space)
        self.state: ArenaState | None = None

    def predict(self, frame: Frame, goal: str) -> Plan:
        assert self.state is not None
        return Plan((self._expert.act(self.state),))

    def warm_up(self) -> None:
        """Nothing to warm up."""


@dataclass
class Playing:
    """A policy at work in one episode. plans: (decision of its picture, plan), the newest last; done: how often in a
    row it has said that the goal is reached.
    """

    policy: Policy
    player: Player
    plans: list[tuple[int, Plan]] = field(default_factory=list)
    done: int = 0

    @property
    def over(self) -> bool:
        """Whether it takes the goal for reached, and holds nothing any more."""
        return self.done >= DONE_IN_A_ROW

    def act(self, now: int, picture: Callable[[], NDArray[np.uint8]], goal: str) -> Action:
        """The keys it holds in decision `now`; picture: takes the (H, W, 3) picture before it."""
        if not self.over and now % self.player.execute == 0:
            plan = self.policy.predict(Frame(picture(), now * PERIOD_NS), goal)
            self.plans = [*self.plans[-1 - self.player.delay :], (now, plan)]
            self.done = self.done + 1 if plan.done and not isinstance(self.policy, ExpertPolicy) else 0
        return NO_KEYS if self.over else _action(self.plans, now, self.player.delay)

    def forget(self) -> None:
        """Discard plans and what it said, as the live loop does where a person takes over or hands back."""
        self.plans, self.done = [], 0


class EpisodeEngine(Protocol):
    """What an episode needs of an engine."""

    size: tuple[int, int]

    @property
    def space(self) -> ActionSpace: ...

    @property
    def moved(self) -> Sequence[tuple[int, int]]:
        """Counts right and down of each tic of the last step, in a space with a mouse."""
        ...

    def load(self, layout: Layout) -> ArenaState: ...

    def state(self) -> ArenaState: ...

    def step(self, action: Action, tics: int) -> ArenaState: ...

    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""
        ...

    def close(self) -> None: ...


class Runner:
    """One engine and one loaded policy, for episode after episode."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self._policy: Policy | None = None
        if player.model not in BASELINES:
            self._policy = load_policy(player.model, player.vision())
            self._policy.warm_up()
        size = self._policy.card.frame_size if isinstance(self._policy, Trained) else SMALL
        self.engine: EpisodeEngine = Engine(drawn_size(size), space=player.space)

    def policy(self, seed: int) -> Policy:
        match self.player.model:
            case "random":
                return RandomPolicy(seed, hold_slots=1, space=self.player.space)
            case "random_held":
                return RandomPolicy(seed, hold_slots=5, space=self.player.space)
            case "repeat":
                return repeat_policy(seed, self.player.space)
            case "majority":
                return ConstantPolicy(frozenset("w"))  # what the expert does most of the time
            case "expert":
                return ExpertPolicy(self.player.space)
        assert self._policy is not None
        return self._policy

    def play(self, job: Job) -> Result:
        """One episode at 10 decisions a second of game time, as the live loop would play it."""
        made = job.layout
        original = made.goal.name
        if job.swap:
            made = swapped(made)
        policy, judge, state = self.policy(job.seed), Judge(made), self.engine.load(made)
        path, film = [(state.pose.x, state.pose.y)], []
        playing, quiet = Playing(policy, self.player), 0
        while judge.end is None and quiet <= STOPPED_DECISIONS:
            now = judge.decisions
            if job.film and now % FILM_EVERY == 0:
                film.append(encode_jpeg(self.engine.picture()))
            if isinstance(policy, ExpertPolicy):
                policy.state = state
            action = playing.act(now, self.engine.picture, made.goal.sentence)
            quiet = quiet + 1 if playing.over else 0
            state = self.engine.step(action, tics_of(now))
            judge.observe(state, action)
            path.append((state.pose.x, state.pose.y))
        if job.film:
            film.append(encode_jpeg(self.engine.picture()))
        return Result(
            seed=job.seed,
            goal=made.goal.name,
            task=str(made.goal.task),
            success=judge.success,
            end=str(judge.end) if judge.end is not None else "gave_up",
            decisions=judge.decisions,
            first_object=judge.first_object,
            swapped_from=original if job.swap else None,
            path=tuple(path),
            film=tuple(film),
        )

    def close(self) -> None:
        self.engine.close()


def _action(plans: Sequence[tuple[int, Plan]], now: int, delay: int) -> Action:
    """What the newest plan that is ready by now has for now; nothing where it has run out."""
    ready = [(made, plan) for made, plan in plans if made + delay <= now]
    if not ready:
        return NO_KEYS
    made, plan = ready[-1]
    return plan.steps[now - made] if now - made < len(plan.steps) else NO_KEYS


def swapped(made: Layout) -> Layout:
    """The same room, but another of its objects is asked for (the layout itself if there is no other)."""
    other = next((placed.kind for placed in made.distractors), None)
    return made if other is None or made.goal.task is not Task.GO_TO else replace(made, goal=ALL_GOALS[other.name])


def jobs(first_seed: int, episodes: int, task: Rooms = None, swap: bool = False, goal: str | None = None) -> list[Job]:
    """The first seeds whose own goal is of a task and has a name (any without one), and for a swap has another object
    in the room. A memory task is asked for in every seed, all of them by turns.
    """
    if task is not None and not isinstance(task, Task):
        rooms = rooms_of(episodes, first_seed, task)
        return [Job(seed, asked and asked.name) for seed, asked in rooms.items()]
    found: list[Job] = []
    seed = first_seed
    while len(found) < episodes:
        made = layout(seed)
        wanted = task in (None, made.goal.task) and goal in (None, made.goal.name)
        if wanted and (not swap or swapped(made) != made):
            found.append(Job(seed, swap=swap))
        seed += 1
    return found


def play_all(
    player: Player,
    todo: Sequence[Job],
    processes: int = 1,
    ray: bool = False,
    say: Callable[[str], None] = print,
    played: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """All episodes, in the order of `todo`; where they are played changes nothing about them. played: is told each
    result as it comes.
    """
    results: list[Result] = []
    began = time.monotonic()
    for result in _played(player, todo, processes, ray):
        results.append(result)
        played(result)
        if len(results) in (1, 5) or len(results) % 25 == 0:
            won = sum(r.success for r in results)
            left = (time.monotonic() - began) / len(results) * (len(todo) - len(results)) / 60
            say(f"{player.model}: {len(results)} of {len(todo)} episodes, {won} reached, about {left:.0f} min left")
    order = {(job.seed, job.swap): n for n, job in enumerate(todo)}
    return sorted(results, key=lambda r: order[r.seed, r.swapped_from is not None])


def _played(player: Player, todo: Sequence[Job], processes: int, ray: bool) -> Iterator[Result]:
    if ray:
        yield from _played_on_ray(player, todo)
    elif processes <= 1:
        yield from _batch(player, todo)
    else:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the new processes: one core each
        with multiprocessing.get_context("spawn").Pool(processes, _start, (player,)) as pool:
            yield from pool.imap_unordered(_one, todo)


def _batch(player: Player, todo: Iterable[Job]) -> Iterator[Result]:
    runner = Runner(player)
    try:
        for job in todo:
            yield runner.play(job)
    finally:
        runner.close()


_runner: Runner | None = None


def _start(player: Player) -> None:
    global _runner  # noqa: PLW0603  (a worker process of a pool has nowhere else to keep it)
    _runner = Runner(player)


def _one(job: Job) -> Result:
    assert _runner is not None
    return _runner.play(job)


def _played_on_ray(player: Player, todo: Sequence[Job]) -> Iterator[Result]:
    """One task per share of the episodes, on whatever cluster RAY_ADDRESS names (this machine without one)."""
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray") from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    shares = max(1, min(len(todo), int(ray.cluster_resources().get("CPU", 1))))

    @ray.remote(num_cpus=1)
    def play_share(share: Sequence[Job]) -> list[Result]:
        return list(_batch(player, share))

    waiting: list[Any] = [play_share.remote(todo[n::shares]) for n in range(shares)]
    while waiting:
        ready, waiting = ray.wait(waiting)
        for reference in ready:
            yield from ray.get(reference)
