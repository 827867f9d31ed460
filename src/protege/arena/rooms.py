"""What stands where: a seed becomes a Layout, the same one on every machine; no engine is needed for it."""

import math
import random
from dataclasses import dataclass
from typing import Final

from protege.arena.tasks import GOALS, KINDS, Goal, Kind, Task
from protege.arena.udmf import CELL, SIDES

BASE_SEEDS: Final = range(0, 5_000)
"""Reserved for the base model that is published with the program."""
USER_SEEDS: Final = range(5_000, 10_000)
"""For recordings made on the user's machine."""
EVAL_SEED_START: Final = 10_000
"""Evaluation seeds begin here; nothing is ever trained on them."""

PANEL_CELLS: Final = 4
"""Doors, stairs and the panel of posters are this many cells wide."""
STEPS: Final = 5
STEP_RISE: Final = 16

Point = tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """Where a player stands and looks. angle_deg: 0 is east, 90 north; pitch_deg: positive looks down."""

    x: float
    y: float
    z: float = 0.0
    angle_deg: float = 0.0
    pitch_deg: float = 0.0

    def distance(self, point: Point) -> float:
        """Map units on the floor to a point."""
        return math.hypot(point[0] - self.x, point[1] - self.y)

    def bearing(self, point: Point) -> float:
        """Degrees to turn to face a point, in [-180, 180); positive is to the left."""
        wanted = math.degrees(math.atan2(point[1] - self.y, point[0] - self.x))
        return (wanted - self.angle_deg + 180.0) % 360.0 - 180.0


