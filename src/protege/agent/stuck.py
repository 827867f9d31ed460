"""Detects a stuck agent: the picture hardly changes while keys are held, or one action lasts too long."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.agent.listener import Listener, Slot
from protege.core.actions import NO_KEYS, Action
from protege.core.events import AGENT
from protege.core.frame import Frame
from protege.core.plan import Sampling

CELLS: Final = 16
"""A picture is compared as so many by so many grey cells: flicker and noise average out, movement does not."""
STILL: Final = 2.0
"""Mean change of the cells, of 255, up to which a picture counts as the same."""


@dataclass(frozen=True)
class StuckOptions:
    """still_s: so long the picture may stay the same while keys are held; same_s: so long one action may last."""

    still_s: float = 3.0
    same_s: float = 12.0


class StuckDetector(Listener):
    """Says so once, and again after it has moved; with `policy`, samples with `temperature` until it moves."""

    def __init__(
        self,
        say: Callable[[str], None],
        options: StuckOptions | None = None,
        policy: Sampling | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.stuck = ""
        self._say = say
        self._options = options or StuckOptions()
        self._policy = policy
        self._hot = temperature
        self._cold = policy.temperature if policy is not None else 0.0
        self._cells: NDArray[np.float32] | None = None
        self._still_ns = 0
        self._action: Action = NO_KEYS
        self._since_ns = 0
        self._plays = False

    def frame(self, frame: Frame) -> None:
        cells = shrunk(frame.rgb)
        if self._cells is None or not self._plays or np.abs(cells - self._cells).mean() > STILL:
            self._cells, self._still_ns = cells, frame.t_ns
            if self._plays:
                self._free("picture")
        elif frame.t_ns - self._still_ns >= self._options.still_s * 1e9:
            self._caught(
                "picture", f"the picture has hardly changed for {self._options.still_s:g} s while keys are held"
            )

    def slot(self, slot: Slot) -> None:
        self._plays = slot.by == AGENT and bool(slot.action)
        if slot.action != self._action:
            self._action, self._since_ns = slot.action, slot.t_ns
            self._free("keys")
        elif self._plays and slot.t_ns - self._since_ns >= self._options.same_s * 1e9:
            self._caught("keys", f"the same keys for {self._options.same_s:g} s ({'+'.join(sorted(slot.action))})")

    def _caught(self, by: str, why: str) -> None:
        if self.stuck:
            return
        self.stuck = by
        trying = f"; trying other actions (temperature {self._hot:g})" if self._policy is not None else ""
        self._say(f"stuck: {why}{trying}")
        if self._policy is not None:
            self._policy.temperature = self._hot

    def _free(self, by: str) -> None:
        """What caught it has to let it go: pictures change while it turns on the spot for ever."""
        if self.stuck != by:
            return
        self.stuck = ""
        if self._policy is not None:
            self._policy.temperature = self._cold


def shrunk(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(CELLS, CELLS) mean brightness of an (H, W, 3) picture's cells."""
    rows, columns = rgb.shape[0] // CELLS, rgb.shape[1] // CELLS
    grey = rgb[: rows * CELLS, : columns * CELLS, 1].astype(np.float32)  # green is most of brightness
    return grey.reshape(CELLS, rows, CELLS, columns).mean((1, 3), dtype=np.float32)
