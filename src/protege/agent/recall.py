"""The earlier frames of a decision, kept from when they were seen."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from protege.core.frame import Frame
from protege.core.history import History

T = TypeVar("T")
FORGET_NS: Final = 1_000_000_000
"""Without a decision for longer than this, the next frame begins anew."""


class Recall(Generic[T]):
    """As in training, frames are counted from the first one of a goal, here by the time they were taken; a slow player
    sees fewer of them, so the newest up to a time stands for it.

    Begins anew with another goal, and where time has jumped or gone back: another episode, or a person has played.
    """

    def __init__(self, history: History, frame_hz: float, see: Callable[[NDArray[np.uint8]], T]) -> None:
        """see: makes of an (H, W, 3) frame what is kept of it; called once a frame, and only for what is shown."""
        self._history = history
        self._frame_hz = frame_hz
        self._see = see
        self._goal: str | None = None
        self._begun_ns = self._last_ns = 0
        self._frames: OrderedDict[int, _Kept[T]] = OrderedDict()

    def forget(self) -> None:
        self._goal = None

    def earlier(self, frame: Frame, goal: str) -> list[T]:
        """What is shown beside a frame, the oldest first; keeps the frame for those that come."""
        if goal != self._goal or not 0 < frame.t_ns - self._last_ns <= FORGET_NS:
            self._frames.clear()
            self._goal, self._begun_ns = goal, frame.t_ns
        self._last_ns = frame.t_ns
        index = round((frame.t_ns - self._begun_ns) * self._frame_hz / 1e9)
        found = [self._newest(before) for before in self._history.earlier(index)]
        self._frames[self._history.stands_for(index)] = _Kept(frame.rgb)
        while len(self._frames) > self._history.frames + 2:
            self._frames.popitem(last=False)
        return found

    def _newest(self, index: int) -> T:
        """Of the frame that stands for `index`, else of the newest before it (the oldest there is)."""
        place = max((at for at in self._frames if at <= index), default=next(iter(self._frames)))
        return self._frames[place].seen(self._see)


class _Kept(Generic[T]):
    """A frame, until somebody asks for what is kept of it."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self._rgb: NDArray[np.uint8] | None = rgb
        self._made: list[T] = []

    def seen(self, see: Callable[[NDArray[np.uint8]], T]) -> T:
        if self._rgb is not None:
            self._made.append(see(self._rgb))
            self._rgb = None
        return self._made[0]
