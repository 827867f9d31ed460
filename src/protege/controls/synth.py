"""Synthetic recordings: a simulated player whose body follows the controls, late, noisy and with hands missing.

The rule is known, so that a model can be compared with the best that can be read from the body (`decode`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.recordings import Recording, write
from protege.controls.tables import (
    CONTROLS,
    COORDINATES,
    DEFAULT_STATE,
    FRAME,
    HAND_POINTS,
    HEADS,
    INPUTS,
    NAMES,
    OPEN_INVENTORY,
    POSE_POINTS,
    SCREEN,
    SLOT,
    SLOTS,
    STATE_NAMES,
)
from protege.errors import UserError

Floats = NDArray[np.float32]

INVENTORY_SCREEN: Final = 0.33
HEAD, UPPER = tuple(range(11)), tuple(range(23))
LEFT_ARM, RIGHT_ARM = (13, 15, 17, 19, 21), (14, 16, 18, 20, 22)
LEFT_LEG, RIGHT_LEG = (25, 27, 29, 31), (26, 28, 30, 32)
X, Y, Z = 0, 1, 2

POSE_GESTURES: Final[dict[str, tuple[tuple[tuple[int, ...], int, float], ...]]] = {
    "move_forward": ((UPPER, Z, -0.15),),
    "move_backward": ((LEFT_LEG + RIGHT_LEG, Z, 0.15),),
    "strafe_left": ((LEFT_LEG, X, -0.15),),
    "strafe_right": ((RIGHT_LEG, X, 0.15),),
    "sprint": (((13, 14), Y, -0.2),),
    "sneak": ((UPPER, Y, 0.15),),
    "jump": ((tuple(range(POSE_POINTS)), Y, -0.15),),
    "attack": ((RIGHT_ARM, Z, -0.25),),
    "use_item": ((LEFT_ARM, Z, -0.25),),
    "look_yaw": ((HEAD, X, 0.15),),
    "look_pitch": ((HEAD, Y, 0.12),),
    "drop_item": ((RIGHT_ARM, Y, 0.25),),
    "swap_offhand": ((LEFT_ARM, X, 0.2), (RIGHT_ARM, X, -0.2)),
    "open_inventory": ((LEFT_ARM, Y, -0.3),),
}
"""Which points of the body go where, and how many metres, when a control is fully on."""

PRESS: Final = np.array([0.2, 0.55, 1.0, 0.55, 0.2], dtype=np.float32)
"""How a short gesture comes and goes around the frame of its press."""
SLOT_ITEMS: Final = ("melee", "ranged", "place", "eat", "tool", "tool", "tool", "place", "empty")


@dataclass(frozen=True)
class Habits:
    """Rates of what a player does, per second, and durations, in seconds."""

    moves: float = 0.4
    fights: float = 0.2
    changes: float = 0.15
    screens: float = 0.02
    screen_s: float = 5.0


TYPES: Final = {
    "movement": Habits(moves=0.7, fights=0.03, changes=0.05, screens=0.01),
    "combat": Habits(fights=0.7, changes=0.3, screens=0.01),
    "inventory": Habits(moves=0.2, fights=0.03, screens=0.1, screen_s=8.0),
    "mixed": Habits(),
}


@dataclass(frozen=True)
class SynthOptions:
    """How recordings are made.

    noise: standard deviation, metres, of every landmark.
    delay: frames by which the body is late.
    missing: share of the time that a hand is not seen.
    """

    frames: int = 3000
    fps: float = 30.0
    noise: float = 0.01
    delay: int = 1
    missing: float = 0.1

    def __post_init__(self) -> None:
        if self.frames < 30:
            raise UserError(f"--frames {self.frames}: expected 30 or more")
        if not (self.noise >= 0 and 0 <= self.delay <= 10 and 0 <= self.missing < 1 and self.fps > 0):
            raise UserError(f"{self}: expected noise >= 0, delay 0 to 10, missing from 0 to below 1, fps above 0")


def synthesize(seed: int, session_type: str = "mixed", options: SynthOptions | None = None) -> Recording:
    """One recording; the same seed, type and options give the same one. UserError for an unknown type."""
    options = options or SynthOptions()
    if session_type not in TYPES:
        raise UserError(f"--type {session_type}: expected one of {', '.join(TYPES)}")
    rng = np.random.default_rng([seed, list(TYPES).index(session_type)])
    controls, screen = _press(TYPES[session_type], options, rng)
    state = _game(controls, screen, options.fps)
    frames = _body(controls, screen, options, rng)
    times = np.arange(options.frames) / options.fps
    return Recording(frames, controls, state, times, options.fps, session_type)


def write_recordings(
    folder: Path, count: int, seed: int = 0, session_type: str | None = None, options: SynthOptions | None = None
) -> Iterator[Path]:
    """Write `count` recordings, of all types in turn unless one is asked for; yields each file once it is there."""
    for number in range(count):
        kind = session_type or list(TYPES)[number % len(TYPES)]
        yield write(synthesize(seed + number, kind, options), folder / f"synth_{seed + number:04d}_{kind}.npz")


def decode(recording: Recording) -> Floats:
    """(N, 28) what the rule reads from the body alone, frame by frame and without looking ahead: the ceiling for a
    model that does not see what was pressed before.
    """
    is_open = np.concatenate(([False], recording.game_state[:-1, SCREEN] > 0))
    offsets = recording.frames[:, COORDINATES] - _stance()
    strength = offsets @ np.linalg.pinv(_gestures())
    rising = np.diff(strength, axis=0, prepend=0) > 0.2
    read = np.zeros((len(recording), len(CONTROLS)), dtype=np.float32)
    for column, control in enumerate(CONTROLS):
        value = strength[:, column]
        if control.kind in ("pulse", "slot"):
            read[:, column] = (value > 0.75) & rising[:, column]
        elif control.kind == "held":
            read[:, column] = value > 0.5
        else:
            read[:, column] = value
    read[:, HEADS["cursor"]] = np.clip(read[:, HEADS["cursor"]] + 0.5, 0, 1)
    for head in HEADS:
        allowed = is_open if head in ("cursor", "inventory") else ~is_open
        read[np.ix_(~allowed, [c for c in HEADS[head] if c != OPEN_INVENTORY])] = 0
    return read


def _press(habits: Habits, options: SynthOptions, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """(N, 28) what the player presses, and (N,) whether a screen is open, as a recorder sees them."""
    count, fps = options.frames, options.fps
    controls = np.zeros((count, len(CONTROLS)), dtype=np.float32)

    def put(name: str, values: NDArray[np.bool_]) -> None:
        controls[:, NAMES.index(name)] = values

    screen = _spells(count, habits.screens, habits.screen_s, fps, rng)
    forward = _spells(count, habits.moves, 1.5, fps, rng)
    left = _spells(count, habits.moves / 3, 0.6, fps, rng)
    put("move_forward", forward)
    put("move_backward", _spells(count, habits.moves / 5, 0.6, fps, rng) & ~forward)
    put("strafe_left", left)
    put("strafe_right", _spells(count, habits.moves / 3, 0.6, fps, rng) & ~left)
    put("sprint", forward & _spells(count, habits.moves / 2, 1.5, fps, rng))
    put("sneak", _spells(count, habits.moves / 8, 1.0, fps, rng))
    put("use_item", _spells(count, habits.fights, 0.8, fps, rng))
    for name, rate in (
        ("jump", habits.moves),
        ("attack", 2 * habits.fights),
        ("drop_item", 0.05),
        ("swap_offhand", 0.05),
    ):
        put(name, _presses(count, rate, fps, rng))
    for name in ("look_yaw", "look_pitch"):
        turning = _spells(count, habits.moves, 1.0, fps, rng)
        controls[:, NAMES.index(name)] = np.clip(_wander(count, 0.9, rng) * turning, -1, 1)
    _choose_slots(controls, _presses(count, habits.changes, fps, rng), rng)
    controls[screen] = 0
    for column in HEADS["cursor"]:
        controls[:, column] = screen * np.clip(0.5 + 0.3 * _wander(count, 0.95, rng), 0, 1)
    for name, rate in (("inv_left_click", 0.8), ("inv_right_click", 0.3)):
        put(name, screen & _presses(count, rate, fps, rng))
    put("inv_shift", screen & _spells(count, 0.3, 1.0, fps, rng))
    controls[:, OPEN_INVENTORY] = np.diff(screen, prepend=screen[:1])
    return controls, screen


def _choose_slots(controls: Floats, when: NDArray[np.bool_], rng: np.random.Generator) -> None:
    slot = 0
    for frame in np.flatnonzero(when):
        slot = (slot + int(rng.integers(1, SLOTS))) % SLOTS
        controls[frame, HEADS["hotbar"][slot]] = 1


def _game(controls: Floats, screen: NDArray[np.bool_], fps: float) -> Floats:
    """(N, 46) the game's state, which already shows what was pressed in the same frame."""
    state = np.tile(DEFAULT_STATE, (len(controls), 1))
    state[:, SCREEN] = np.where(screen, np.float32(INVENTORY_SCREEN), np.float32(0))
    for field, control in (("sprinting", "sprint"), ("sneaking", "sneak"), ("using_item", "use_item")):
        state[:, STATE_NAMES.index(field)] = controls[:, NAMES.index(control)]
    chosen = controls[:, HEADS["hotbar"]]
    last = np.maximum.accumulate(np.where(chosen.any(axis=1), np.arange(len(controls)), -1))
    slot = np.where(last >= 0, chosen[last].argmax(axis=1), 0)
    state[:, SLOT] = slot / (SLOTS - 1)
    state[:, STATE_NAMES.index("mainhand_empty")] = 0
    kinds = np.array([STATE_NAMES.index(f"mainhand_{kind}") for kind in SLOT_ITEMS])
    state[np.arange(len(state)), kinds[slot]] = 1
    state[:, STATE_NAMES.index("attack_cooldown")] = _since(controls[:, NAMES.index("attack")], 0.6 * fps)
    in_air = _since(controls[:, NAMES.index("jump")], 0.4 * fps) < 1
    state[:, STATE_NAMES.index("on_ground")] = ~in_air
    return state


