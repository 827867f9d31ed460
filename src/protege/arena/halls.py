"""The halls of goals that need memory: two ends that look alike, a turntable between them, posters along the north.

Who steps on the turntable stands in its middle, facing north, as if placed there: whatever he did before, he sees the
same picture, as far from either end. Only earlier pictures say to which end he has to go.
"""

import random
from dataclasses import replace
from typing import Final

from protege.arena.layouts import PANEL_CELLS, Feature, Layout, Placed, Pose, Room, draw_style
from protege.arena.tasks import KINDS, Goal, MemoryTask

ROWS: Final = 6
TURNTABLE_CELLS: Final = 6
"""Wide enough that the mark cannot be touched from outside."""
_HALF_CELLS: Final = (10, 12)
"""How far the hall reaches to either side of its middle, in cells."""
_END_UNITS: Final = 48
"""From the wall of an end to the object that stands there."""
_START_UNITS: Final = 112
"""From that wall to one who begins there."""
_MARK_UNITS: Final = 24
"""From the north wall to the mark."""
_NORTH_DEG: Final = 90.0
_TORCHES: Final = ("red torch", "green torch", "blue torch")
_PILLARS: Final = ("red pillar", "green pillar", "blue pillar", "yellow pillar")
_MARKS: Final = ("lantern", "candelabra", "tree", "barrel")


def draw(seed: int, goal: Goal, task: MemoryTask) -> Layout:
    """The hall of a seed. Equal arguments, equal layouts."""
    rng = random.Random(f"protege-arena {seed} {goal.name}")
    half = rng.randint(*_HALF_CELLS)
    hall = Room(-half, 0, 2 * half, ROWS)
    turntable = Room(-TURNTABLE_CELLS // 2, 0, TURNTABLE_CELLS, ROWS)
    style = draw_style(rng)
    begins_west = rng.random() < 0.5
    west, _, east, north = hall.rect
    # They tell north from south, so that a picture of the way shows which way it was.
    posters = Feature("n", 0, hall.cols, hall)
    mark = Placed(KINDS[rng.choice(_MARKS)], 0, round(north) - _MARK_UNITS, 1)
    ends = KINDS[rng.choice(_TORCHES if task is MemoryTask.BOTH_TORCHES else _PILLARS)]
    middle = round(hall.middle[1])
    at_west = Placed(ends, round(west) + _END_UNITS, middle, 2)
    at_east = Placed(ends, round(east) - _END_UNITS, middle, 3)
    near, far = (at_west, at_east) if begins_west else (at_east, at_west)
    begin_x = west + _START_UNITS if begins_west else east - _START_UNITS
    toward, away = (0.0, 180.0) if begins_west else (180.0, 0.0)
    start = Pose(begin_x, middle, angle_deg=toward)
    made = Layout(
        seed, goal, (mark, near, far), start, style, (hall,), turntable=turntable, posters=posters, legs=(mark, near)
    )
    match task:
        case MemoryTask.GO_BACK:
            return made
        case MemoryTask.BOTH_TORCHES:
            return replace(made, start=Pose(*turntable.middle, angle_deg=_NORTH_DEG), legs=(at_east, at_west))
        case MemoryTask.OTHER_DOOR:
            first = (ROWS - PANEL_CELLS) // 2
            doors = [Feature(side, first, PANEL_CELLS, hall) for side in ("w", "e")]
            entrance, door = doors if begins_west else doors[::-1]
            start = Pose(begin_x, middle, angle_deg=away)
            return replace(made, objects=(mark,), start=start, legs=(), door=door, entrance=entrance)
