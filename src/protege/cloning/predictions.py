"""A model's predictions for whole episodes, and their scores beside those of baselines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from protege.cloning import baselines, metrics
from protege.cloning.loader import Batch
from protege.cloning.metrics import Bools, Scores
from protege.cloning.thresholds import DEFAULT, played, pressed
from protege.core.actions import ActionSpace
from protege.learn.looking import AxisScore, axis_scores


@dataclass(frozen=True)
class Predictions:
    """Of N frames in the order of play.

    keys: names of the A actions
    episodes: names
    probs, truth: (N, H, A)
    rows: (N,) each frame's row in the cache, -1 where its picture was not kept
    episode: (N,) indices into `episodes`
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
    """Predictions of unshuffled batches, without the rows that only fill up a batch.

    forward: (B, H, A) probabilities of a batch
    offsets: `Cache.offsets`
    progress: called with how many frames are done
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


class Scored(TypedDict):
    """What was scored, for metrics.json and the page; a roll-out tells only the model.

    model, kind, parameters: name of the model, its `model.name`, its number of weights
    dataset, split: the store, and which of its episodes
    parts: by episode that the training had: train, validation or test
    frames_trained_on: of the scored frames, those that the model was trained on
    scored: a hash of the scored episodes
    """

    model: str
    kind: NotRequired[str]
    parameters: NotRequired[int]
    dataset: NotRequired[str]
    split: NotRequired[str]
    parts: NotRequired[dict[str, str]]
    frames_trained_on: NotRequired[int]
    scored: NotRequired[str]


@dataclass(frozen=True)
class Evaluation:
    """Scores of one set of predictions; of H predicted actions those of the first, which is played at once.

    thresholds: (A,)
    cross_entropy: mean nats per action, None where there are no probabilities
    slots: exact match of each of the H actions
    look: per axis of the mouse how far off it is, empty without one
    others: scores of the baselines, and of the model as a policy plays it and at the threshold 0.5
    """

    predictions: Predictions
    thresholds: NDArray[np.float64]
    scores: Scores
    cross_entropy: float | None
    slots: tuple[float, ...]
    others: Mapping[str, Scores]
    about: Scored
    look: Mapping[str, AxisScore] = field(default_factory=dict)

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
        """By episode, the share of its frames whose every action is right."""
        right, episode = (self.pred == self.truth).all(1), self.predictions.episode
        return np.bincount(episode, right) / np.bincount(episode)

    def to_json(self) -> dict[str, Any]:
        """What metrics.json holds."""
        return {
            **self.about,
            "cross_entropy": self.cross_entropy,
            **self.scores.to_json(),
            "slots": list(self.slots),
            "thresholds": dict(zip(self.predictions.keys, map(float, self.thresholds), strict=True)),
            "others": {name: found.to_json() for name, found in self.others.items()},
            **({"look": {name: asdict(score) for name, score in self.look.items()}} if self.look else {}),
        }


def judge(
    found: Predictions,
    thresholds: NDArray[np.floating],
    train: Bools,
    about: Scored,
    buffer: int = metrics.BUFFER,
    space: ActionSpace | None = None,
) -> Evaluation:
    """All scores of predictions.

    thresholds: (A,), chosen on other frames than these
    train: (N, A) actions of the training episodes
    buffer: frames by which a change may be early or late
    space: of the actions, where it is known
    """
    thresholds = np.asarray(thresholds, np.float64)
    truth, episode, keys = found.truth[:, 0], found.episode, found.keys
    candidates = {
        "as played": played(found.probs[:, 0], thresholds),
        "at 0.5": pressed(found.probs[:, 0], np.where(thresholds < 0, thresholds, DEFAULT)),
        "majority": baselines.majority(train, len(truth)),
        "copy previous": baselines.copy_previous(truth, episode),
    }
    slots = (pressed(found.probs, thresholds) == found.truth).all(2).mean(0)
    pressed_now = pressed(found.probs[:, 0], thresholds)
    return Evaluation(
        predictions=found,
        thresholds=thresholds,
        scores=metrics.score(truth, pressed_now, episode, keys, buffer),
        cross_entropy=cross_entropy(found.probs[:, 0], truth),
        slots=tuple(map(float, slots)),
        others={name: metrics.score(truth, pred, episode, keys, buffer) for name, pred in candidates.items()},
        about=about,
        look=look_scores(space, truth, pressed_now),
    )


def look_scores(space: ActionSpace | None, truth: Bools, pred: Bools) -> dict[str, AxisScore]:
    """By axis of the mouse; empty for a space without one. truth, pred: (N, A), the bins behind the keys."""
    if space is None or space.look is None:
        return {}
    first, middle = len(space.pressable), len(space.pressable) + len(space.look.yaw.symbols)
    bins = (np.stack([rows[:, first:middle].argmax(1), rows[:, middle:].argmax(1)], axis=1) for rows in (truth, pred))
    return axis_scores(space.look, *bins)


def cross_entropy(probs: NDArray[np.floating], truth: Bools) -> float:
    """Mean nats per action and frame, over frames (not batches); probabilities are clipped at 1e-7."""
    likely = np.clip(np.where(truth, probs, 1 - probs).astype(np.float64), 1e-7, 1)
    return float(-np.log(likely).mean())
