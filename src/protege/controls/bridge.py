"""Bridges from a policy to a game: the protocol, the messages to a mod, and the bridge that presses keys."""

import json
from collections.abc import Mapping
from typing import Final, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from protege.controls.postprocess import ControlOutput
from protege.controls.state import State
from protege.core.actions import NO_KEYS, ActionSpace
from protege.core.devices import Keys, Window
from protege.core.files import Json
from protege.devices.pointer import NO_BUTTONS, Pointer

TURN_DEG_S: Final = 15.0 * 20
"""What a look of 1 stands for: recordings count 15 degrees a tick, and the game has 20 ticks a second."""
LONGEST_STEP_S: Final = 0.1
"""After a gap the view does not jump by all that was missed."""
TAP_S: Final = 0.06
"""How long a key is down that is pressed once: longer than a tick of the game."""
PIXELS_PER_DEG: Final = 1 / 0.15
"""Minecraft's own, at its default mouse sensitivity."""

KEYS: Final = {
    **{"move_forward": "w", "move_backward": "s", "strafe_left": "a", "strafe_right": "d"},
    **{"sprint": "ctrl", "sneak": "shift", "jump": "space", "drop_item": "q", "swap_offhand": "f"},
    **{"open_inventory": "e", "inv_shift": "shift"},
}
"""Minecraft's default keys."""
BUTTONS: Final = {"attack": "left", "use_item": "right", "inv_left_click": "left", "inv_right_click": "right"}

MINECRAFT: Final = ActionSpace(
    "MINECRAFT",
    (*dict.fromkeys(KEYS.values()), *(str(slot) for slot in range(1, 10)), "none"),
    movement=frozenset("wasd"),
)
"""The keys that may ever be pressed."""


class Bridge(Protocol):
    """Carries out a policy's decisions in a game. Not thread-safe."""

    def send(self, output: ControlOutput, time_s: float) -> None:
        """Do this now; time_s: of a clock that goes forward. Never waits for the game."""
        ...

    def state(self) -> State | None:
        """What the game last said of itself; None if it does not say."""
        ...

    def release_all(self) -> None:
        """Release everything that is held."""
        ...

    def close(self) -> None:
        """Release everything, and end."""
        ...


class Turning:
    """Turns looks into degrees: a look is a speed, so it depends on the time since the last one."""

    def __init__(self) -> None:
        self._before_s: float | None = None

    def degrees(self, look: tuple[float, float], time_s: float) -> tuple[float, float]:
        """Yaw and pitch to turn by now; the first call turns nothing."""
        step = 0.0 if self._before_s is None else min(max(time_s - self._before_s, 0.0), LONGEST_STEP_S)
        self._before_s = time_s
        return look[0] * TURN_DEG_S * step, look[1] * TURN_DEG_S * step


def message(output: ControlOutput, turned: tuple[float, float], number: int) -> dict[str, Json]:
    """The message to a mod, see docs/controls.md. turned: degrees of yaw and pitch; number: of the message."""
    told: dict[str, Json] = {
        "type": "controls",
        "seq": number,
        "mode": "screen" if output.screen_open else "gameplay",
        "held": sorted(output.held),
        "press": sorted(output.pressed),
        "look": {"yaw": round(turned[0], 4), "pitch": round(turned[1], 4)},
    }
    if output.slot is not None:
        told["slot"] = output.slot
    if output.cursor is not None:
        told["cursor"] = [round(value, 4) for value in output.cursor]
    return told


def read_state(text: object) -> Mapping[str, Json] | None:
    """The state in a mod's message; None for anything else it may send."""
    try:
        told = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("type") != "state" or not isinstance(told.get("state"), dict):
        return None
    return told["state"]


class PrintBridge:
    """Writes the messages that a mod would get, one a line, and does nothing else; implements `Bridge`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._turning = Turning()
        self._number = 0

    def send(self, output: ControlOutput, time_s: float) -> None:
        self._out.write(json.dumps(message(output, self._turning.degrees(output.look, time_s), self._number)) + "\n")
        self._number += 1

    def state(self) -> State | None:
        return None

    def release_all(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        self._out.flush()


class KeyboardBridge:
    """Presses keys and moves the mouse while the game's window has the focus; implements `Bridge`.

    The game does not tell its state, so a policy sees the default one, or what the stream says.
    """

    def __init__(self, keys: Keys, pointer: Pointer, window: Window, pixels_per_deg: float = PIXELS_PER_DEG) -> None:
        self._keys, self._pointer, self._window = keys, pointer, window
        self._scale = pixels_per_deg
        self._turning = Turning()
        self._rest: NDArray[np.float64] = np.zeros(2)
        self._until_s: dict[str, float] = {}

    def send(self, output: ControlOutput, time_s: float) -> None:
        turned = np.array(self._turning.degrees(output.look, time_s))
        state = self._window.state()
        if not state.focused:
            self.release_all()
            return
        taps = set(output.pressed) | ({f"hotbar_{output.slot + 1}"} if output.slot is not None else set())
        self._until_s = {name: end for name, end in self._until_s.items() if end > time_s}
        self._until_s.update(dict.fromkeys(taps, time_s + TAP_S))
        on = output.held | self._until_s.keys()
        self._keys.hold(frozenset(_key(name) for name in on if name not in BUTTONS))
        if output.cursor is not None:
            (x, y), rect = output.cursor, state.rect
            self._pointer.place(rect.left + round(x * (rect.width - 1)), rect.top + round(y * (rect.height - 1)))
        else:
            self._rest += turned * self._scale
            # The mouse moves whole pixels; what is left over is added to the next turn, or slow turns would be lost.
            pixels = np.trunc(self._rest)
            self._rest -= pixels
            self._pointer.move(int(pixels[0]), int(pixels[1]))
        self._pointer.hold(frozenset(BUTTONS[name] for name in on if name in BUTTONS))

    def state(self) -> State | None:
        return None

    def release_all(self) -> None:
        self._until_s.clear()
        self._keys.hold(NO_KEYS)
        self._pointer.hold(NO_BUTTONS)

    def close(self) -> None:
        try:
            self._keys.release_all()
        finally:
            self._pointer.release_all()
            self._pointer.close()


def _key(control: str) -> str:
    return KEYS.get(control) or control.removeprefix("hotbar_")
