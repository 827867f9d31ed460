"""Summaries of recordings: frames, modes, how often each control is used, how often a hand is missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protege.controls.recordings import BadRecording, Recording, Skipped, read
from protege.controls.tables import CONTROLS, INPUTS
from protege.controls.windows import prepare
from protege.core.files import Json


@dataclass(frozen=True)
class Summary:
    """What is in a recording.

    modes: share of the frames in each mode.
    rates: per control presses a minute (pulses, slots), or share of the time.
    missing: share of the time without each hand.
    absent_cursor: frames of a screen whose cursor was unknown.
    """

    path: Path
    frames: int
    seconds: float
    fps: float
    session_type: str
    modes: dict[str, float]
    rates: dict[str, float]
    missing: dict[str, float]
    absent_cursor: int

    def to_json(self) -> dict[str, Json]:
        return {**vars(self), "path": str(self.path)}

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        kinds = {control.name: control.kind for control in CONTROLS}
        share = ", ".join(f"{name.replace('_', ' ')} {part:.1%}" for name, part in self.modes.items())
        hands = ", ".join(f"{hand} hand missing {part:.1%}" for hand, part in self.missing.items())
        lines = [
            f"{self.path}: {self.frames} frames, {self.seconds:.1f} s at {self.fps:g} a second, {self.session_type}",
            f"  {share}",
            f"  {hands}",
        ]
        if self.absent_cursor:
            lines.append(f"  {self.absent_cursor} frames of a screen without a cursor: the one before was taken")
        for name, rate in self.rates.items():
            unit = f"{rate:8.1f} a minute" if kinds[name] in ("pulse", "slot") else f"{rate:8.1%} of the time"
            lines.append(f"  {name:<18}{unit if rate else '   never'}")
        return lines


def summarize(recording: Recording) -> Summary:
    """Summarise one recording."""
    prepared = prepare([recording], first_target=0)
    targets = prepared.targets()
    seconds = len(recording) / recording.fps
    rates = {}
    for column, control in enumerate(CONTROLS):
        values = np.abs(recording.controls[:, column])
        on = values > (0.5 if control.kind in ("held", "pulse", "slot") else 0)
        starts = int(np.count_nonzero(np.diff(on, prepend=False) & on))
        rates[control.name] = starts * 60 / seconds if control.kind in ("pulse", "slot") else float(on.mean())
    modes = {name: float(getattr(targets, name).mean()) for name in ("gameplay", "screen_open", "idle", "look_active")}
    missing = {hand: float(1 - recording.frames[:, INPUTS[f"{hand}_present"]].mean()) for hand in ("left", "right")}
    return Summary(
        recording.path,
        len(recording),
        seconds,
        recording.fps,
        recording.session_type,
        modes,
        rates,
        missing,
        recording.absent_cursor,
    )


def inspect(paths: Iterable[Path]) -> tuple[list[Summary], list[Skipped]]:
    """Summaries of the files that can be read, and those that cannot."""
    good, bad = [], []
    for path in paths:
        try:
            good.append(summarize(read(path)))
        except BadRecording as error:
            bad.append(Skipped(path, error.reason))
    return good, bad
