"""The input rows of the model, built by one function for training and for play."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.tables import CONTROLS, COORDINATES, FRAME, HISTORY_FRAMES, INPUT, INPUTS, STATE, WINDOW

Floats = NDArray[np.float32]

CONTEXT: Final = HISTORY_FRAMES
"""Frames before a row that the row depends on."""

BLOCK: Final = 256
"""Rows built at a time: few enough to stay in a core's cache."""


def build_rows(frames: Floats, state: Floats, controls: Floats, first: int = 0, out: Floats | None = None) -> Floats:
    """The (N - first, 671) float32 input rows of frames `first` to N of a recording, or of the end of one.

    frames: (N, 260); state: (N, 46); controls: (N, 28). Row t has frame t, how its landmarks moved since t - 1, the
    game's state at t - 1 and the controls of t - 5 to t - 1, oldest first. State and controls of frame t are left out
    on purpose: what was pressed at t already shows in its state (the new slot, sprinting, the open screen), which is
    not there yet when the decision is made. At the recording's start the velocity is 0, the history is 0 and the
    state is the first one; with `first` of 5 or more, rows are the same as those of the whole recording.

    out: written to and returned instead of a new array.
    """
    if first and first < CONTEXT:
        raise ValueError(f"rows need {CONTEXT} frames before them, got {first}")
    length = len(frames)
    rows = np.empty((length - first, INPUT), dtype=np.float32) if out is None else out
    past = _past(controls, first)
    for begin in range(first, length, BLOCK):
        end = min(begin + BLOCK, length)
        _fill(rows[begin - first : end - first], frames, state, begin, end)
        rows[begin - first : end - first, INPUTS["history"]] = past[begin - first : end - first]
    return rows


def _fill(rows: Floats, frames: Floats, state: Floats, begin: int, end: int) -> None:
    """All but the history of the rows of frames `begin` to `end`."""
    rows[:, :FRAME] = frames[begin:end]
    velocity, old_state = rows[:, INPUTS["velocity"]], rows[:, INPUTS["state"]]
    start = 0 if begin else 1  # the first frame of all has none before it
    if not begin:
        velocity[:1] = 0
        old_state[:1] = state[:1]
    before = slice(begin + start - 1, end - 1)
    np.subtract(frames[begin + start : end, COORDINATES], frames[before, COORDINATES], out=velocity[start:])
    old_state[start:] = state[before]


def _past(controls: Floats, first: int) -> Floats:
    """(N - first, 140) the controls of the five frames before each, oldest first, 0 before the start; read only."""
    known = controls[max(0, first - HISTORY_FRAMES) : -1]
    missing = len(controls) - first + HISTORY_FRAMES - 1 - len(known)
    padded = np.concatenate((np.zeros((missing, len(CONTROLS)), dtype=np.float32), known))
    past = np.lib.stride_tricks.sliding_window_view(padded.ravel(), HISTORY_FRAMES * len(CONTROLS))
    return past[:: len(CONTROLS)]


class LiveRows:
    """The window of a live stream, with the rows of `build_rows`. Standardised if `mean` and `std` are given."""

    def __init__(self, mean: Floats | None = None, std: Floats | None = None) -> None:
        self._mean, self._std = mean, std
        self._frames = np.zeros((CONTEXT + 1, FRAME), dtype=np.float32)
        self._controls = np.zeros((CONTEXT + 1, len(CONTROLS)), dtype=np.float32)
        self.inputs = np.zeros((1, WINDOW, INPUT), dtype=np.float32)
        self.mask = np.zeros((1, WINDOW), dtype=bool)
        self.count = 0

    def push(self, frame: Floats, state: Floats) -> None:
        """Take one frame, (260,), and the game's state (46,) as it is now: before what is decided on this frame shows.

        `inputs` (1, 30, 671) and `mask` (1, 30) hold the window afterwards; empty rows come last.
        """
        self._frames[:-1] = self._frames[1:]
        self._frames[-1] = frame
        self._controls[:-1] = self._controls[1:]
        self._controls[-1] = 0
        first = CONTEXT if self.count >= CONTEXT else 0
        known = slice(-1 - min(self.count, CONTEXT), None)
        states = np.broadcast_to(state, (min(self.count, CONTEXT) + 1, len(STATE)))
        # By the function that makes the training rows, so that the two cannot drift apart.
        row = build_rows(self._frames[known], states, self._controls[known], first)[-1]
        if self._mean is not None and self._std is not None:
            row -= self._mean
            row /= self._std
        if self.count >= WINDOW:
            self.inputs[0, :-1] = self.inputs[0, 1:]
        at = min(self.count, WINDOW - 1)
        self.inputs[0, at], self.mask[0, at] = row, True
        self.count += 1

    def remember(self, controls: Floats) -> None:
        """Set the controls (28,) decided on the newest frame: the history of the next rows."""
        self._controls[-1] = controls

    def clear(self) -> None:
        """Forget all frames."""
        self._frames[:], self._controls[:] = 0, 0
        self.inputs[:], self.mask[:] = 0, False
        self.count = 0
