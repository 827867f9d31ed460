"""Training windows of 30 frames: one contiguous matrix of rows, and batches cut from it with one copy."""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.controls.augment import Augmentation, Warp
from protege.controls.features import build_rows
from protege.controls.recordings import BadRecording, Recording, Skipped, Source
from protege.controls.tables import (
    CONTROLS,
    HEADS,
    HISTORY_FRAMES,
    INPUT,
    INPUTS,
    OPEN_INVENTORY_ACTION,
    SCREEN,
    WINDOW,
)
from protege.errors import UserError

HISTORY_DROPOUT: Final = 0.3
FIRST_TARGET: Final = 2
"""The first frame of a recording that is learned from; until a window is full, it is filled up with empty rows."""
LOOK_DEAD_ZONE: Final = 0.08
SMALLEST_STD: Final = 1e-6
"""Below it a feature is constant, and only its mean is taken off."""
CHUNK: Final = 512
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and deviation, (671,) float32, of the training recordings' rows; a constant column has std 1."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> Self:
        """Compute them of (N, 671) rows that are not standardised yet."""
        # Sums are taken around a rough mean: of numbers far from 0 the difference of two large sums would lose the
        # deviation.
        centre = rows[:CHUNK].mean(axis=0)
        total, squares = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
        ones = np.ones(CHUNK, dtype=np.float32)
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK] - centre
            total += ones[: len(chunk)] @ chunk
            np.multiply(chunk, chunk, out=chunk)
            squares += ones[: len(chunk)] @ chunk
        shift = total / len(rows)
        std = np.sqrt(np.maximum(squares / len(rows) - shift**2, 0))
        std[std < SMALLEST_STD] = 1
        return cls((centre + shift).astype(np.float32), std.astype(np.float32))

    def apply(self, rows: NDArray[np.float32]) -> None:
        """Standardise (N, 671) rows in place."""
        rows -= self.mean
        rows /= self.std


@dataclass(frozen=True, eq=False)
class Targets:
    """controls: (B, 28) float32 of the last frame of each window; the rest (B,) bool.

    gameplay: no screen was open when the player decided, so the frame that opens the inventory counts; screen_open: one
    was and stays open; hotbar_changed: a slot is chosen; look_active: the view turns; idle: gameplay without an action.
    A frame that closes a screen is in neither mode: only `action_mask` has it.
    """

    controls: NDArray[np.float32]
    gameplay: Bools
    screen_open: Bools
    hotbar_changed: Bools
    look_active: Bools
    idle: Bools

    def __len__(self) -> int:
        return len(self.controls)

    @property
    def action_mask(self) -> Bools:
        """(B, 12): gameplay for every action but open_inventory, which counts in both modes, since it also closes."""
        mask = np.repeat(self.gameplay[:, None], len(HEADS["action"]), axis=1)
        mask[:, OPEN_INVENTORY_ACTION] = True
        return mask


@dataclass(frozen=True, eq=False)
class Batch(Targets):
    """inputs: (B, 30, 671) float32; mask: (B, 30) bool, true where there is a frame (empty rows come last)."""

    inputs: NDArray[np.float32]
    mask: Bools


@dataclass(frozen=True, eq=False)
class Prepared:
    """Windows over recordings. W windows of N frames in all.

    rows: (N + 29, 671) float32, the last 29 empty, standardised if `statistics` is given; targets: of all N frames;
    starts, lengths: (W,) of each window; spans: (start, stop) of each recording's frames; skipped: what had to be left
    out; blank: (671,) what an unknown input is, 0 before standardising.
    """

    rows: NDArray[np.float32]
    frame_targets: Targets
    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    spans: tuple[tuple[int, int], ...]
    skipped: tuple[Skipped, ...]
    blank: NDArray[np.float32]
    statistics: Statistics | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def known_rows(self) -> NDArray[np.float32]:
        """(N, 671): the rows of frames, without the empty ones."""
        return self.rows[: self.spans[-1][1]]

    def targets(self, indices: NDArray[np.integer] | slice = slice(None)) -> Targets:
        """Targets of some windows, of all by default."""
        last = self.starts[indices] + self.lengths[indices] - 1
        return Targets(**{name: values[last] for name, values in vars(self.frame_targets).items()})

    def batch(
        self,
        indices: NDArray[np.integer],
        rng: np.random.Generator | None = None,
        history_dropout: float = HISTORY_DROPOUT,
        history_block: bool = True,
    ) -> Batch:
        """Some windows. With `rng`, each loses its whole history with the probability `history_dropout`: in all of its
        rows, since a control stands in the histories of five and would be seen in the others. Without `history_block`,
        each of the five frames of history is lost by itself (seed 000).
        """
        lengths = self.lengths[indices]
        inputs = self._view[self.starts[indices]]
        mask = np.arange(WINDOW) < lengths[:, None]
        if rng is not None:
            parts = 1 if history_block else HISTORY_FRAMES
            drop = rng.random((len(inputs), parts)) < history_dropout
            history = INPUTS["history"]
            for part in range(parts):
                size = (history.stop - history.start) // parts
                where = slice(history.start + part * size, history.start + (part + 1) * size)
                inputs[drop[:, part], :, where] = self.blank[where]
        # What lies in memory behind a short window are frames of its future, or of the next recording.
        if not mask.all():
            inputs[~mask] = 0
        return Batch(**vars(self.targets(indices)), inputs=inputs, mask=mask)

    @property
    def _view(self) -> NDArray[np.float32]:
        """(N, 30, 671) overlapping windows without a copy; cutting from it is one copy of contiguous memory."""
        step, item = self.rows.strides
        # Read only: each row is in thirty windows, so writing to one would change all.
        shape = (len(self.rows) - WINDOW + 1, WINDOW, INPUT)
        return np.lib.stride_tricks.as_strided(self.rows, shape, (step, step, item), writeable=False)


