"""The options of a recording, checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.devices import Rect
from protege.core.files import is_component
from protege.errors import UserError

IDLE_S: Final = 30.0
"""Seconds without a key after which recording pauses."""
STEADY_S: Final = 1.0
"""Seconds a window must keep its new size before recording goes on."""
SETTLE_S: Final = 0.5
"""Seconds after standing still in which keys are still heard late, so that none is trusted."""

FUNCTION_KEYS: Final = frozenset(f"f{number}" for number in range(1, 12))
"""That may start and pause; f12 is the key that stops an agent."""


def check_name(flag: str, name: str) -> None:
    """UserError if a session cannot be called this."""
    plain = name.strip() == name and name.isprintable() and not set(name) & set('/\\:*?"<>|')
    if not plain or not is_component(name) or name.startswith(".") or len(name.encode()) > 120:
        raise UserError(
            f"{flag} {name[:120]!r}: expected a short folder name, without / \\ : or a dot at an end, "
            "and none that Windows keeps for a device (nul, con, com1 …)"
        )


@dataclass(frozen=True)
class RecorderConfig:
    """window: part of the game's title, None for the window that has the focus when recording starts;
    region: record this rectangle instead of the window's; size: (width, height) of the stored frames;
    stop_after_s: end after this much recording; toggle_key starts and pauses; start_now: do not wait for it,
    but for countdown_s; never: keys that are not stored, whatever else says.
    """

    out: Path
    name: str | None = None
    window: str | None = None
    region: Rect | None = None
    fps: float = 10.0
    size: tuple[int, int] = (640, 480)
    stop_after_s: float | None = None
    toggle_key: str = "p"
    start_now: bool = False
    countdown_s: float = 0.0
    space: ActionSpace = KEYBOARD_12
    never: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 120:
            raise UserError(f"--fps {self.fps:g}: expected 1 to 120 frames a second; 10 is what the models expect")
        if not all(16 <= side <= 7680 for side in self.size):
            raise UserError(f"--size {self.size[0]}x{self.size[1]}: expected sides of 16 to 7680 pixels")
        if self.stop_after_s is not None and not 0 < self.stop_after_s < 1e7:
            raise UserError(f"--stop-after {self.stop_after_s:g}: expected a number of seconds above 0")
        one = len(self.toggle_key) == 1 and not self.toggle_key.isspace()
        if self.toggle_key in self.space.pressable or not (one or self.toggle_key in FUNCTION_KEYS):
            keys = " ".join(self.space.pressable)
            raise UserError(
                f"--toggle-key {self.toggle_key!r}: expected one letter or digit, or f1 to f11, that is not in ({keys})"
            )
        if self.name is not None:
            check_name("--name", self.name)
        if self.region is not None and min(self.region.width, self.region.height) < 16:
            raise UserError(f"--region {self.region}: expected at least 16x16 pixels")

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.fps)
