"""Which keys a person plays a game with, and whether the game obeys keys that a program presses."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import NO_KEYS
from protege.core.devices import Clock, Keys, Window
from protege.core.frame import Frame
from protege.devices.keyboard import KeyHeard
from protege.errors import ProtegeError, UserError

HOLD_S: Final = 0.4
"""How long a key is held before the picture is looked at: long enough for a step in any game."""
SETTLE_S: Final = 0.3
"""After a release, until the picture is that of standing still."""
NAP_S: Final = 0.05
CHANGED: Final = 1.0
"""Mean grey levels by which two pictures differ at least where something moved; noise of a still picture is below."""
AGAINST_IDLE: Final = 2.0
"""A picture that moves by itself (water, a clock) has followed a key if it changed so many times as much."""


def hear_keys(
    window: Window,
    clock: Clock,
    listen: Callable[[KeyHeard], AbstractContextManager[object]],
    seconds: float,
    wait_s: float = 60.0,
) -> tuple[str, ...]:
    """The keys pressed while the window had the focus, in the order of their first press.

    listen: begins to hear every key and tells each change; seconds: from the first key on; wait_s: for that key.
    UserError if none comes. What is pressed in other windows is not kept.
    """
    found: dict[str, None] = {}
    since: list[int] = []

    def heard(name: str, down: bool, t_ns: int) -> None:
        if down and window.state().focused:
            since.append(clock.now_ns())
            found.setdefault(name)

    end = clock.now_ns() + round(wait_s * 1e9)
    with listen(heard):
        while clock.now_ns() < (since[0] + round(seconds * 1e9) if since else end):
            clock.sleep_until(clock.now_ns() + round(NAP_S * 1e9))
    if not found:
        raise UserError(
            f"no key was heard in {window.title!r} within {wait_s:g} s; click into it and press the keys you play "
            'with, or name them: --keys "w a s d space"'
        )
    return tuple(found)


def obeyed(
    names: Iterable[str], window: Window, keys: Keys, grab: Callable[[], Frame], clock: Clock
) -> dict[str, bool]:
    """Press each key for a moment; by key whether the picture followed. Nothing is held afterwards.

    ProtegeError if the window loses the focus, so that no key is pressed into another one.
    """
    found: dict[str, bool] = {}
    try:
        for name in names:
            still = _change(NO_KEYS, window, keys, grab, clock)
            moved = _change(frozenset((name,)), window, keys, grab, clock)
            keys.hold(NO_KEYS)
            clock.sleep_until(clock.now_ns() + round(SETTLE_S * 1e9))
            found[name] = moved >= max(CHANGED, AGAINST_IDLE * still)
    finally:
        keys.release_all()
    return found


def _change(held: frozenset[str], window: Window, keys: Keys, grab: Callable[[], Frame], clock: Clock) -> float:
    """By how many grey levels the picture changes, on average, while these keys are held."""
    if not window.state().focused:
        raise ProtegeError(f"{window.title!r} lost the focus while keys were tried; run it again and leave it in front")
    before = _grey(grab())
    keys.hold(held)
    clock.sleep_until(clock.now_ns() + round(HOLD_S * 1e9))
    after = _grey(grab())
    return float(np.abs(after - before).mean()) if after.shape == before.shape else 255.0


def _grey(frame: Frame) -> NDArray[np.float32]:
    return frame.rgb[::2, ::2].astype(np.float32).mean(2)
