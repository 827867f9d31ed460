"""Makes the data of the tiny base: the arena's expert plays every goal of many rooms, all seeds below 5,000.

python -m scripts.tiny_base.data OUT.npz [--rooms 1000] [--noise 0.04] [--seed 0]

Besides pictures, goals and plans it keeps where on the screen things are: the base learns to see with it (see
scripts.tiny_base.train). Labels follow the same rules as those of recordings.
"""

import argparse
import logging
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.arena.engine import Engine
from protege.arena.expert import Expert
from protege.arena.rooms import BASE_SEEDS, Layout, Point, Pose, layout
from protege.arena.state import ArenaState, Judge, tics_of
from protege.arena.tasks import GOALS, Goal
from protege.core import HORIZON, KEYBOARD_12, NO_KEYS, Action, encode_jpeg
from protege.labeling.labels import one_key
from protege.vlm.pixels import fit

log = logging.getLogger(__name__)

FRAME_SIZE: Final = (160, 128)
DRAWN_SIZE: Final = (320, 240)
AFTER_DONE: Final = 3
"""Frames kept after the goal is reached: their plan is all none."""
DETOURS: Final = tuple(
    frozenset(keys) for keys in (("a",), ("d",), ("s",), ("left",), ("right",), ("w", "left"), ("w",))
)
COMMON: Final = {"w": 0.45, "right": 0.45}
"""Chance to keep a sample whose first action is one of the two that fill most of an episode."""


@dataclass
class Rows:
    """What is collected, a row a sample. seen: where on the screen (0 left, 1 right) each goal's thing is, else nan."""

    jpeg: list[bytes]
    goal: list[int]
    plan: list[NDArray[np.uint8]]
    seen: list[NDArray[np.float16]]
    seed: list[int]

    def save(self, path: Path) -> None:
        sizes = np.array([len(data) for data in self.jpeg], np.int64)
        goals = list(GOALS.values())
        beside = path.with_suffix(".part.npz")
        np.savez(
            beside,
            jpeg=np.frombuffer(b"".join(self.jpeg), np.uint8),
            stop=sizes.cumsum(),
            goal=np.array(self.goal, np.int16),
            plan=np.array(self.plan, np.uint8),
            seen=np.array(self.seen, np.float16),
            seed=np.array(self.seed, np.int32),
            sentences=np.array(["\n".join((g.sentence, *g.paraphrases)) for g in goals]),
            frame_size=np.array(FRAME_SIZE),
        )
        beside.replace(path)


def goals_of(made: Layout) -> list[Goal]:
    """Everything that can be asked for in a layout."""
    kinds = {placed.kind.name for placed in made.objects}
    return [g for g in GOALS.values() if (g.kind and g.kind.name in kinds) or made.wall(g.task) is not None]


def on_screen(made: Layout, pose: Any) -> NDArray[np.float16]:
    """(G,) where on the screen the thing of each goal is, from 0 left to 1 right; nan where it is not.

    Only the direction counts: a wall between two rooms may hide what this calls seen.
    """
    places = np.full(len(GOALS), np.nan, np.float16)
    here = (pose.x, pose.y)
    for i, goal in enumerate(GOALS.values()):
        for point in _points(made, goal):
            bearing = pose.bearing(point)
            same_room = all(room.holds(here) == room.holds(point, -64) for room in made.rooms)
            if abs(bearing) < 45 and (same_room or goal.kind is None):
                places[i] = 0.5 - np.tan(np.radians(bearing)) / 2
    return places


def _points(made: Layout, goal: Goal) -> list[Point]:
    if goal.kind is not None:
        return [placed.at for placed in made.objects if placed.kind == goal.kind]
    feature = made.wall(goal.task)
    return [] if feature is None else [feature.center]


@dataclass(frozen=True)
class Moment:
    """One decision; slip: these keys were pressed instead of what the expert wanted."""

    picture: NDArray[np.uint8]
    keys: Action
    state: ArenaState
    slip: bool


