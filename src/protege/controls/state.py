"""Encoding of the game's state, a JSON object from a mod, as 46 numbers. Invalid values count as unknown."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.tables import DEFAULT_STATE, SLOTS, STATE_NAMES
from protege.core.files import Json

State = Mapping[str, Json] | Sequence[float] | NDArray[np.float32]
"""As a mod sends it, or the 46 numbers."""

MAINHAND: Final = {
    **dict.fromkeys(("SWORD", "AXE", "TRIDENT"), "melee"),
    **dict.fromkeys(("BOW", "CROSSBOW"), "ranged"),
    "BLOCK": "place",
    "FOOD": "eat",
    **dict.fromkeys(("PICKAXE", "SHOVEL", "HOE", "SHEARS"), "tool"),
    "EMPTY": "empty",
}
"""Categories of items, as the mod names them."""

KEYWORDS: Final = (
    ("melee", ("sword", "_axe", "trident")),
    ("ranged", ("bow",)),
    ("eat", ("apple", "bread", "beef", "pork", "mutton", "chicken", "stew", "potato", "carrot", "food")),
    ("tool", ("pickaxe", "shovel", "hoe", "shears")),
)
"""Words of item names, for items without a category, in the order they are tried."""

OFFHAND: Final = {"SHIELD": "shield", "FOOD": "food", "TOTEM": "totem"}
SCREENS: Final = (("inventory", 0.33), ("chest", 0.66), ("container", 0.66))
OTHER_SCREEN: Final = 1.0
HARMFUL: Final = ("taking_dot", "poison", "wither")


MANY: Final = 100.0
"""More than any game sends; keeps nonsense finite."""


@dataclass(frozen=True)
class Scaled:
    """A number divided by `by` and clipped to `low` and `high`; `missing` stands in where it is not sent."""

    by: float = 1.0
    low: float = 0.0
    high: float = 1.0
    missing: float = 0.0


NUMBERS: Final = {
    "health": Scaled(20, missing=20),
    "hunger": Scaled(20, missing=20),
    "armor": Scaled(20),
    "fall_distance": Scaled(20, high=MANY),
    "velocity_y": Scaled(3, low=-1),
    "attack_cooldown": Scaled(missing=1),
    "item_use_progress": Scaled(),
    "target_distance": Scaled(6, high=MANY, missing=6),
    "nearest_hostile": Scaled(32, high=MANY, missing=32),
    "hostile_yaw": Scaled(180, low=-1),
    "hostile_count": Scaled(10, high=MANY),
    "time_of_day": Scaled(24_000),
    "slot": Scaled(SLOTS - 1),
}

FLAGS: Final = (
    *("on_ground", "in_water", "swimming", "flying", "climbing", "on_fire", "sprinting", "sneaking", "using_item"),
    *("blocking", "recently_hurt", "target_hostile", "survival", "speed", "slowness", "strength", "fire_resistance"),
    "horizontal_collision",
)


def encode_state(sent: State) -> NDArray[np.float32]:
    """(46,) float32 of what a mod sent: an object with the names of docs/controls.md, or the 46 numbers themselves.

    An empty object is `tables.DEFAULT_STATE`. A value of the wrong kind counts as not sent, so that no
    message can stop the game.
    """
    if not isinstance(sent, Mapping):
        return _numbers(sent)
    if not sent:
        return DEFAULT_STATE.copy()
    state = dict.fromkeys(STATE_NAMES, 0.0)
    state[f"mainhand_{_mainhand(sent)}"] = 1
    state[f"offhand_{OFFHAND.get(_text(sent, 'offhand_category').upper(), 'empty')}"] = 1
    for name, scaled in NUMBERS.items():
        value = _number(sent.get(name), scaled.missing) / scaled.by
        state[name] = min(max(value, scaled.low), scaled.high)
    for name in FLAGS:
        state[name] = float(_number(sent.get(name), float(name == "on_ground")) > 0)
    crosshair = _text(sent, "crosshair").upper()
    state["crosshair_entity"], state["crosshair_block"] = float(crosshair == "ENTITY"), float(crosshair == "BLOCK")
    state["damage_over_time"] = float(any(_number(sent.get(name), 0) > 0 for name in HARMFUL))
    state["screen"] = encode_screen(sent.get("screen"))
    return np.array([state[name] for name in STATE_NAMES], dtype=np.float32)


def encode_screen(screen: object) -> float:
    """0 for no screen, else what kind: a number as it is, or a name or a class name such as "InventoryScreen"."""
    if not isinstance(screen, str):
        return min(max(_number(screen, 0.0), 0.0), 1.0)
    name = screen.strip().lower()
    if name in ("", "none", "null"):
        return 0.0
    return next((value for word, value in SCREENS if word in name), OTHER_SCREEN)


def _mainhand(sent: Mapping[str, Json]) -> str:
    category, item = _text(sent, "mainhand_category").upper(), _text(sent, "mainhand_item").lower()
    if category in MAINHAND:
        return MAINHAND[category]
    if item in ("", "air", "empty"):
        return "other" if category else "empty"
    return next((kind for kind, words in KEYWORDS if any(word in item for word in words)), "other")


def _text(sent: Mapping[str, Json], name: str) -> str:
    value = sent.get(name)
    return value if isinstance(value, str) else ""


def _number(value: object, missing: float) -> float:
    """A finite number or truth value; anything else counts as missing."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return missing
    return number if math.isfinite(number) else missing


def _numbers(sent: object) -> NDArray[np.float32]:
    try:
        values = np.array(sent, dtype=np.float32)
    except (TypeError, ValueError):
        return DEFAULT_STATE.copy()
    good = values.shape == DEFAULT_STATE.shape and bool(np.isfinite(values).all())
    return values if good else DEFAULT_STATE.copy()
