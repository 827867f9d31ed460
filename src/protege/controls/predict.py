"""Predictions for prepared windows: on the recorded history, on the model's own, and of the copying baseline."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from protege.controls import tables
from protege.controls.losses import PosWeights, TargetTensors, Term, batch_mean, seed000, terms
from protege.controls.metrics import Floats, Predictions, Thresholds, Truth
from protege.controls.model import ControlTransformer, Outputs
from protege.controls.windows import LOOK_DEAD_ZONE, Batch, Prepared, Statistics
from protege.learn.progress import Steps, silent


class Predict(Protocol):
    """Inputs (B, 30, 671) float32 and mask (B, 30) bool to predictions of B frames."""

    def __call__(self, inputs: Floats, mask: NDArray[np.bool_], /) -> Predictions: ...


def truth_of(prepared: Prepared) -> Truth:
    """The targets of all windows, with the slot that was held before each."""
    last = prepared.starts + prepared.lengths - 1
    slots = np.rint(state_before(prepared, last)[:, tables.SLOT] * (tables.SLOTS - 1)).astype(int)
    return Truth(**vars(prepared.targets()), slot=slots)


def state_before(prepared: Prepared, frames: NDArray[np.integer]) -> Floats:
    """(B, 46) the game's state that the rows of some frames hold: that of the frame before, not standardised."""
    where = tables.INPUTS["state"]
    rows = prepared.rows[frames, where]
    scale = prepared.statistics
    return rows if scale is None else rows * scale.std[where] + scale.mean[where]


def of_model(model: ControlTransformer) -> Predict:
    """A model in evaluation mode, on whichever device it is."""
    model.eval()
    device = model.positions.device

    def predict(inputs: Floats, mask: NDArray[np.bool_], /) -> Predictions:
        with torch.inference_mode():
            out = model(torch.from_numpy(inputs).to(device), torch.from_numpy(mask).to(device))
            return predictions(out)

    return predict


def predictions(out: Outputs) -> Predictions:
    """Outputs as probabilities and axes, in NumPy."""
    found = Outputs(
        torch.sigmoid(out.action), out.look, torch.softmax(out.hotbar, -1), out.cursor, torch.sigmoid(out.inventory)
    )
    return Predictions(*(part.float().cpu().numpy() for part in found))


def tensors(batch: Batch, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor, TargetTensors]:
    """Inputs, mask and targets of a batch on a device."""
    moved = TargetTensors(*(torch.from_numpy(getattr(batch, name)).to(device) for name in TargetTensors._fields))
    return torch.from_numpy(batch.inputs).to(device), torch.from_numpy(batch.mask).to(device), moved


def predict_all(
    predict: Predict,
    prepared: Prepared,
    batch_size: int = 256,
    progress: Steps = silent,
) -> Predictions:
    """Predictions for every window on the recorded history (teacher forcing)."""
    batches = _batches(prepared, batch_size, progress)
    return Predictions.concatenate([predict(batch.inputs, batch.mask) for batch in batches])


def _batches(prepared: Prepared, size: int, progress: Steps) -> Iterator[Batch]:
    for start in range(0, len(prepared), size):
        stop = min(start + size, len(prepared))
        yield prepared.batch(np.arange(start, stop))
        progress(stop, len(prepared))


def judge_all(
    model: ControlTransformer,
    prepared: Prepared,
    weights: PosWeights,
    batch_size: int = 256,
    *,
    weighting: str = "masked",
    progress: Steps = silent,
) -> tuple[Predictions, dict[str, Term]]:
    """As `predict_all`, with the six losses summed over all windows; weighting "seed000" adds its "loss"."""
    device = model.positions.device
    model.eval()
    parts: list[Predictions] = []
    sums: dict[str, Term] = {}
    with torch.inference_mode():
        for batch in _batches(prepared, batch_size, progress):
            inputs, mask, targets = tensors(batch, device)
            out = model(inputs, mask)
            parts.append(predictions(out))
            found = terms(out, targets, weights)
            if weighting == "seed000":
                found["loss"] = batch_mean(seed000(out, targets, weights), len(targets.controls))
            sums = add_terms(sums, found)
    return Predictions.concatenate(parts), sums


