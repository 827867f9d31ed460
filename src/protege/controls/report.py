"""The learning curves of a run, and the HTML page with scores and precision-recall curves of every control."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from protege.controls import tables
from protege.controls.checkpoint import Epoch
from protege.controls.config import LOSS_WEIGHTS
from protege.controls.evaluate import Evaluation
from protege.core.files import write_bytes, write_text, writing
from protege.errors import MissingExtra
from protege.learn.metrics import BinaryScore
from protege.learn.pages import data_uri, figure, png, render
from protege.learn.tables import number

EXTRA: Final = "controls"


def write_curves(history: Sequence[Epoch], path: Path) -> None:
    """Losses and validation scores over the epochs, as PNG."""
    picture = curves(history)
    with writing(path.parent):
        write_bytes(path, picture)


def write_report(found: Evaluation, history: Sequence[Epoch], path: Path, name: str) -> None:
    """One HTML file with everything in it. history: of the training, empty where it is not at hand."""
    text = render(
        "controls/page.html.jinja",
        name=name,
        frames=found.model.frames,
        absent=", ".join(found.model.absent),
        table=found.table(),
        curves=data_uri(curves(history)) if history else "",
        controls=[
            {"name": control, "row": row, "threshold": threshold, "picture": data_uri(picture)}
            for control, row, threshold, picture in precision_recall(found)
        ],
        hotbar=found.thresholds.hotbar,
        number=number,
    )
    with writing(path.parent):
        write_text(path, text)


def curves(history: Sequence[Epoch]) -> bytes:
    """Three panels: the loss, each head's loss, the scores; the best epoch marked."""
    drawn = figure((12, 4), EXTRA)
    whole, heads, scores = drawn.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    for part, label in (("train", "training"), ("val", "validation")):
        whole.plot(epochs, [row[part]["loss"] for row in history], label=label)
    for name in LOSS_WEIGHTS:
        heads.plot(epochs, [row["val"][name] for row in history], label=name)
    for name in ("score", "action_f1", "inventory_f1", "hotbar_accuracy", "idle_accuracy", "look_direction"):
        values = [np.nan if row[name] is None else row[name] for row in history]
        scores.plot(epochs, values, label=name.replace("_", " "))
    if best := [row["epoch"] for row in history if row["best"]]:
        scores.axvline(best[-1], color="lightgrey", zorder=0)
    scores.set_ylim(0, 1)
    for axes, title in ((whole, "loss"), (heads, "validation loss by head"), (scores, "validation scores")):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.legend(fontsize=7)
    return png(drawn)


def precision_recall(found: Evaluation) -> list[tuple[str, BinaryScore, float, bytes]]:
    """(control, its scores, its threshold, its curve as PNG) of every binary control that was pressed at all."""
    parts = (
        ("action", found.predicted.action, found.truth.action_mask, found.thresholds.action),
        ("inventory", found.predicted.inventory, found.truth.screen_open[:, None], found.thresholds.inventory),
    )
    made = []
    for head, probability, counts, thresholds in parts:
        kept, target = np.broadcast_to(counts, probability.shape), found.truth.head(head) > 0.5
        for i, control in enumerate(tables.head_names(head)):
            row = getattr(found.model, head)[control]
            if row.support:
                frames = kept[:, i]
                picture = curve(target[frames, i], probability[frames, i], row)
                made.append((control, row, thresholds[i], picture))
    return made


def curve(target: np.ndarray, probability: np.ndarray, row: BinaryScore) -> bytes:
    """Precision-recall curve as PNG, with a dot at the threshold in use."""
    try:
        from sklearn.metrics import average_precision_score, precision_recall_curve
    except ImportError:
        raise MissingExtra("scikit-learn", EXTRA) from None

    precision, recall, _ = precision_recall_curve(target, probability)
    drawn = figure((2.6, 2.2), EXTRA)
    axes = drawn.subplots()
    axes.plot(recall, precision)
    if row.precision is not None and row.recall is not None:
        axes.plot(row.recall, row.precision, "o")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_title(f"average precision {average_precision_score(target, probability):.3f}", fontsize=8)
    axes.set_xlabel("recall", fontsize=8)
    axes.set_ylabel("precision", fontsize=8)
    return png(drawn)
