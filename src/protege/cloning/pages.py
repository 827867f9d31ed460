"""The page of a model's predictions: one HTML file with numbers, confusion by action, time lines and videos in it."""

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.cloning.film import drawn
from protege.cloning.metrics import confusion
from protege.cloning.predictions import Evaluation
from protege.cloning.tables import table
from protege.core.files import replacing
from protege.learn.pages import data_uri, figure, heat_map, png, render
from protege.learn.tables import number
from protege.learn.video import encode

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

EXTRA: Final = "cloning"
THUMBNAILS: Final = 8
FILM_FRAMES: Final = 600
"""Of an episode; what comes after is not filmed."""


Pictures = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]
"""(N, 3, H, W), or N of (3, H, W)."""


def page_of(found: Evaluation, frames: Pictures, intro: str, fps: float = 10.0, films: bool = True) -> str:
    """The page as HTML.

    frames: the pictures that the predictions' rows count; intro: what they are of; films: with videos.
    """
    return render(
        "cloning/evaluation.html.jinja",
        name=found.about["model"],
        intro=intro,
        table=table({found.about["model"]: found.to_json(), **found.to_json()["others"]}),
        actions=action_rows(found),
        episodes=episode_rows(found),
        confusion=data_uri(confusion_png(found)),
        shown=[episode_parts(found, frames, e, title, fps, films) for e, title in chosen(found).items()],
    )


def write_files(texts: Mapping[Path, str]) -> None:
    """Write text files: whole, and where one cannot be written none of them."""
    if folders := [path for path in texts if path.is_dir()]:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folders[0]))
    with ExitStack() as stack:
        for path, text in texts.items():
            stack.enter_context(replacing(path)).write_text(text, encoding="utf-8")


def chosen(found: Evaluation) -> dict[int, str]:
    """The episodes that are shown, with a title each: of those with pictures the best, the worst, and one between."""
    share = found.shares
    pictures = np.bincount(found.predictions.episode, found.predictions.rows >= 0) > 0
    order = np.argsort(-share, kind="stable")
    order = order[pictures[order]]
    kinds = {int(order[0]): "the best"}
    kinds.setdefault(int(order[-1]), "the worst")
    kinds.setdefault(int(order[len(order) // 2]), "in between")
    names, parts = found.predictions.episodes, found.about.get("parts", {})
    notes = [" (trained on)" if parts.get(name) == "train" else "" for name in names]
    return {e: f"{names[e]}{notes[e]}, {kind}: {share[e]:.0%} of its frames are right" for e, kind in kinds.items()}


def episode_rows(found: Evaluation) -> list[dict[str, Any]]:
    """A line for each episode: name, frames, the share that is right, and what training used it for."""
    frames, parts = np.bincount(found.predictions.episode), found.about.get("parts", {})
    return [
        {"name": name, "frames": f"{count:,}", "right": f"{share:.0%}", "part": parts.get(name, "-")}
        for name, count, share in zip(found.predictions.episodes, frames, found.shares, strict=True)
    ]


def action_rows(found: Evaluation) -> list[dict[str, Any]]:
    """A line for each action: counts, scores and threshold."""
    counts = confusion(found.truth, found.pred)
    rows = []
    for (key, score), four, threshold in zip(found.scores.actions.items(), counts, found.thresholds, strict=True):
        cells = [f"{int(n):,}" for n in (score.support, score.predicted, *four)]
        cells += [number(value) for value in (score.precision, score.recall, score.f1, float(threshold))]
        rows.append({"key": key, "held": score.support, "cells": cells})
    return rows


def held_and_predicted(found: Evaluation) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(U,) the actions that occur, and (U, A): while each of them is held, in which part of the frames each action is
    predicted.
    """
    truth, pred = found.truth.astype(float), found.pred.astype(float)
    support = truth.sum(0)
    used = np.flatnonzero(support)
    return used, truth.T[used] @ pred / support[used, None]


def confusion_png(found: Evaluation) -> bytes:
    """`held_and_predicted` as a picture."""
    keys = found.predictions.keys
    used, parts = held_and_predicted(found)
    canvas = figure((2.5 + 0.5 * len(keys), 1.6 + 0.4 * len(used)), EXTRA)
    axes = canvas.subplots()
    texts = np.array([f"{part:.0%}" if part else "" for part in parts.flat]).reshape(parts.shape)
    heat_map(axes, parts, texts, ([keys[a] for a in used], keys), ("held", "predicted"))
    return png(canvas)


def episode_parts(
    found: Evaluation, frames: Pictures, episode: int, title: str, fps: float, films: bool
) -> dict[str, Any]:
    own = np.flatnonzero(found.predictions.episode == episode)
    parts = {"title": title, "timeline": data_uri(timeline_png(found, frames, own, fps)), "film": None}
    if films:
        own = own[:FILM_FRAMES]
        pictures = (frames[row] for row in found.predictions.rows[own])
        video = encode(drawn(pictures, found.truth[own], found.pred[own], found.predictions.keys), fps)
        parts["film"] = data_uri(video, "video/mp4")
    return parts


def timeline_png(found: Evaluation, frames: Pictures, own: NDArray[np.int64], fps: float) -> bytes:
    """Pictures along the top, and for each action when it is held (grey), its probability and threshold (lines), and
    when it is predicted (bar below). own: the places of an episode's frames among the predictions.
    """
    keys = found.predictions.keys
    probs, truth, pred = found.predictions.probs[own, 0], found.truth[own], found.pred[own]
    seconds = np.arange(len(own) + 1) / fps
    canvas = figure((10, 1.3 + 0.5 * len(keys)), EXTRA)
    grid = canvas.add_gridspec(len(keys) + 1, 1, height_ratios=[2.4, *[1] * len(keys)])
    _thumbnails(canvas, grid[0], frames, found.predictions.rows[own])
    axes = None
    for a, key in enumerate(keys):
        axes = canvas.add_subplot(grid[a + 1], sharex=axes)
        axes.stairs(truth[:, a].astype(float), seconds, fill=True, color="0.82")
        axes.stairs(np.where(pred[:, a], -0.08, -0.3), seconds, baseline=-0.3, fill=True, color="tab:blue")
        axes.stairs(probs[:, a], seconds, baseline=None, color="tab:blue", linewidth=1)
        axes.axhline(found.thresholds[a], color="tab:red", linewidth=0.7, linestyle=":")
        axes.set_ylim(-0.3, 1.02)
        axes.set_xlim(0, seconds[-1])
        axes.set_yticks([])
        axes.tick_params(labelbottom=a == len(keys) - 1)
        axes.set_ylabel(key, rotation=0, ha="right", va="center", fontsize=8)
    if axes is not None:
        axes.set_xlabel("seconds")
    return png(canvas)


def _thumbnails(canvas: "Figure", place: "SubplotSpec", frames: Pictures, rows: NDArray[np.int64]) -> None:
    """Pictures in the middle of equal parts of the time."""
    count = min(THUMBNAILS, len(rows))
    grid = place.subgridspec(1, count, wspace=0.02)
    for n in range(count):
        axes = canvas.add_subplot(grid[n])
        axes.imshow(frames[rows[(2 * n + 1) * len(rows) // (2 * count)]].transpose(1, 2, 0))
        axes.set_axis_off()
