"""What stands where: a seed becomes a Layout, the same one on every machine; no engine is needed for it."""

import math
import random
from typing import Final

from protege.arena import halls
from protege.arena.layouts import PANEL_CELLS, Feature, Layout, Placed, Point, Pose, Room, draw_style
from protege.arena.tasks import GOALS, KINDS, Goal, Kind, MemoryTask, Task
from protege.arena.udmf import CELL, SIDES

BASE_SEEDS: Final = range(0, 5_000)
"""Reserved for the base model that is published with the program."""
USER_SEEDS: Final = range(5_000, 10_000)
"""For recordings made on the user's machine."""
EVAL_SEED_START: Final = 10_000
"""Evaluation seeds begin here; nothing is ever trained on them."""

STEPS: Final = 5
STEP_RISE: Final = 16

_WALL_MARGIN: Final = 72.0
_APART: Final = 136.0
_PATH_CLEARANCE: Final = 64.0
_OBSTRUCTED_SHARE: Final = 0.15
_FEATURE_SHARE: Final = 0.4
_SECOND_ROOM_SHARE: Final = 0.25


def layout(seed: int, goal: Goal | None = None) -> Layout:
    """The layout of a seed; with `goal`, the one of that seed that asks for it. Equal arguments, equal layouts."""
    if goal is not None and isinstance(goal.task, MemoryTask):
        return halls.draw(seed, goal, goal.task)
    rng = random.Random(f"protege-arena {seed}")
    drawn = _draw_goal(rng)
    # With a goal given the stream of random numbers must not depend on what was drawn, hence a second generator.
    asked = goal or drawn
    rng = random.Random(f"protege-arena {seed} {asked.name}")
    while (made := _attempt(seed, asked, rng)) is None:
        pass
    return made


def _draw_goal(rng: random.Random) -> Goal:
    go_to = [goal for goal in GOALS.values() if goal.task is Task.GO_TO]
    return rng.choice(go_to) if rng.random() < 0.7 else rng.choice([g for g in GOALS.values() if g not in go_to])


def _attempt(seed: int, goal: Goal, rng: random.Random) -> Layout | None:
    main = Room(0, 0, rng.randint(16, 22), rng.randint(16, 22))
    features = _features(goal, main, rng)
    opening = features.get("opening")
    rooms = (main,) if opening is None else (main, _second_room(opening, rng))
    style = draw_style(rng)
    west, south, east, north = main.rect
    at = (round(rng.uniform(west + 96, east - 96)), round(rng.uniform(south + 96, north - 96)))
    start = Pose(*at, angle_deg=float(rng.randrange(360)))
    objects = _objects(goal, rooms, tuple(features.values()), start, rng)
    if objects is None:
        return None
    made = Layout(
        seed,
        goal,
        objects,
        start,
        style,
        rooms,
        opening=opening,
        door=features.get("door"),
        stairs=features.get("stairs"),
        posters=features.get("posters"),
    )
    return made if _playable(made, rng) else None


def _features(goal: Goal, main: Room, rng: random.Random) -> dict[str, Feature]:
    """Door, stairs, posters and opening, each in a wall of its own; the goal's is always there."""
    asked: dict[Task | MemoryTask, str] = {
        Task.OPEN_DOOR: "door",
        Task.CLIMB_STAIRS: "stairs",
        Task.CHECK_POSTERS: "posters",
    }
    needed = asked.get(goal.task)
    names = [n for n in ("door", "stairs", "posters") if n == needed or rng.random() < _FEATURE_SHARE]
    if rng.random() < _SECOND_ROOM_SHARE:
        names.append("opening")
    sides = rng.sample(sorted(SIDES), len(names))
    features = {}
    for name, side in zip(names, sides, strict=True):
        cells = 8 if name == "opening" else PANEL_CELLS
        length = main.cols if side in "ns" else main.rows
        features[name] = Feature(side, rng.randint(3, length - cells - 3), cells, main)
    return features


