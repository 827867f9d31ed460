"""Scripted players of ViZDoom's scenarios, which read the engine's labels, position and sectors.

They hold one key at a time and play so that what they do can be told from the picture: the same side while searching,
the nearest object while there is one, and no pause, since a picture does not say how long one has waited.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protege.core.actions import Action
from protege.errors import UserError

if TYPE_CHECKING:
    from vizdoom import DoomGame, Line, Sector

VIEW_DEG: Final = 45.0
"""Half of what is on the screen."""
_BODY: Final = 20.0
"""Half the width of whoever is shot at, in units of the map; the engine's bodies are as wide or wider."""
_AIM_DEG: Final = 2.0
_WALK_DEG: Final = 6.0
"""Whoever walks need not look more exactly than a decision's turn allows."""
_SEARCH: Final[Action] = frozenset(("right",))
_FORWARD: Final[Action] = frozenset(("w",))
_SHOOT: Final[Action] = frozenset(("space",))


@dataclass(frozen=True)
class Thing:
    """What is in sight: its bearing in degrees, above 0 to the right, and its distance in units of the map."""

    bearing: float
    distance: float

    @property
    def half_deg(self) -> float:
        """Half of the angle that a body takes up there."""
        return math.degrees(math.atan2(_BODY, self.distance))


class Scene:
    """The engine's state before a decision; the engine must tell labels, objects and sectors."""

    def __init__(self, engine: "DoomGame") -> None:
        from vizdoom import GameVariable

        self.state = engine.get_state()
        names = (GameVariable.POSITION_X, GameVariable.POSITION_Y, GameVariable.ANGLE)
        self.x, self.y, self.angle = (float(engine.get_game_variable(name)) for name in names)

    def thing(self, x: float, y: float) -> Thing:
        """A point of the map as it is seen from here."""
        to = math.degrees(math.atan2(y - self.y, x - self.x))
        return Thing((self.angle - to + 180) % 360 - 180, math.hypot(x - self.x, y - self.y))

    def seen(self, *names: str) -> list[Thing]:
        """Objects on the screen of any of these kinds, the nearest first."""
        found = [label for label in self.state.labels or () if label.object_name in names]
        things = [self.thing(label.object_position_x, label.object_position_y) for label in found]
        return sorted(things, key=lambda thing: thing.distance)


def turn(bearing: float) -> Action:
    """The key that turns to a bearing."""
    return frozenset(("right" if bearing > 0 else "left",))


def basic(scene: Scene) -> Action:
    """Steps aside until the monster is in front, and shoots."""
    seen = scene.seen("Cacodemon")
    if not seen or abs(seen[0].bearing) <= seen[0].half_deg:
        return _SHOOT
    return frozenset(("d" if seen[0].bearing > 0 else "a",))


def defend_the_center(scene: Scene) -> Action:
    """Turns to the nearest monster and shoots it; turns right where there is none."""
    seen = scene.seen("Demon", "MarineChainsawVzd")
    if not seen:
        return _SEARCH
    return _shot(seen[0])


def _shot(thing: Thing, aim_deg: float = _AIM_DEG) -> Action:
    return _SHOOT if abs(thing.bearing) <= max(thing.half_deg, aim_deg) else turn(thing.bearing)


def deadly_corridor(scene: Scene) -> Action:
    """Turns to an enemy, near and in front before others, and shoots him; walks along the corridor where none is."""
    seen = scene.seen("Zombieman", "ShotgunGuy", "ChaingunGuy")
    if seen:
        return _shot(min(seen, key=_effort), aim_deg=3.5)
    return _walked(scene.thing(_ARMOR_X, 0.0), within_deg=20.0)


_ARMOR_X: Final = 1312.0
"""Where the corridor ends."""


def _effort(thing: Thing) -> float:
    """A degree to turn counts as much as so many units of the map."""
    return thing.distance + 3 * abs(thing.bearing)


def _walked(thing: Thing, within_deg: float = _WALK_DEG) -> Action:
    return _FORWARD if abs(thing.bearing) <= max(within_deg, thing.half_deg) else turn(thing.bearing)


def health_gathering(scene: Scene) -> Action:
    """Walks to the nearest medikit; turns right where there is none."""
    seen = scene.seen("Medikit")
    return _walked(seen[0]) if seen else _SEARCH


_ARMOR: Final = (1040.0, -352.0)
"""Where it lies in my_way_home."""


def my_way_home(scene: Scene) -> Action:
    """Walks from room to room to the armor; turns right until the next door is on the screen."""
    sectors = scene.state.sectors or []
    ways = _ways(sectors, _holding(sectors, *_ARMOR))
    aim = scene.thing(*ways.get(_holding(sectors, scene.x, scene.y), _ARMOR))
    return _SEARCH if abs(aim.bearing) > VIEW_DEG else _walked(aim)


Player = Callable[[Scene], Action]
PLAYERS: Final[dict[str, Player]] = {
    "basic": basic,
    "deadly_corridor": deadly_corridor,
    "health_gathering": health_gathering,
    "defend_the_center": defend_the_center,
    "my_way_home": my_way_home,
}


def require_player(scenario: str) -> None:
    """UserError for a scenario without a scripted player."""
    if scenario not in PLAYERS:
        raise UserError(f"--scenario {scenario}: a scripted player is there for {', '.join(PLAYERS)} alone")


def _holding(sectors: "list[Sector]", x: float, y: float) -> int:
    """The sector of a point: a ray from it crosses the sector's lines an odd number of times."""
    for number, sector in enumerate(sectors):
        crossed = 0
        for line in sector.lines:
            if (line.y1 > y) != (line.y2 > y):
                crossed += x < line.x1 + (y - line.y1) * (line.x2 - line.x1) / (line.y2 - line.y1)
        if crossed % 2:
            return number
    return 0


def _ways(sectors: "list[Sector]", goal: int) -> dict[int, tuple[float, float]]:
    """For every sector but the goal's, the middle of the line that is next on the way with the fewest."""
    shared: dict[tuple[float, ...], list[int]] = {}
    for number, sector in enumerate(sectors):
        for line in sector.lines:
            if not line.is_blocking:
                shared.setdefault(_middle(line), []).append(number)
    ways: dict[int, tuple[float, float]] = {}
    reached = [goal]
    for to in reached:
        for middle, pair in shared.items():
            for number in pair:
                if to in pair and number != goal and number not in ways:
                    ways[number] = (middle[0], middle[1])
                    reached.append(number)
    return ways


def _middle(line: "Line") -> tuple[float, float]:
    return ((line.x1 + line.x2) / 2, (line.y1 + line.y2) / 2)