def prepare(
    sources: Sequence[Source],
    augmentation: Augmentation | None = None,
    rng: np.random.Generator | None = None,
    statistics: Statistics | None = None,
    first_target: int = FIRST_TARGET,
    look_rule: str = "norm",
) -> Prepared:
    """Windows that end at every frame of the recordings, from frame `first_target` on (29: only full windows; a
    recording of fewer frames then gives the one window that it fills in part).

    Recordings are read one after another and not kept. augmentation: drawn anew from `rng` at each call; without it,
    nothing is changed. statistics: standardise with these. Files that turn out damaged are skipped and listed; a
    UserError says so when nothing is left.
    """
    if augmentation is not None and rng is None:
        raise ValueError("an augmentation is drawn from a generator; give rng")
    warps = [augmentation.draw(len(s), rng) if augmentation and rng else Warp.none(len(s)) for s in sources]
    builder = _Builder(sum(warp.length for warp in warps), statistics, look_rule)
    skipped: list[Skipped] = []
    for source, warp in zip(sources, warps, strict=True):
        try:
            recording = source.load()
        except BadRecording as error:
            skipped.append(Skipped(error.path, error.reason))
            continue
        if len(recording) != len(source):
            raise UserError(f"{recording.path}: it has changed while it was read; leave it alone during training")
        if augmentation and rng:
            recording = augmentation.apply(recording, warp, rng)
        builder.add(recording)
    if not builder.spans:
        why = f": {skipped[0].path}: {skipped[0].reason}" if skipped else ""
        raise UserError(f"no recording could be prepared ({len(skipped)} skipped{why}); record some")
    return builder.finish(first_target, tuple(skipped))


class _Builder:
    """Fills the matrix, one recording after another."""

    def __init__(self, length: int, statistics: Statistics | None, look_rule: str) -> None:
        self._rows = _ordinary_memory(length + WINDOW - 1)
        self._controls = np.empty((length, len(CONTROLS)), dtype=np.float32)
        self._before = np.empty(length, dtype=bool)
        self._now = np.empty(length, dtype=bool)
        self._statistics = statistics
        self._look_rule: str = look_rule
        self.spans: list[tuple[int, int]] = []

    def add(self, recording: Recording) -> None:
        start = self.spans[-1][1] if self.spans else 0
        stop = start + len(recording)
        rows = build_rows(
            recording.frames, recording.game_state, recording.controls, out=self._rows[start:stop]
        )  # fmt: skip
        self._controls[start:stop] = recording.controls
        self._now[start:stop] = recording.game_state[:, SCREEN] > 0
        self._before[start:stop] = rows[:, INPUTS["state"]][:, SCREEN] > 0
        if self._statistics is not None:
            self._statistics.apply(rows)
        self.spans.append((start, stop))

    def finish(self, first_target: int, skipped: tuple[Skipped, ...]) -> Prepared:
        stop = self.spans[-1][1]
        rows = self._rows[: stop + WINDOW - 1]
        # The last windows of all reach beyond the last frame, hence the empty rows.
        rows[stop:] = 0
        ends = [np.arange(min(first_target, b - a - 1), b - a) for a, b in self.spans]
        firsts = np.concatenate([np.full(len(e), a) for e, (a, _) in zip(ends, self.spans, strict=True)])
        last = np.concatenate(ends)
        begin = np.maximum(last - WINDOW + 1, 0)
        blank = np.zeros((1, INPUT), dtype=np.float32)
        if self._statistics is not None:
            self._statistics.apply(blank)
        targets = targets_of(self._controls[:stop], self._before[:stop], self._now[:stop], self._look_rule)
        return Prepared(
            rows, targets, firsts + begin, last - begin + 1, tuple(self.spans), skipped, blank[0], self._statistics
        )  # fmt: skip


def _ordinary_memory(rows: int) -> NDArray[np.float32]:
    """(rows, 671) zeros. np.empty asks for huge pages, and finding those can cost more CPU than preparing the rows."""
    memory = mmap.mmap(-1, rows * INPUT * np.dtype(np.float32).itemsize, access=mmap.ACCESS_COPY)
    return np.frombuffer(memory, np.float32).reshape(rows, INPUT)


def targets_of(controls: NDArray[np.float32], before: Bools, now: Bools, look_rule: str) -> Targets:
    """Of N frames. before, now: (N,) whether a screen was open at the frame before, and at the frame itself; look_rule:
    what makes a look count, its length ("norm") or any of its axes ("any", as in seed 000) above the dead zone.
    """
    look = controls[:, HEADS["look"]]
    if look_rule == "norm":
        size = np.einsum("ij,ij->i", look, look, dtype=np.float64) ** 0.5
    else:
        size = np.abs(look).max(axis=1)
    gameplay = ~before
    return Targets(
        controls,
        gameplay,
        before & now,
        controls[:, HEADS["hotbar"]].max(axis=1) > 0.5,
        size > LOOK_DEAD_ZONE,
        gameplay & (controls[:, HEADS["action"]].sum(axis=1) < 0.5),
    )
