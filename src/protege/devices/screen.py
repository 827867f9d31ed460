"""Grabbing the screen with mss: always the whole rectangle that was asked for, whatever the screen does."""

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from protege.core.devices import Rect
from protege.core.frame import Frame
from protege.devices.errors import DisplayGone
from protege.errors import MissingExtra, ProtegeError, UserError

if TYPE_CHECKING:
    from mss import MSS
    from Xlib.display import Display

ASK_NS: Final = 1_000_000_000
"""Where asking for the screen's size is dear, it is asked this often."""


class MssScreen:
    """Implements `core.devices.Screen` for one rectangle; set `rect` to follow a window that moves.

    What is outside the screen is black, so that the scale never changes; the screen itself may change its size.
    """

    def __init__(self, rect: Rect | None = None) -> None:
        """rect: None for all monitors. UserError without a display, or where its pictures cannot be read."""
        self._mss = _open_mss()
        self._size = _ScreenSize(self._mss)
        self._screen = self._size.now()
        self.rect = self._screen if rect is None else rect
        self.outside = 0.0
        """Share of the last picture, 0 to 1, that was not on the screen and is black."""

    def require_visible(self, rect: Rect) -> float:
        """The share of a rectangle that the user named that is on the screen; UserError if there is none."""
        on, s = clip(rect, self._screen), self._screen
        if on is None or min(on.width, on.height) < 2:
            raise UserError(
                f"--region {rect.left},{rect.top},{rect.width},{rect.height}: not on the screen, "
                f"which is {s.left},{s.top},{s.width},{s.height}"
            )
        return on.width * on.height / (rect.width * rect.height)

    def grab_bgra(self) -> tuple[NDArray[np.uint8], int]:
        """The picture as mss has it, (H, W, 4) uint8 blue-green-red-unused, and when it was taken (perf_counter ns).

        No copy is made of a rectangle that is on the screen: turning it into RGB costs more than grabbing it.
        DisplayGone when the screen cannot be read.
        """
        t_ns = time.perf_counter_ns()
        try:
            return self._grab(self._size.now()), t_ns
        except (_shot_error(), OSError) as error:
            first = error
        try:  # the screen may just have become smaller than what was asked for
            self._reopen()
            return self._grab(self._size.now()), t_ns
        except (_shot_error(), OSError, ProtegeError):
            raise DisplayGone(f"the screen can no longer be read: {str(first).splitlines()[0]}") from None

    def grab(self) -> Frame:
        import cv2

        bgra, t_ns = self.grab_bgra()
        return Frame(np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB), dtype=np.uint8), t_ns)

    def close(self) -> None:
        self._mss.close()
        self._size.close()

    def _grab(self, screen: Rect) -> NDArray[np.uint8]:
        if screen != self._screen:
            self._reopen()  # mss keeps a buffer for the size that the screen had
            self._screen = screen
        rect, on = self.rect, clip(self.rect, screen)
        if on is None:
            self.outside = 1.0
            return np.zeros((rect.height, rect.width, 4), np.uint8)
        shot = self._mss.grab({"left": on.left, "top": on.top, "width": on.width, "height": on.height})
        picture = np.frombuffer(shot.raw, dtype=np.uint8).reshape(shot.height, shot.width, 4)
        self.outside = 1 - on.width * on.height / (rect.width * rect.height)
        if on == rect:
            return picture
        scale = shot.width / on.width  # macOS counts points, which may be two pixels wide
        left, top = round((on.left - rect.left) * scale), round((on.top - rect.top) * scale)
        canvas = np.zeros(
            (max(round(rect.height * scale), top + shot.height), max(round(rect.width * scale), left + shot.width), 4),
            np.uint8,
        )
        canvas[top : top + shot.height, left : left + shot.width] = picture
        return canvas

    def _reopen(self) -> None:
        self._mss.close()
        self._mss = _open_mss()
        self._size.reopened(self._mss)


class _ScreenSize:
    """Where the screen is and how large, now: on X11 the server is asked each time."""

    def __init__(self, mss: "MSS") -> None:
        # A connection of our own: mss asks the server for the size once, and keeps it.
        self._display: Display | None = None
        if sys.platform == "linux":
            from protege.devices.x11 import open_display

            self._display = open_display()
        self.reopened(mss)

    def reopened(self, mss: "MSS") -> None:
        monitor = mss.monitors[0]
        self._rect = Rect(monitor["left"], monitor["top"], monitor["width"], monitor["height"])
        self._due_ns = time.perf_counter_ns() + ASK_NS

    def now(self) -> Rect:
        """DisplayGone if the display is gone."""
        if self._display is not None:
            from protege.devices.x11_keys import connection_errors

            try:
                size = self._display.screen().root.get_geometry()
            except connection_errors():
                raise DisplayGone("the screen can no longer be read: the display is gone") from None
            return Rect(0, 0, size.width, size.height)
        if time.perf_counter_ns() > self._due_ns:
            fresh = _open_mss()
            self.reopened(fresh)
            fresh.close()
        return self._rect

    def close(self) -> None:
        if self._display is not None:
            from protege.devices.x11_keys import connection_errors

            with suppress(*connection_errors()):
                self._display.close()


def _open_mss() -> "MSS":
    """mss by its default way or, where the server's pictures are not what that expects (TigerVNC's), by plain X11."""
    try:
        import mss
    except ImportError:
        raise MissingExtra("mss", "record") from None
    first: mss.ScreenShotError | None = None
    for backend in ("default", "xlib") if sys.platform == "linux" else ("default",):
        try:
            found = mss.MSS(backend=backend)
            monitor = found.monitors[0]
            # Opening succeeds where reading fails later, so one pixel is read at once.
            found.grab({**monitor, "width": 1, "height": 1})
            return found
        except mss.ScreenShotError as error:
            first = first or error
    assert first is not None
    advice = "give the display a colour depth of 24" if "depth" in str(first) else "run inside a graphical session"
    raise UserError(f"cannot read the screen: {str(first).splitlines()[0]}; {advice}") from None


def _shot_error() -> type[Exception]:
    import mss

    return mss.ScreenShotError


def clip(rect: Rect, screen: Rect) -> Rect | None:
    """The part of `rect` that is on the screen; None if there is none."""
    left, top = max(rect.left, screen.left), max(rect.top, screen.top)
    right = min(rect.left + rect.width, screen.left + screen.width)
    bottom = min(rect.top + rect.height, screen.top + screen.height)
    return Rect(left, top, right - left, bottom - top) if right > left and bottom > top else None
