"""The HTML page of a model's scores."""

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from protege.core.files import Json, component, write_text
from protege.core.momentary import NEAR
from protege.learn.pages import data_uri, figure, heat_map, png, render
from protege.training.judged import Judged, summary, worst
from protege.vlm.pixels import read_picture

THUMBNAIL: Final = (320, 240)
SIZE: Final = (8, 4)
"""Of a figure, in inches."""
EXTRA: Final = "vision"


def write_page(judged: Judged, path: Path) -> None:
    """Write the page, whole or not at all."""
    text = render(
        "training/page.html.jinja",
        name=Path(judged.name).name,
        table=summary(judged),
        confusion=data_uri(confusion_png(judged)),
        keys=data_uri(keys_png(judged)),
        calibration=data_uri(calibration_png(judged)),
        momentary=judged.scores.momentary,
        look=judged.scores.look,
        near=NEAR,
        worst=_pictured(judged),
    )
    write_text(path, text)


def confusion_png(judged: Judged) -> bytes:
    """First actions: truth in rows, predictions in columns, each row as parts of its whole."""
    counts = np.array(judged.scores.confusion)
    used = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(used, used)]
    parts = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [judged.data.shape.space.keys[k] for k in used]
    drawn = figure(SIZE, EXTRA)
    axes = drawn.subplots()
    texts = np.where(counts, counts.astype(str), "")
    heat_map(axes, parts, texts, (names, names), ("pressed", "predicted"))
    return png(drawn)


def keys_png(judged: Judged) -> bytes:
    """Precision, recall and F1 of each key, over all slots."""
    keys = judged.scores.keys
    at = np.arange(len(keys))
    drawn = figure(SIZE, EXTRA)
    axes = drawn.subplots()
    for i, name in enumerate(("precision", "recall", "f1")):
        values = [getattr(score, name) or 0 for score in keys.values()]
        axes.bar(at + (i - 1) * 0.28, values, 0.26, label=name)
    axes.set_xticks(at, [f"{key}\n{score.support}" for key, score in keys.items()])
    axes.set_ylim(0, 1)
    drawn.legend(loc="outside upper center", ncols=3)
    return png(drawn)


def calibration_png(judged: Judged) -> bytes:
    """Reliability diagram of the first action: accuracy over confidence."""
    drawn = figure(SIZE, EXTRA)
    axes = drawn.subplots()
    axes.plot([0, 1], [0, 1], color="lightgrey")
    if rows := judged.scores.calibration:
        sure, right, counts = zip(*rows, strict=True)
        axes.scatter(sure, right, s=20 + 300 * np.array(counts) / max(counts))
    axes.set_xlabel("how sure")
    axes.set_ylabel("how often right")
    return png(drawn)


def _pictured(judged: Judged) -> list[dict[str, Json]]:
    """The worst samples with their pictures."""
    folders = {folder.name: folder for folder in judged.data.folders}
    found: list[dict[str, Json]] = []
    for sample in worst(judged):
        folder, name = str(sample["file"]).split("/")
        picture = Image.fromarray(read_picture(component(folders[folder], name, folders[folder], "a picture")))
        picture.thumbnail(THUMBNAIL)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        found.append({**sample, "picture": data_uri(buffer.getvalue(), "image/jpeg")})
    return found