def add_terms(sums: dict[str, Term], found: dict[str, Term]) -> dict[str, Term]:
    """Add the terms of a batch to sums so far."""
    detached = {name: Term(term.total.detach().double(), term.elements) for name, term in found.items()}
    if not sums:
        return detached
    return {name: Term(sums[name].total + t.total, sums[name].elements + t.elements) for name, t in detached.items()}


def copy_last(prepared: Prepared) -> Predictions:
    """Copying baseline: the controls of the frame before."""
    last = prepared.starts + prepared.lengths - 1
    controls = np.zeros((len(last), len(tables.CONTROLS)), np.float32)
    there = prepared.lengths > 1
    controls[there] = prepared.frame_targets.controls[last[there] - 1]
    return Predictions.of_controls(controls)


def roll_out(
    predict: Predict,
    prepared: Prepared,
    thresholds: Thresholds,
    progress: Steps = silent,
) -> Predictions:
    """Predictions for every window on the model's own history (free running): all recordings at once, frame by frame.

    The history gets what would be held: controls over their thresholds, in the mode that the screen says.
    """
    rows = prepared.rows.copy()
    rows[: prepared.spans[-1][1], tables.INPUTS["history"]] = prepared.blank[tables.INPUTS["history"]]
    own = replace(prepared, rows=rows)
    last = prepared.starts + prepared.lengths - 1
    ends = np.array([stop for _, stop in prepared.spans])
    starts = np.array([start for start, _ in prepared.spans])
    recording = np.searchsorted(ends, last, side="right")
    times = last - starts[recording]
    parts, order = [], []
    # Frame by frame over all recordings at once, since each decision becomes history of the next five.
    for time in np.unique(times):
        windows = np.flatnonzero(times == time)
        batch = own.batch(windows)
        found = predict(batch.inputs, batch.mask)
        controls = held(found, state_before(own, last[windows]), thresholds)
        write_history(rows, last[windows], ends[recording[windows]], controls, prepared.statistics)
        parts.append(found)
        order.append(windows)
        progress(int(time) + 1, int(times.max()) + 1)
    found = Predictions.concatenate(parts)
    back = np.argsort(np.concatenate(order))
    return Predictions(*(values[back] for values in vars(found).values()))


def held(predicted: Predictions, state: Floats, thresholds: Thresholds) -> Floats:
    """(B, 28) controls that would be held. state: (B, 46), for the open screen and the slot that is held."""
    controls = np.zeros((len(state), len(tables.CONTROLS)), np.float32)
    screen = state[:, tables.SCREEN] > 1e-3  # 0 after standardising and back is only about 0
    action = predicted.action > np.array(thresholds.action, np.float32)
    meaningless = screen[:, None].repeat(action.shape[1], 1)
    meaningless[:, tables.OPEN_INVENTORY_ACTION] = False
    controls[:, tables.HEADS["action"]] = action & ~meaningless
    look = np.where(np.abs(predicted.look) < LOOK_DEAD_ZONE, 0, predicted.look)
    controls[:, tables.HEADS["look"]] = look * ~screen[:, None]
    slots = predicted.slots(thresholds.hotbar)
    changes = (slots >= 0) & ~screen & (slots != np.rint(state[:, tables.SLOT] * (tables.SLOTS - 1)))
    controls[changes, tables.HEADS["hotbar"][slots[changes]]] = 1
    controls[:, tables.HEADS["cursor"]] = predicted.cursor * screen[:, None]
    clicks = predicted.inventory > np.array(thresholds.inventory, np.float32)
    controls[:, tables.HEADS["inventory"]] = clicks & screen[:, None]
    return controls


def write_history(
    rows: Floats, frames: NDArray[np.integer], ends: NDArray[np.integer], controls: Floats, scale: Statistics | None
) -> None:
    """Put controls (B, 28) of frames (B,) where the rows of the five frames after each keep their history.

    ends: (B,) where each one's recording stops. The history of a row is oldest first.
    """
    width, where = len(tables.CONTROLS), tables.INPUTS["history"]
    for age in range(1, tables.HISTORY_FRAMES + 1):
        begin = where.start + (tables.HISTORY_FRAMES - age) * width
        columns = slice(begin, begin + width)
        values = controls if scale is None else (controls - scale.mean[columns]) / scale.std[columns]
        inside = frames + age < ends
        rows[frames[inside] + age, columns] = values[inside]
