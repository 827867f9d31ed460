"""What a model predicts for whole episodes, and the numbers made of it: the model's own and those of the baselines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protege.cloning import baselines, metrics
from protege.cloning.loader import Batch
from protege.cloning.metrics import Bools, Scores
from protege.cloning.thresholds import DEFAULT, played, pressed


@dataclass(frozen=True)
class Predictions:
    """probs, truth: (N, H, A) of N frames in the order of play; rows: (N,) which picture is a frame's (its row in the
    cache), -1 where none was kept; episode: (N,) its place in `episodes`, the names.
    """

    keys: tuple[str, ...]
    episodes: tuple[str, ...]
    probs: NDArray[np.float32]
    truth: Bools
    rows: NDArray[np.int64]
    episode: NDArray[np.int64]


def collect(
    batches: Iterable[Batch],
    forward: Callable[[Batch], NDArray[np.floating]],
    keys: Sequence[str],
    offsets: Mapping[str, tuple[int, int]],
    progress: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """Predictions of unshuffled batches. forward: (B, H, A) probabilities; offsets: `Cache.offsets`; progress: told the
    frames that are done. Rows that only fill up a batch are left out.
    """
    probs, truth, rows = [], [], []
    for batch in batches:
        probs.append(np.asarray(forward(batch), np.float32)[batch.valid])
        truth.append(batch.actions[batch.valid] > 0.5)
        rows.append(batch.rows[batch.valid])
        progress(sum(map(len, rows)))
    at = np.concatenate(rows)
    names = sorted(offsets, key=lambda name: offsets[name][0])
    place = np.searchsorted([offsets[name][0] for name in names], at, side="right") - 1
    used, episode = np.unique(place, return_inverse=True)
    return Predictions(
        tuple(keys), tuple(names[i] for i in used), np.concatenate(probs), np.concatenate(truth), at, episode
    )


@dataclass(frozen=True)
class Evaluation:
    """Scores of one set of predictions; where a model predicts H actions, those of the first, which is played at once.

    thresholds: (A,); cross_entropy: mean nats an action, None where there are no probabilities; slots: exact match of
    each of the H; others: the same model as a policy plays it and at 0.5, the commonest action of the training
    episodes, and a copy of the action before.
    """

    predictions: Predictions
    thresholds: NDArray[np.float64]
    scores: Scores
    cross_entropy: float | None
    slots: tuple[float, ...]
    others: Mapping[str, Scores]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def truth(self) -> Bools:
        """(N, A)."""
        return self.predictions.truth[:, 0]

    @property
    def pred(self) -> Bools:
        """(N, A)."""
        return pressed(self.predictions.probs[:, 0], self.thresholds)

    @property
    def shares(self) -> NDArray[np.float64]:
        """For each episode the part of its frames whose every action is right."""
        right, episode = (self.pred == self.truth).all(1), self.predictions.episode
        return np.bincount(episode, right) / np.bincount(episode)

    def to_json(self) -> dict[str, Any]:
        return {
            **self.about,
            "cross_entropy": self.cross_entropy,
            **self.scores.to_json(),
            "slots": list(self.slots),
            "thresholds": dict(zip(self.predictions.keys, map(float, self.thresholds), strict=True)),
            "others": {name: found.to_json() for name, found in self.others.items()},
        }


def judge(
    found: Predictions,
    thresholds: NDArray[np.floating],
    train: Bools,
    buffer: int = metrics.BUFFER,
    about: Mapping[str, Any] | None = None,
) -> Evaluation:
    """All numbers. thresholds: (A,), chosen on other frames than these; train: (N, A) the training episodes' actions;
    buffer: frames by which a change may be early or late.
    """
    thresholds = np.asarray(thresholds, np.float64)
    truth, episode, keys = found.truth[:, 0], found.episode, found.keys
    candidates = {
        "as played": played(found.probs[:, 0], thresholds),
        "at 0.5": pressed(found.probs[:, 0], np.full(len(keys), DEFAULT)),
        "majority": baselines.majority(train, len(truth)),
        "copy previous": baselines.copy_previous(truth, episode),
    }
    slots = (pressed(found.probs, thresholds) == found.truth).all(2).mean(0)
    return Evaluation(
        predictions=found,
        thresholds=thresholds,
        scores=metrics.score(truth, pressed(found.probs[:, 0], thresholds), episode, keys, buffer),
        cross_entropy=cross_entropy(found.probs[:, 0], truth),
        slots=tuple(map(float, slots)),
        others={name: metrics.score(truth, pred, episode, keys, buffer) for name, pred in candidates.items()},
        about=dict(about or {}),
    )


def cross_entropy(probs: NDArray[np.floating], truth: Bools) -> float:
    """Mean nats an action and frame, over frames (not over batches); probabilities of 0 and 1 count as 1e-7 off."""
    likely = np.clip(np.where(truth, probs, 1 - probs).astype(np.float64), 1e-7, 1)
    return float(-np.log(likely).mean())
