"""The nouns of a map: rooms, walls with something in them, objects, and the Layout that says what stands where."""

import math
import random
from dataclasses import dataclass
from typing import Final

from protege.arena.tasks import Goal, Kind, MemoryTask, Task
from protege.arena.udmf import CELL, SIDES

PANEL_CELLS: Final = 4
"""Doors, stairs and the panel of posters are this many cells wide."""

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
    def middle(self) -> Point:
        """Its middle in map units."""
        west, south, east, north = self.rect
        return (west + east) / 2, (south + north) / 2

    @property
    def rect(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in map units."""
        return self.col * CELL, self.row * CELL, (self.col + self.cols) * CELL, (self.row + self.rows) * CELL

    def holds_cell(self, coord: tuple[int, int]) -> bool:
        """Whether a cell is one of its own."""
        return 0 <= coord[0] - self.col < self.cols and 0 <= coord[1] - self.row < self.rows

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
    Only where a goal needs memory (halls.py): turntable: floor that sends who steps on it to its middle, facing north;
    entrance: the door that one came in by; legs: what the goal asks to touch, one after another.
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
    turntable: Room | None = None
    entrance: Feature | None = None
    legs: tuple[Placed, ...] = ()

    @property
    def target(self) -> Placed | None:
        """The object a go-to goal asks for."""
        return next((placed for placed in self.objects if placed.kind == self.goal.kind), None)

    @property
    def distractors(self) -> tuple[Placed, ...]:
        """The objects that are not asked for."""
        return tuple(placed for placed in self.objects if placed.kind != self.goal.kind)

    def wall(self, task: Task | MemoryTask) -> Feature | None:
        """The door, stairs or posters that a task is about; None for others, or where the map has none."""
        match task:
            case Task.OPEN_DOOR | MemoryTask.OTHER_DOOR:
                return self.door
            case Task.CLIMB_STAIRS:
                return self.stairs
            case Task.CHECK_POSTERS:
                return self.posters
            case _:
                return None

    @property
    def aim(self) -> Point:
        """Where a player looks for the goal: the (last) object, or the middle of the door, stairs or posters."""
        if (target := self.target) is not None:
            return target.at
        if self.legs:
            return self.legs[-1].at
        found = self.wall(self.goal.task)
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


def draw_style(rng: random.Random) -> Style:
    """A style by chance."""
    return Style(
        wall=rng.choice(_WALLS),
        floor=rng.choice(_FLOORS),
        ceiling=rng.choice(_CEILINGS),
        door=rng.choice(_DOORS),
        light=rng.choice((192, 208, 224, 240, 255)),
    )