@dataclass(frozen=True)
class Room:
    """A rectangle of cells; x and y of its edges in map units are derived."""

    col: int
    row: int
    cols: int
    rows: int

    @property
    def rect(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in map units."""
        return self.col * CELL, self.row * CELL, (self.col + self.cols) * CELL, (self.row + self.rows) * CELL

    def holds(self, point: Point, margin: float = 0.0) -> bool:
        """Whether a point lies inside, at least `margin` from every wall."""
        west, south, east, north = self.rect
        return west + margin <= point[0] <= east - margin and south + margin <= point[1] <= north - margin


@dataclass(frozen=True)
class Feature:
    """Something in a wall of a room: side "n", "e", "s" or "w", `cells` wide from cell `first` along that wall."""

    side: str
    first: int
    cells: int
    room: Room

    @property
    def inward(self) -> Point:
        """Unit vector from the wall into the room."""
        dc, dr = SIDES[self.side]
        return -dc, -dr

    @property
    def center(self) -> Point:
        """Its middle on the wall's line."""
        west, south, east, north = self.room.rect
        along = (self.first + self.cells / 2) * CELL
        return {"n": (west + along, north), "s": (west + along, south)}.get(
            self.side, (east if self.side == "e" else west, south + along)
        )

    def front(self, distance: float) -> Point:
        """The point `distance` in front of its middle; negative is behind the wall."""
        return self.center[0] + self.inward[0] * distance, self.center[1] + self.inward[1] * distance

    def facing_deg(self, angle_deg: float) -> float:
        """Angle between a line of sight and the wall's normal: 0 looks straight at it."""
        normal = math.degrees(math.atan2(-self.inward[1], -self.inward[0]))
        return abs((angle_deg - normal + 180.0) % 360.0 - 180.0)

    def incidence_deg(self, point: Point) -> float:
        """Angle between the wall's normal and the way to a point: 0 straight in front, over 90 behind."""
        dx, dy = point[0] - self.center[0], point[1] - self.center[1]
        ahead = dx * self.inward[0] + dy * self.inward[1]
        return math.degrees(math.atan2(abs(dx * self.inward[1] - dy * self.inward[0]), ahead))


@dataclass(frozen=True)
class Placed:
    """An object of a kind at a place; `tid` is its number in the map."""

    kind: Kind
    x: int
    y: int
    tid: int

    @property
    def at(self) -> Point:
        return self.x, self.y


@dataclass(frozen=True)
class Style:
    """Textures and light (0 dark to 255) of a layout."""

    wall: str
    floor: str
    ceiling: str
    door: str
    light: int


@dataclass(frozen=True)
class Layout:
    """Everything that is in one episode's map, and what is asked there.

    rooms: the main room, and sometimes a second one behind `opening`. door, stairs, posters: where the map has one.
    """

    seed: int
    goal: Goal
    objects: tuple[Placed, ...]
    start: Pose
    style: Style
    rooms: tuple[Room, ...]
    opening: Feature | None = None
    door: Feature | None = None
    stairs: Feature | None = None
    posters: Feature | None = None

    @property
    def target(self) -> Placed | None:
        """The object a go-to goal asks for."""
        return next((placed for placed in self.objects if placed.kind == self.goal.kind), None)

    @property
    def distractors(self) -> tuple[Placed, ...]:
        """The objects that are not asked for."""
        return tuple(placed for placed in self.objects if placed.kind != self.goal.kind)

    @property
    def aim(self) -> Point:
        """Where a player looks for the goal: the object, or the middle of the door, stairs or posters."""
        if (target := self.target) is not None:
            return target.at
        feature = {Task.OPEN_DOOR: self.door, Task.CLIMB_STAIRS: self.stairs, Task.CHECK_POSTERS: self.posters}
        found = feature[self.goal.task]
        assert found is not None, "a layout has what its goal asks for"
        return found.center


# Grey, brown and sandy walls only, so that nothing competes with the colours that goals name.
_WALLS: Final = (
    *("STONE2", "STONE3", "GRAY1", "GRAYBIG", "BRICK1", "BRICK7", "BROWN1", "BROWN96", "A-CONCTE", "A-BRICK1"),
    *("A-BRICK3", "A-WOOD1", "WOOD12", "STUCCO", "STUCCO1", "TANROCK3", "ICKWALL1", "STARGR1", "BIGBRIK1"),
    *("BIGBRIK2", "BSTONE2", "AQCONC01"),
)
_FLOORS: Final = (
    *("FLOOR0_1", "FLOOR0_2", "FLOOR0_3", "FLOOR0_6", "FLOOR4_6", "FLOOR4_8", "FLOOR5_2", "FLOOR5_4", "FLOOR7_1"),
    *("FLAT1_1", "FLAT5", "FLAT5_4", "FLAT5_5", "FLAT8", "FLAT10", "FLAT20", "MFLR8_1", "RROCK09", "RROCK13"),
    *("SLIME16", "CEIL5_2"),
)
_CEILINGS: Final = (
    *("CEIL3_5", "CEIL5_1", "CEIL1_1", "CEIL3_1", "CEIL3_3", "FLAT18", "FLAT1", "FLOOR7_1", "FLAT5_5"),
    *("F_SKY1", "F_SKY1"),
)
_DOORS: Final = ("BIGDOOR2", "BIGDOOR6", "ZELDOOR", "BIGDOOR1")

_WALL_MARGIN: Final = 72.0
_APART: Final = 136.0
_PATH_CLEARANCE: Final = 64.0
_OBSTRUCTED_SHARE: Final = 0.15
_FEATURE_SHARE: Final = 0.4
_SECOND_ROOM_SHARE: Final = 0.25


def layout(seed: int, goal: Goal | None = None) -> Layout:
    """The layout of a seed; with `goal`, the one of that seed that asks for it. Equal arguments, equal layouts."""
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
    style = Style(
        wall=rng.choice(_WALLS),
        floor=rng.choice(_FLOORS),
        ceiling=rng.choice(_CEILINGS),
        door=rng.choice(_DOORS),
        light=rng.choice((192, 208, 224, 240, 255)),
    )
    west, south, east, north = main.rect
    at = (round(rng.uniform(west + 96, east - 96)), round(rng.uniform(south + 96, north - 96)))
    start = Pose(*at, angle_deg=float(rng.randrange(360)))
    objects = _objects(goal, rooms, tuple(features.values()), start, rng)
    if objects is None:
        return None
    made = Layout(seed, goal, objects, start, style, rooms, **features)
    return made if _playable(made, rng) else None


def _features(goal: Goal, main: Room, rng: random.Random) -> dict[str, Feature]:
    """Door, stairs, posters and opening, each in a wall of its own; the goal's is always there."""
    needed = {Task.OPEN_DOOR: "door", Task.CLIMB_STAIRS: "stairs", Task.CHECK_POSTERS: "posters"}.get(goal.task)
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
    feature = {Task.OPEN_DOOR: made.door, Task.CLIMB_STAIRS: made.stairs, Task.CHECK_POSTERS: made.posters}
    goal_feature = feature.get(made.goal.task)
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
