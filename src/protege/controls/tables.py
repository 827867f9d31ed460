"""Tables of the 28 controls, the five heads, the 46 fields of the game's state and the 671 inputs.

Every slice, label and config list is derived from them; no index stands anywhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["held", "pulse", "axis", "slot", "pointer"]
"""held: 1 while it is held; pulse: 1 on the frame it is pressed; axis: -1 to 1; slot: 1 on the frame it is chosen;
pointer: 0 to 1 of the screen's width or height.
"""


@dataclass(frozen=True)
class Control:
    """One of the 28 columns. head: which output of the model it belongs to."""

    name: str
    head: str
    kind: Kind


@dataclass(frozen=True)
class StateField:
    """One of the 46 numbers of the game's state. default: its value while nothing is known of the game."""

    name: str
    default: float = 0.0


CONTROLS: Final = (
    Control("move_forward", "action", "held"),
    Control("move_backward", "action", "held"),
    Control("strafe_left", "action", "held"),
    Control("strafe_right", "action", "held"),
    Control("sprint", "action", "held"),
    Control("sneak", "action", "held"),
    Control("jump", "action", "pulse"),
    Control("attack", "action", "pulse"),
    Control("use_item", "action", "held"),
    Control("look_yaw", "look", "axis"),
    Control("look_pitch", "look", "axis"),
    Control("drop_item", "action", "pulse"),
    Control("swap_offhand", "action", "pulse"),
    Control("open_inventory", "action", "pulse"),
    *(Control(f"hotbar_{slot}", "hotbar", "slot") for slot in range(1, 10)),
    Control("cursor_x", "cursor", "pointer"),
    Control("cursor_y", "cursor", "pointer"),
    Control("inv_left_click", "inventory", "pulse"),
    Control("inv_right_click", "inventory", "pulse"),
    Control("inv_shift", "inventory", "held"),
)

NAMES: Final = tuple(control.name for control in CONTROLS)
HEAD_NAMES: Final = ("action", "look", "hotbar", "cursor", "inventory")


def columns(names: Sequence[str]) -> NDArray[np.intp]:
    """Where named controls stand; ValueError for a name that does not exist."""
    return np.array([NAMES.index(name) for name in names], dtype=np.intp)


HEADS: Final[dict[str, NDArray[np.intp]]] = {
    head: columns([control.name for control in CONTROLS if control.head == head]) for head in HEAD_NAMES
}
"""The columns of each head's controls, in the order of its outputs."""

SCREEN_HEADS: Final = ("cursor", "inventory")
"""Heads whose controls mean something only while a screen is open; those of the others, only while none is."""


def head_names(head: str) -> tuple[str, ...]:
    """The names of a head's controls, in the order of its outputs."""
    return tuple(NAMES[column] for column in HEADS[head])


OPEN_INVENTORY: Final = NAMES.index("open_inventory")
OPEN_INVENTORY_ACTION: Final = head_names("action").index("open_inventory")
"""Its place among the action head's outputs: the one action that means something in both modes (it also closes)."""

STATE: Final = (
    *(StateField(f"mainhand_{kind}", float(kind == "empty")) for kind in
      ("melee", "ranged", "place", "eat", "tool", "empty", "other")),
    *(StateField(f"offhand_{kind}", float(kind == "empty")) for kind in ("shield", "food", "totem", "empty")),
    StateField("health", 1.0),
    StateField("hunger", 1.0),
    StateField("armor"),
    StateField("on_ground", 1.0),
    StateField("in_water"),
    StateField("swimming"),
    StateField("flying"),
    StateField("climbing"),
    StateField("on_fire"),
    StateField("sprinting"),
    StateField("sneaking"),
    StateField("fall_distance"),
    StateField("velocity_y"),
    StateField("attack_cooldown", 1.0),
    StateField("using_item"),
    StateField("blocking"),
    StateField("item_use_progress"),
    StateField("recently_hurt"),
    StateField("crosshair_entity"),
    StateField("crosshair_block"),
    StateField("target_hostile"),
    StateField("target_distance"),
    StateField("nearest_hostile"),
    StateField("hostile_yaw"),
    StateField("hostile_count"),
    StateField("time_of_day"),
    StateField("survival"),
    StateField("screen"),
    StateField("speed"),
    StateField("slowness"),
    StateField("strength"),
    StateField("damage_over_time"),
    StateField("fire_resistance"),
    StateField("slot"),
    StateField("horizontal_collision"),
)  # fmt: skip

STATE_NAMES: Final = tuple(field.name for field in STATE)
DEFAULT_STATE: Final = np.array([field.default for field in STATE], dtype=np.float32)
DEFAULT_STATE.setflags(write=False)


SCREEN: Final = STATE_NAMES.index("screen")
SLOT: Final = STATE_NAMES.index("slot")
SLOTS: Final = len(HEADS["hotbar"])

POSE_POINTS: Final = 33
HAND_POINTS: Final = 21
HISTORY_FRAMES: Final = 5
WINDOW: Final = 30
"""Frames the model sees at once: one second at 30 a second."""


def _slices(sizes: dict[str, int]) -> dict[str, slice]:
    ends = list(accumulate(sizes.values()))
    return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}


INPUTS: Final = _slices(
    {
        "pose": 3 * POSE_POINTS,
        "left_hand": 3 * HAND_POINTS,
        "right_hand": 3 * HAND_POINTS,
        "left_present": 1,
        "right_present": 1,
        "visibility": POSE_POINTS,
        "velocity": 3 * (POSE_POINTS + 2 * HAND_POINTS),
        "state": len(STATE),
        "history": HISTORY_FRAMES * len(CONTROLS),
    }
)
"""The slices of an input row, in order; a recorded frame is the part before the velocity. Metres, hip-centred."""

COORDINATES: Final = slice(INPUTS["pose"].start, INPUTS["right_hand"].stop)
"""The landmarks' coordinates within a frame: what the velocity is the difference of."""
FRAME: Final = INPUTS["visibility"].stop
INPUT: Final = INPUTS["history"].stop


def hotbar_slot(value: float) -> int:
    """The slot, 0 to 8, that the state's field stands for."""
    return round(float(value) * (SLOTS - 1))
