"""Grabbing the screen with mss."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protege.core.devices import Rect
from protege.core.frame import Frame
from protege.devices.errors import DisplayGone
from protege.errors import MissingExtra, UserError


class MssScreen:
    """Implements `core.devices.Screen` for one rectangle; set `rect` to follow a window that moves."""

    def __init__(self, rect: Rect | None = None) -> None:
        """rect: None for the whole first monitor. UserError without a display."""
        try:
            import mss
        except ImportError:
            raise MissingExtra("mss", "record") from None
        try:
            self._mss: Any = mss.MSS()
            monitor = self._mss.monitors[0]
        except mss.ScreenShotError as error:
            raise UserError(f"cannot read the screen: {error}; run inside a graphical session") from None
        self._screen = Rect(monitor["left"], monitor["top"], monitor["width"], monitor["height"])
        self.rect = self._screen if rect is None else rect
        self.outside = 0.0
        """Share of the last picture, 0 to 1, that was not on the screen and is black."""

    def require_visible(self, rect: Rect) -> None:
        """UserError if no part of a rectangle that the user named is on the screen."""
        on = clip(rect, self._screen)
        if min(on.width, on.height) < 2:
            s = self._screen
            raise UserError(
                f"--region {rect.left},{rect.top},{rect.width},{rect.height}: not on the screen, "
                f"which is {s.left},{s.top},{s.width},{s.height}"
            )

    def grab_bgra(self) -> tuple[NDArray[np.uint8], int]:
        """The picture as mss has it, (H, W, 4) uint8 blue-green-red-unused, and when it was taken (monotonic ns).

        No copy is made: turning it into RGB costs more than grabbing it. DisplayGone when the screen cannot be read.
        """
        import mss

        rect = clip(self.rect, self._screen)
        t_ns = time.perf_counter_ns()
        try:
            shot = self._mss.grab({"left": rect.left, "top": rect.top, "width": rect.width, "height": rect.height})
        except (mss.ScreenShotError, OSError) as error:
            raise DisplayGone(f"the screen can no longer be read: {str(error).splitlines()[0]}") from None
        return np.frombuffer(shot.raw, dtype=np.uint8).reshape(shot.height, shot.width, 4), t_ns

    def grab(self) -> Frame:
        import cv2

        bgra, t_ns = self.grab_bgra()
        return Frame(np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB), dtype=np.uint8), t_ns)

    def close(self) -> None:
        self._mss.close()


def clip(rect: Rect, screen: Rect) -> Rect:
    """The part of `rect` that is on the screen; at least one pixel, since nothing smaller can be grabbed."""
    left = min(max(rect.left, screen.left), screen.left + screen.width - 1)
    top = min(max(rect.top, screen.top), screen.top + screen.height - 1)
    right = min(max(rect.left + rect.width, left + 1), screen.left + screen.width)
    bottom = min(max(rect.top + rect.height, top + 1), screen.top + screen.height)
    return Rect(left, top, right - left, bottom - top)
