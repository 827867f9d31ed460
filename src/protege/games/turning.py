"""How far the view turns for a count of the mouse: it is moved until the first picture comes back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.devices import Clock, Window
from protege.core.frame import Frame
from protege.errors import ProtegeError

SETTLE_S: Final = 0.12
"""From a motion to the picture that shows it."""
WIDTH: Final = 320
"""Pixels of the pictures that are compared."""
ROWS: Final = (0.12, 0.6)
"""Part of the height that is compared: no status bar, and little of a weapon."""
FIRST_COUNTS, MOST_COUNTS = 4, 8192
FOLLOWED: Final = 0.02
"""Share of the width by which the picture has to move to have followed."""
STEP: Final = 0.08
"""Share of the width that one step turns the view by."""
ALIKE: Final = 0.25
"""Response of phase correlation, 0 to 1, above which two pictures show the same place."""
TURNS_WIDE: Final = 12
"""Widths of the picture in a whole turn, at most: a field of view of 30 degrees."""
SLOW: Final = 0.25
"""Share of a step by which a picture that comes back may be off."""


@dataclass(frozen=True)
class Turn:
    """What the view does when the mouse moves. counts: for a whole turn; whole: it was turned once round; otherwise the
    counts are those of a field of view of 90 degrees.
    """

    counts: float
    whole: bool


def measure_turn(
    window: Window, move: Callable[[int, int], None], grab: Callable[[], Frame], clock: Clock
) -> Turn | None:
    """Turn the view to the right until it is where it was; None if the picture does not follow the mouse.

    Afterwards the mouse is moved back by what was moved. ProtegeError if the window loses the focus meanwhile.
    """
    moved = 0

    def turned(counts: int) -> NDArray[np.float32]:
        nonlocal moved
        if not window.state().focused:
            raise ProtegeError(
                f"{window.title!r} lost the focus while the mouse was tried; run it again and leave it in front"
            )
        move(counts, 0)
        moved += counts
        clock.sleep_until(clock.now_ns() + round(SETTLE_S * 1e9))
        return _seen(grab())

    try:
        first = turned(0)
        if (found := _pixels_per_count(first, turned)) is None:
            return None
        return _once_round(first, moved, found, turned)
    finally:
        move(-moved, 0)


def _pixels_per_count(first: NDArray[np.float32], turned: Callable[[int], NDArray[np.float32]]) -> float | None:
    """How far the picture moves for a count, by ever larger motions; None if it does not follow."""
    before, counts = first, FIRST_COUNTS
    while counts <= MOST_COUNTS:
        after = turned(counts)
        shift, alike = _shift(before, after)
        if alike > ALIKE and abs(shift) >= FOLLOWED * WIDTH:
            return abs(shift) / counts
        before, counts = after, counts * 2
    return None


def _once_round(
    first: NDArray[np.float32], moved: int, pixels: float, turned: Callable[[int], NDArray[np.float32]]
) -> Turn:
    """Go on in equal steps; when the first picture is seen again, what is missing or too much is told by its shift."""
    step = max(1, round(STEP * WIDTH / pixels))
    left = False
    while moved * pixels < TURNS_WIDE * WIDTH:
        picture = turned(step)
        moved += step
        shift, alike = _shift(first, picture)
        if left and alike > ALIKE and abs(shift) <= (0.5 + SLOW) * STEP * WIDTH:
            return Turn(moved + shift / pixels, True)
        left = left or moved * pixels > WIDTH / 2
    return Turn(2 * np.pi / np.arctan(pixels / (WIDTH / 2)), False)


def _shift(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[float, float]:
    """By how many pixels the picture moved to the right, and how sure that is, 0 to 1."""
    import cv2

    window = cv2.createHanningWindow((before.shape[1], before.shape[0]), cv2.CV_32F)
    (right, _), response = cv2.phaseCorrelate(before, after, window)
    return float(right), float(response)


def _seen(frame: Frame) -> NDArray[np.float32]:
    """(H, WIDTH) grey levels of what is compared."""
    import cv2

    height, width = frame.rgb.shape[:2]
    rows = frame.rgb[round(ROWS[0] * height) : round(ROWS[1] * height)]
    grey = cv2.cvtColor(np.ascontiguousarray(rows), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (WIDTH, max(16, round(len(rows) * WIDTH / width))), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)