def play(engine: Engine, made: Layout, noise: float, rng: random.Random) -> list[Moment]:
    """One episode; nothing at all if the goal is not reached. noise: chance of a slip of 3 to 8 decisions."""
    state, expert = engine.load(made), Expert()
    judge, moments, after, slip = Judge(made), [], 0, [NO_KEYS] * 0
    while judge.decisions < judge.max_decisions and after < AFTER_DONE + HORIZON:
        wanted = expert.act(state)
        if not slip and not judge.success and rng.random() < noise:
            slip = [rng.choice(DETOURS)] * rng.randint(3, 8)
        keys = slip.pop() if slip else wanted
        moments.append(Moment(engine.picture(), keys, state, keys != wanted))
        state = engine.step(keys, tics_of(judge.decisions))
        judge.observe(state, keys)
        after += judge.success
    return moments if judge.success else []


def add_episode(rows: Rows, moments: list[Moment], rng: random.Random) -> None:
    """The samples of an episode, thinned; those whose plan holds a slip are left out, since nobody can learn it."""
    none = len(KEYBOARD_12) - 1
    held = KEYBOARD_12.encode([moment.keys for moment in moments])
    columns = one_key(held, KEYBOARD_12).argmax(1)
    still = [moment.keys == NO_KEYS for moment in moments]
    done = next((t for t in range(len(moments)) if all(still[t:])), len(moments))
    for t, moment in enumerate(moments[: done + AFTER_DONE]):
        if any(later.slip for later in moments[t : t + HORIZON]):
            continue
        state, plan = moment.state, columns[t : t + HORIZON]
        plan = np.concatenate([plan, np.full(HORIZON - len(plan), none)]).astype(np.uint8)
        if (plan == none).all() and t < done:
            continue  # all none means done, and nothing else
        if rng.random() < COMMON.get(KEYBOARD_12.keys[plan[0]], 1.0):
            rows.jpeg.append(encode_jpeg(fit(moment.picture, FRAME_SIZE)))
            rows.goal.append(list(GOALS.values()).index(state.layout.goal))
            rows.plan.append(plan)
            rows.seen.append(on_screen(state.layout, state.pose))
            rows.seed.append(state.layout.seed)


def beside_another(made: Layout, rng: random.Random) -> Layout:
    """The layout with a start in front of an object that is not the goal: who has just been there is sent on."""
    west, south, east, north = made.rooms[0].rect
    for _ in range(50 if made.distractors else 0):
        other = rng.choice(made.distractors)
        away, angle = rng.uniform(56, 110), rng.uniform(0, 2 * math.pi)
        here = (other.x + away * math.cos(angle), other.y + away * math.sin(angle))
        inside = west + 40 < here[0] < east - 40 and south + 40 < here[1] < north - 40
        if inside and math.dist(here, made.aim) > 130 and all(math.dist(here, each.at) > 52 for each in made.objects):
            facing = math.degrees(math.atan2(other.y - here[1], other.x - here[0])) + rng.uniform(-30, 30)
            return replace(made, start=Pose(round(here[0]), round(here[1]), angle_deg=round(facing) % 360))
    return made


def collect(rooms: int, noise: float, seed: int) -> Rows:
    """Play every goal of `rooms` layouts, one in three objects from in front of another one."""
    rng = random.Random(f"base data {seed}")
    rows = Rows([], [], [], [], [])
    with Engine(DRAWN_SIZE) as engine:
        for number, room in enumerate(rng.sample(BASE_SEEDS, rooms)):
            first = layout(room)
            for goal in goals_of(first):
                slips = noise if rng.random() < 0.7 else 0.0
                made = replace(first, goal=goal)
                if goal.kind is not None and rng.random() < 1 / 3:
                    made = beside_another(made, rng)
                add_episode(rows, play(engine, made, slips, rng), rng)
            if (number + 1) % 50 == 0:
                log.info("%d of %d rooms, %d samples", number + 1, rooms, len(rows.goal))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rooms", type=int, default=1000, help="how many seeds below 5,000")
    parser.add_argument("--noise", type=float, default=0.04, help="chance of a slip at every decision")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    collect(args.rooms, args.noise, args.seed).save(args.out)


if __name__ == "__main__":
    main()
