"""The rows a model sees, built by one function for training and for playing."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.tables import CONTROLS, COORDINATES, FRAME, HISTORY_FRAMES, INPUT, INPUTS

Floats = NDArray[np.float32]

CONTEXT: Final = HISTORY_FRAMES
"""Frames before a row that the row depends on."""


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
    rows[:, :FRAME] = frames[first:]
    velocity, old_state = rows[:, INPUTS["velocity"]], rows[:, INPUTS["state"]]
    start = 0 if first else 1  # the first frame of all has none before it
    if not first:
        velocity[:1] = 0
        old_state[:1] = state[:1]
    before = slice(first + start - 1, length - 1)
    np.subtract(frames[first + start :, COORDINATES], frames[before, COORDINATES], out=velocity[start:])
    old_state[start:] = state[before]
    _write_history(rows[:, INPUTS["history"]], controls, first)
    return rows


def _write_history(history: Floats, controls: Floats, first: int) -> None:
    width = len(CONTROLS)
    for slot in range(HISTORY_FRAMES):
        age = HISTORY_FRAMES - slot
        column = history[:, slot * width : (slot + 1) * width]
        missing = max(0, min(age - first, len(column)))
        column[:missing] = 0
        column[missing:] = controls[first + missing - age : first - age + len(column)]