def _second_room(opening: Feature, rng: random.Random) -> Room:
    """A room behind the opening, one cell of wall away, at least as wide as the opening."""
    wide, deep = rng.randint(12, 16), rng.randint(9, 12)
    shift = opening.first - rng.randint(0, wide - opening.cells)
    main = opening.room
    if opening.side in "ns":
        return Room(shift, main.rows + 1 if opening.side == "n" else -deep - 1, wide, deep)
    return Room(main.cols + 1 if opening.side == "e" else -deep - 1, shift, deep, wide)


def _kinds(goal: Goal, rng: random.Random) -> list[Kind]:
    """The kinds in the room: the goal's, often one that differs from it in colour only, and others; 3 to 5 in all."""
    kinds = [goal.kind] if goal.kind is not None else []
    others = [kind for kind in KINDS.values() if kind not in kinds]
    rng.shuffle(others)
    if goal.kind is not None and goal.kind.alike and rng.random() < 0.7:
        others.sort(key=lambda kind: kind.alike != goal.kind.alike if goal.kind else False)
    return (kinds + others)[: rng.randint(3, 5) if kinds else rng.randint(2, 4)]


def _objects(
    goal: Goal, rooms: tuple[Room, ...], features: tuple[Feature, ...], start: Pose, rng: random.Random
) -> tuple[Placed, ...] | None:
    """Places for the kinds of a layout, or None where they find no room."""
    placed: list[Placed] = []
    for tid, kind in enumerate(_kinds(goal, rng), start=1):
        for _ in range(40):
            room = rooms[0] if len(rooms) == 1 or rng.random() < 0.65 else rooms[1]
            west, south, east, north = room.rect
            at = (
                round(rng.uniform(west + _WALL_MARGIN, east - _WALL_MARGIN)),
                round(rng.uniform(south + _WALL_MARGIN, north - _WALL_MARGIN)),
            )
            free = all(math.dist(at, other.at) >= _APART for other in placed)
            clear = all(math.dist(at, feature.front(d)) >= 120 for feature in features for d in (-32, 48, 112))
            if free and clear and start.distance(at) >= (200 if kind == goal.kind else 150):
                placed.append(Placed(kind, *at, tid))
                break
        else:
            return None
    return tuple(placed)


def _playable(made: Layout, rng: random.Random) -> bool:
    """Whether the goal can be seen from the start and reached straight ahead, or around one object at most."""
    start = (made.start.x, made.start.y)
    goal_feature = made.wall(made.goal.task)
    if goal_feature is not None and (goal_feature.incidence_deg(start) > 45 or made.start.distance(made.aim) < 200):
        return False
    if len(made.rooms) == 2 and made.target is not None and not made.rooms[0].holds(made.aim):
        assert made.opening is not None
        if not passes(start, made.aim, made.opening, margin=40):
            return False
    near = sorted(_off_path(start, made.aim, other.at) for other in made.distractors)
    if not near or near[0] >= _PATH_CLEARANCE:
        return True
    # One object that stands in the way, but not exactly: the player sees the goal beside it and walks around it.
    return near[0] >= 24 and near[1:2] >= [_PATH_CLEARANCE] and rng.random() < _OBSTRUCTED_SHARE


def passes(start: Point, aim: Point, opening: Feature, margin: float) -> bool:
    """Whether the straight way between the rooms clears both edges of the opening by `margin`."""
    half = opening.cells * CELL / 2 - margin
    for distance in (0.0, -float(CELL)):
        wall = opening.front(distance)
        axis = 1 if opening.side in "ns" else 0
        share = (wall[axis] - start[axis]) / (aim[axis] - start[axis])
        crossing = start[1 - axis] + share * (aim[1 - axis] - start[1 - axis])
        if abs(crossing - wall[1 - axis]) > half:
            return False
    return True


def _off_path(start: Point, end: Point, point: Point) -> float:
    """Distance of a point from the straight way between two others."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    share = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / (dx * dx + dy * dy)
    share = min(1.0, max(0.0, share))
    return math.dist(point, (start[0] + share * dx, start[1] + share * dy))
