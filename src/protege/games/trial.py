"""What a person plays a game with, keys and mouse, and whether the game obeys keys that a program presses."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import NO_KEYS
from protege.core.devices import Clock, Keys, Window
from protege.core.frame import Frame
from protege.core.looking import BUTTONS, WHEEL
from protege.devices.keyboard import KeyHeard, KeyListener
from protege.errors import ProtegeError, UserError

IDLE_S: Final = 0.5
"""How long the picture is watched before a key is pressed."""
HOLD_S: Final = 1.0
"""The longest that a key is held; it is let go of as soon as the picture follows."""
SETTLE_S: Final = 0.3
"""After a release, until the picture is that of standing still."""
NAP_S: Final = 0.05
ON_THE_MOUSE: Final = frozenset((*BUTTONS, *WHEEL))
CHANGED: Final = 1.0
"""Mean grey levels by which two pictures differ at least where something moved; noise of a still picture is below."""
AGAINST_IDLE: Final = 2.0
"""A picture that moves by itself (water, a clock) has followed a key if it changed so many times as much."""


@dataclass(frozen=True)
class Played:
    """What was used in the game's window, in the order of its first press. keys; buttons: the mouse's and its wheel's
    notches; counts: how far the mouse was moved.
    """

    keys: tuple[str, ...]
    buttons: tuple[str, ...]
    counts: int


def hear(
    window: Window,
    clock: Clock,
    listen: Callable[[KeyHeard], KeyListener],
    seconds: float,
    wait_s: float = 60.0,
) -> Played:
    """What is used while the window has the focus.

    listen: makes a listener that tells each change of every key and button; seconds: from the first key on; wait_s: for
    that key. UserError if none comes. What is done in other windows is not kept.
    """
    found: dict[str, None] = {}
    since: list[int] = []
    counts = 0
    looking = threading.Lock()

    def focused() -> bool:
        with looking:
            return window.state().focused

    def heard(name: str, down: bool, t_ns: int) -> None:
        if down and focused():
            found.setdefault(name)
            if name not in ON_THE_MOUSE:
                since.append(clock.now_ns())

    end = clock.now_ns() + round(wait_s * 1e9)
    with listen(heard) as listener:
        while clock.now_ns() < (since[0] + round(seconds * 1e9) if since else end):
            clock.sleep_until(clock.now_ns() + round(NAP_S * 1e9))
            moved = sum(abs(motion.dx) + abs(motion.dy) for motion in listener.motion())
            counts += moved if moved and focused() else 0
    keys = tuple(name for name in found if name not in ON_THE_MOUSE)
    if not keys:
        raise UserError(
            f"no key was heard in {window.title!r} within {wait_s:g} s; click into it and press the keys you play "
            'with, or name them: --keys "w a s d space"'
        )
    return Played(keys, tuple(name for name in found if name in ON_THE_MOUSE), counts)


def obeyed(
    names: Iterable[str], window: Window, keys: Keys, grab: Callable[[], Frame], clock: Clock
) -> dict[str, bool]:
    """Press each key for a moment; by key whether the picture followed. Nothing is held afterwards.

    ProtegeError if the window loses the focus, so that no key is pressed into another one.
    """
    found: dict[str, bool] = {}
    try:
        for name in names:
            _require_focus(window)
            enough = max(CHANGED, AGAINST_IDLE * _change(grab, clock, IDLE_S, 255.0))
            _require_focus(window)
            keys.hold(frozenset((name,)))
            found[name] = _change(grab, clock, HOLD_S, enough) >= enough
            keys.hold(NO_KEYS)
            clock.sleep_until(clock.now_ns() + round(SETTLE_S * 1e9))
    finally:
        keys.release_all()
    return found


def _require_focus(window: Window) -> None:
    if not window.state().focused:
        raise ProtegeError(f"{window.title!r} lost the focus while keys were tried; run it again and leave it in front")


def _change(grab: Callable[[], Frame], clock: Clock, seconds: float, enough: float) -> float:
    """By how many grey levels the picture comes to differ, on average, from what it is now; ends early at `enough`."""
    before, most = _grey(grab()), 0.0
    end = clock.now_ns() + round(seconds * 1e9)
    while clock.now_ns() < end and most < enough:
        clock.sleep_until(clock.now_ns() + round(NAP_S * 1e9))
        after = _grey(grab())
        most = max(most, float(np.abs(after - before).mean()) if after.shape == before.shape else 255.0)
    return most


def _grey(frame: Frame) -> NDArray[np.float32]:
    return frame.rgb[::2, ::2].astype(np.float32).mean(2)
