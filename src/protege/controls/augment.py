"""Augmentation of recordings, drawn anew for every epoch: trimmed, slower or faster, with noise."""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.controls.recordings import Recording
from protege.controls.tables import CONTROLS, COORDINATES, FRAME, INPUTS
from protege.errors import UserError

EVENTS: Final = tuple(i for i, control in enumerate(CONTROLS) if control.kind in ("pulse", "slot"))
"""Columns whose ones are events: each must still be there, once, whatever the speed."""

SUPPLY: Final = 65_536
"""Random numbers that the noise of one recording is taken from."""

BLOCK: Final = 256
"""Frames changed at a time: few enough to stay in a core's cache."""


@dataclass(frozen=True)
class Warp:
    """A change of one recording in time: frames `start` to `stop` are spread over `length` frames."""

    start: int
    stop: int
    length: int

    @classmethod
    def none(cls, length: int) -> Self:
        return cls(0, length, length)

    def positions(self) -> NDArray[np.float64]:
        """(length,) where each new frame lies among the old ones."""
        return np.linspace(self.start, self.stop - 1, self.length)


@dataclass(frozen=True)
class Augmentation:
    """How recordings are varied.

    trim: greatest share that is cut off at each end.
    slowest, fastest: range of the speed.
    noise: standard deviation, metres, of what is added to landmarks that are present.
    """

    trim: float = 0.1
    slowest: float = 0.8
    fastest: float = 1.2
    noise: float = 0.005

    def __post_init__(self) -> None:
        if not (0 <= self.trim <= 0.4 and 0 < self.slowest <= self.fastest and self.noise >= 0):
            raise UserError(f"augmentation: found {self}; expected trim 0 to 0.4, slowest <= fastest, noise >= 0")

    def draw(self, length: int, rng: np.random.Generator) -> Warp:
        """Draw the warp of a recording of `length` frames."""
        front, back = (int(length * share) for share in rng.uniform(0, self.trim, 2))
        kept = length - front - back
        speed = rng.uniform(self.slowest, self.fastest)
        return Warp(front, length - back, max(2, round(kept / speed)))

    def apply(self, recording: Recording, warp: Warp, rng: np.random.Generator) -> Recording:
        """Return the recording in another time, with noise.

        Landmarks are interpolated. A hand that is seen only before or only after a new frame, the flags, the state and
        the controls are those of the nearest old frame, but an event stays one event, on the first new frame that shows
        its state.
        """
        positions = warp.positions()
        nearest = np.rint(positions).astype(np.intp)
        noise = self._noise(warp.length, rng)
        frames = np.empty((warp.length, FRAME), dtype=np.float32)
        for start in range(0, warp.length, BLOCK):
            block = slice(start, start + BLOCK)
            _interpolate(recording.frames, positions[block], nearest[block], out=frames[block])
            noise.add(frames[block, COORDINATES], block)
        controls = recording.controls[nearest]
        for column in EVENTS:
            controls[:, column] = _keep_events(recording.controls[:, column], nearest)
        times = recording.timestamps[0] + np.arange(warp.length) / recording.fps
        return replace(
            recording, frames=frames, controls=controls, game_state=recording.game_state[nearest], timestamps=times
        )  # fmt: skip

    def _noise(self, count: int, rng: np.random.Generator) -> "_Noise":
        """Noise for `count` frames, drawn once a recording, since drawing is what costs."""
        supply = rng.standard_normal(SUPPLY, dtype=np.float32) * np.float32(self.noise)
        stretches = np.lib.stride_tricks.sliding_window_view(supply, COORDINATES.stop)
        return _Noise(stretches, rng.integers(0, len(stretches), count))


@dataclass(frozen=True, eq=False)
class _Noise:
    """Noise of frames, each a random stretch of a recording's supply. starts: (N,) where each frame's begins."""

    stretches: NDArray[np.float32]
    starts: NDArray[np.integer]

    def add(self, landmarks: NDArray[np.float32], frames: slice) -> None:
        """Add to landmarks (B, 225) in place; an absent landmark is exactly zero and stays so."""
        noise = self.stretches[self.starts[frames]]
        # Noise would turn a hand that is not there into one at the origin.
        noise *= landmarks != 0
        landmarks += noise


def _interpolate(
    frames: NDArray[np.float32], positions: NDArray[np.float64], nearest: NDArray[np.intp], out: NDArray[np.float32]
) -> None:
    """Write (M, 260) frames at (M,) positions."""
    before = np.floor(positions).astype(np.intp)
    after = np.minimum(before + 1, len(frames) - 1)
    share = (positions - before).astype(np.float32)[:, None]
    first = frames[before]
    np.take(frames, after, axis=0, out=out, mode="clip")
    out -= first
    out *= share
    out += first
    out[:, COORDINATES.stop :] = frames[nearest, COORDINATES.stop :]
    for hand in ("left", "right"):
        present = frames[:, INPUTS[f"{hand}_present"].start]
        # Halfway to an absent hand, which is all zeros, is no place where a hand ever was.
        half = np.flatnonzero(present[before] != present[after])
        where = INPUTS[f"{hand}_hand"]
        out[half, where] = frames[nearest[half], where]


def _keep_events(old: NDArray[np.float32], nearest: NDArray[np.intp]) -> NDArray[np.float32]:
    """(M,) an event column in new time: as many runs of ones as the old one has between the first and last frame.

    A run begins at the first new frame that is at it or past it, as the state does, and a run of one frame stays one.
    """
    new = np.zeros(len(nearest), dtype=np.float32)
    if not old.any():
        return new
    on = np.concatenate(([False], old[nearest[0] : nearest[-1] + 1] > 0.5, [False]))
    begins, ends = np.flatnonzero(on[1:] & ~on[:-1]), np.flatnonzero(~on[1:] & on[:-1])
    free = 0
    for begin, end in zip(begins + nearest[0], ends + nearest[0], strict=True):
        first = max(int(np.searchsorted(nearest, begin)), free)
        last = first + 1 if end - begin == 1 else max(first + 1, int(np.searchsorted(nearest, end)))
        new[first:last] = 1
        free = last + 1  # a gap, so that two events stay two
    return new