def _body(controls: Floats, screen: NDArray[np.bool_], options: SynthOptions, rng: np.random.Generator) -> Floats:
    """(N, 260) landmarks that follow from the controls."""
    count = len(controls)
    shown = np.empty_like(controls)
    hold = np.concatenate((np.zeros(options.delay), 0.65 * 0.35 ** np.arange(8))).astype(np.float32)
    for column, control in enumerate(CONTROLS):
        values = controls[:, column]
        if control.kind in ("pulse", "slot"):
            shown[:, column] = np.convolve(values, PRESS, mode="same")
        else:
            values = values - 0.5 * screen if control.kind == "pointer" else values
            shown[:, column] = np.convolve(values, hold)[:count]
    frames = np.empty((count, FRAME), dtype=np.float32)
    body = frames[:, COORDINATES]
    np.matmul(shown, _gestures(), out=body)
    body += _stance()
    body += rng.standard_normal(body.shape, dtype=np.float32) * np.float32(options.noise)
    for axis in (X, Y, Z):
        body[:, axis : INPUTS["pose"].stop : 3] += 0.02 * _wander(count, 0.99, rng)[:, None]
    for hand in ("left", "right"):
        gone = _spells(count, options.missing / 0.8, 0.8, options.fps, rng)
        frames[:, INPUTS[f"{hand}_present"]] = ~gone[:, None]
        frames[gone, INPUTS[f"{hand}_hand"]] = 0
    frames[:, INPUTS["visibility"]] = rng.uniform(0.7, 1, (count, POSE_POINTS))
    return frames


