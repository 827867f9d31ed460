"""Conversion of recordings of version 1, with 10 controls and 16 or 24 numbers of state."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.tables import CONTROLS, DEFAULT_STATE, FRAME, INPUTS, NAMES, STATE, STATE_NAMES

Array = NDArray[np.generic]

CONTROLS_V1: Final = (
    "move_forward",
    "strafe_left",
    "strafe_right",
    "sprint",
    "sneak",
    "jump",
    "attack",
    "use_item",
    "look_yaw",
    "look_pitch",
)

STATE_V1: Final[tuple[tuple[str | None, float], ...]] = (
    ("mainhand_melee", 1),
    ("mainhand_ranged", 1),
    ("mainhand_place", 1),
    ("mainhand_eat", 1),
    (None, 1),  # whether the item can block
    ("mainhand_tool", 1),
    ("mainhand_empty", 1),
    ("health", 1),
    ("hunger", 1),
    ("on_ground", 1),
    ("in_water", 1),
    ("sprinting", 1),
    ("sneaking", 1),
    ("blocking", 1),
    ("using_item", 1),
    ("fall_distance", 10 / 20),
    ("attack_cooldown", 1),
    ("crosshair_entity", 1),
    ("crosshair_block", 1),
    ("velocity_y", 1 / 3),
    ("offhand_shield", 1),
    ("swimming", 1),
    ("item_use_progress", 1),
    ("on_fire", 1),
)
"""Each old field's new name and what it is multiplied by: the scales of fall distance and vertical speed changed."""

OLD_STATE_WIDTHS: Final = (16, 24)

LEGACY: Final = (
    *("pose_world", "left_hand_3d", "right_hand_3d", "pose_visibility"),
    *("left_hand_present", "left_present", "right_hand_present", "right_present"),
)
"""The arrays of version 1 that became `frames`."""


def convert_v1(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a version 2 recording. ValueError if they are not those of version 1."""
    pose = np.asarray(_either(arrays, "pose_world"), dtype=np.float32)
    length = len(pose)
    parts = {
        "pose": pose,
        "left_hand": _either(arrays, "left_hand_3d"),
        "right_hand": _either(arrays, "right_hand_3d"),
        "left_present": _either(arrays, "left_hand_present", "left_present"),
        "right_present": _either(arrays, "right_hand_present", "right_present"),
        "visibility": _either(arrays, "pose_visibility"),
    }
    frames = np.empty((length, FRAME), dtype=np.float32)
    for name, part in parts.items():
        where = INPUTS[name]
        frames[:, where] = np.asarray(part, dtype=np.float32).reshape(length, where.stop - where.start)
    converted = {**arrays, "frames": frames, "controls": convert_controls(np.asarray(arrays["controls"]))}
    if "game_state" in arrays:
        converted["game_state"] = convert_state(np.asarray(arrays["game_state"], np.float64))
    return converted


def convert_controls(old: Array) -> NDArray[np.float32]:
    """(N, 28) controls of (N, 10) old ones; other widths are padded with zeros or cut."""
    new = np.zeros((len(old), len(CONTROLS)), dtype=np.float32)
    if old.shape[1] == len(CONTROLS_V1):
        new[:, [NAMES.index(name) for name in CONTROLS_V1]] = old
    else:
        width = min(old.shape[1], len(CONTROLS))
        new[:, :width] = old[:, :width]
    return new


def convert_state(old: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, 46) state of (N, 16) or (N, 24) old state; fields it did not have get their default; wider is cut to 46."""
    width = old.shape[1]
    if width >= len(STATE):
        return np.asarray(old[:, : len(STATE)], dtype=np.float32)
    if width not in OLD_STATE_WIDTHS:
        raise ValueError(f"game_state is {width} wide; expected 16, 24 or 46")
    new = np.tile(DEFAULT_STATE, (len(old), 1))
    for column, (name, scale) in enumerate(STATE_V1[:width]):
        if name is not None:
            new[:, STATE_NAMES.index(name)] = old[:, column] * np.float32(scale)
    shield = new[:, STATE_NAMES.index("offhand_shield")]
    new[:, STATE_NAMES.index("offhand_empty")] = 1 - shield
    return new


def _either(arrays: Mapping[str, Array], *names: str) -> Array:
    for name in names:
        if name in arrays:
            return arrays[name]
    raise ValueError(f"there is no {names[0]} in it")
