"""Curves of a run as a picture, and a page with the scores and the precision and recall of every control."""

import base64
import importlib.util
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from protege.controls import tables
from protege.controls.config import LOSS_WEIGHTS
from protege.controls.evaluate import Evaluation
from protege.controls.files import with_temporary
from protege.controls.metrics import Binary
from protege.errors import MissingExtra


def write_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Losses and validation scores over the epochs, as PNG."""
    png = curves(history)
    with_temporary(path, lambda beside: beside.write_bytes(png))


def write_report(found: Evaluation, history: Sequence[Mapping[str, Any]], path: Path, name: str) -> None:
    """One HTML file with everything in it. history: of the training, empty where it is not at hand."""
    import jinja2

    text = (files("protege.controls") / "page.html.jinja").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    page = template.render(
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
    )
    with_temporary(path, lambda beside: beside.write_text(page, encoding="utf-8"))


def curves(history: Sequence[Mapping[str, Any]]) -> bytes:
    """Three panels: the loss, each head's loss, the scores; the best epoch marked."""
    drawn = _figure((12, 4))
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
    return _png(drawn)


def precision_recall(found: Evaluation) -> list[tuple[str, Binary, float, bytes]]:
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
                png = curve(target[frames, i], probability[frames, i], row)
                made.append((control, row, thresholds[i], png))
    return made


def curve(target: np.ndarray, probability: np.ndarray, row: Binary) -> bytes:
    """Precision over recall at every threshold; a dot where the model works."""
    try:
        from sklearn.metrics import average_precision_score, precision_recall_curve
    except ImportError:
        raise MissingExtra("scikit-learn", "controls") from None

    precision, recall, _ = precision_recall_curve(target, probability)
    drawn = _figure((2.6, 2.2))
    axes = drawn.subplots()
    axes.plot(recall, precision)
    axes.plot([row.recall], [row.precision], "o")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_title(f"average precision {average_precision_score(target, probability):.3f}", fontsize=8)
    axes.set_xlabel("recall", fontsize=8)
    axes.set_ylabel("precision", fontsize=8)
    return _png(drawn)


def data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _figure(size: tuple[float, float]) -> Any:
    """A matplotlib figure without a window and without pyplot's global state."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "controls")
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=100, layout="constrained")


def _png(drawn: Any) -> bytes:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png")
    return buffer.getvalue()