@cache
def _gestures() -> Floats:
    """(28, 225) how far every coordinate goes when a control is fully on."""
    rng = np.random.default_rng(2026)
    gestures = np.zeros((len(CONTROLS), COORDINATES.stop), dtype=np.float32)
    for name, moves in POSE_GESTURES.items():
        for points, axis, metres in moves:
            gestures[NAMES.index(name), [3 * point + axis for point in points]] = metres
    for head, hand in (("hotbar", "right_hand"), ("cursor", "right_hand"), ("inventory", "right_hand")):
        gestures[HEADS[head], INPUTS[hand]] = rng.normal(0, 0.05, (len(HEADS[head]), 3 * HAND_POINTS))
    gestures.setflags(write=False)
    return gestures


@cache
def _stance() -> Floats:
    """(225,) somebody who stands still, the hips in the middle, y downwards."""
    side = np.where(np.arange(POSE_POINTS) % 2, -1.0, 1.0)
    height = np.repeat([-0.65, -0.5, -0.25, 0.0, 0.0, 0.4, 0.8, 0.85], [11, 2, 2, 8, 2, 2, 2, 4])
    width = np.repeat([0.05, 0.18, 0.25, 0.3, 0.1, 0.1, 0.12, 0.14], [11, 2, 2, 8, 2, 2, 2, 4])
    pose = np.stack([side * width, height, np.zeros(POSE_POINTS)], axis=1)
    finger = np.arange(HAND_POINTS)
    hand = np.stack([0.02 * (finger % 5), -0.03 * (finger // 5), np.full(HAND_POINTS, 0.01)], axis=1)
    return np.concatenate([pose.ravel(), (hand * (-1, 1, 1)).ravel(), hand.ravel()]).astype(np.float32)


def _spells(count: int, rate: float, seconds: float, fps: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N,) true now and then: about `rate` times a second while it is not, for about `seconds`."""
    pieces = 2 * int(count * rate / fps + 10)
    off = rng.exponential(fps / max(rate, 1e-9), pieces)
    on = rng.exponential(fps * seconds * 0.7, pieces) + 0.3 * fps * seconds
    edges = np.cumsum(np.stack([off, on], axis=1).ravel()).astype(int)
    edges = edges[edges < count]
    change = np.zeros(count, dtype=int)
    np.add.at(change, edges, np.resize([1, -1], len(edges)))
    return np.cumsum(change) > 0


def _presses(count: int, rate: float, fps: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N,) true for single frames, about `rate` times a second, never within a third of a second of each other."""
    gaps = rng.exponential(fps / max(rate, 1e-9), int(count * rate / fps * 1.5 + 20)) + fps / 3
    at = np.cumsum(gaps).astype(int)
    pressed = np.zeros(count, dtype=bool)
    pressed[at[at < count]] = True
    return pressed


def _wander(count: int, memory: float, rng: np.random.Generator) -> Floats:
    """(N,) a slow random walk around 0 with standard deviation 1."""
    kernel = memory ** np.arange(round(5 / (1 - memory)))
    steps = rng.standard_normal(count + len(kernel) - 1)
    return (np.convolve(steps, kernel, mode="valid") * (1 - memory**2) ** 0.5).astype(np.float32)


def _since(pressed: Floats, frames: float) -> Floats:
    """(N,) from 0 at a press up to 1 `frames` later."""
    last = np.maximum.accumulate(np.where(pressed > 0, np.arange(len(pressed)), -10_000))
    return np.minimum((np.arange(len(pressed)) - last) / frames, 1).astype(np.float32)
