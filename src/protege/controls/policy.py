"""The control transformer as a real-time policy: landmarks and the game's state in, what to do out."""

from pathlib import Path
from typing import Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from protege.controls.features import LiveRows
from protege.controls.files import ModelFiles, PolicyConfig, read_config
from protege.controls.postprocess import ControlOutput, PostProcessor
from protege.controls.runtime import Runner, open_runner
from protege.controls.state import State, encode_state
from protege.controls.tables import DEFAULT_STATE, FRAME, INPUTS, SCREEN, SLOT, hotbar_slot

LOST_S: Final = 10.0
"""Seconds without a person in sight after which everything is released and forgotten."""
FIRST_DECISION: Final = 3
"""Frames that must have been seen before anything is done, as in training."""


class ControlPolicy:
    """The policy of one player. Not thread-safe. lost_s: seconds without a person until everything is released."""

    def __init__(self, runner: Runner, config: PolicyConfig | None = None, lost_s: float = LOST_S) -> None:
        config = config or PolicyConfig()
        self._run = runner
        self._lost_s = lost_s
        self.rows = LiveRows(config.mean, config.deviation)
        self.after = PostProcessor(config.thresholds, config.post_processing)
        self.reset()

    def reset(self) -> None:
        """Forget everything: frames, history, what is on."""
        self.rows.clear()
        self.after.reset()
        self._seen_s: float | None = None
        self._last = ControlOutput()

    def step(self, frame: NDArray[np.float32] | None, state: State | None, time_s: float) -> ControlOutput:
        """Decide what to do now.

        frame: (260,) landmarks as in a recording, None while nobody is in sight; anything but 260 finite numbers counts
        as nobody.
        state: the game's, None if it is unknown.
        time_s: of a clock that goes forward.

        While nobody is in sight what is held stays held, but nothing turns and nothing is pressed; after `lost_s`
        everything is released and forgotten.
        """
        numbers = DEFAULT_STATE if state is None else encode_state(state)
        screen_open = bool(numbers[SCREEN] > 0)
        if not _tracked(frame):
            return self._lost(screen_open, time_s)
        if self._seen_s is not None and time_s - self._seen_s > self._lost_s:
            self.reset()
        self._seen_s = time_s
        self.rows.push(frame, numbers)
        if self.rows.count < FIRST_DECISION:
            output = ControlOutput()
        else:
            slot = None if state is None else hotbar_slot(numbers[SLOT])
            said = self._run(self.rows.inputs, self.rows.mask)
            output = self.after.step(said, screen_open, slot, time_s)
        # What was done, not what the model asked for: a recording holds the same.
        self.rows.remember(output.vector)
        self._last = output
        return output

    def _lost(self, screen_open: bool, time_s: float) -> ControlOutput:
        last = self._last
        if self._seen_s is None or time_s - self._seen_s > self._lost_s:
            self.reset()
        elif last.screen_open == screen_open:
            return ControlOutput(screen_open, last.held, cursor=last.cursor)
        return ControlOutput(screen_open)

    def warm_up(self) -> None:
        """Run the model a few times, since its first calls are slow."""
        for _ in range(3):
            self._run(self.rows.inputs, np.ones_like(self.rows.mask))


def load(source: str | Path) -> ControlPolicy:
    """A trained policy: its folder, or its file such as models/control_policy_v2.pt; UserError if it cannot be used."""
    files = ModelFiles.find(Path(source))
    return ControlPolicy(open_runner(files), read_config(files.config))


def _tracked(frame: NDArray[np.float32] | None) -> TypeGuard[NDArray[np.float32]]:
    """Whether there is a person in it."""
    if frame is None or np.shape(frame) != (FRAME,):
        return False
    return bool(np.isfinite(frame).all() and np.any(frame[INPUTS["pose"]]))
