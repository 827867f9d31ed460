"""How good predicted actions are, in plain numpy: no model, no picture.

N frames in the order of play, A actions. truth, pred: (N, A) bool. episode: (N,) the episode of each frame, the frames
of an episode together. What cannot be told (an action that the truth never holds, no change at all) is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.files import Json
from protege.learn.metrics import Bools, binary_scores, mean, ratio

BUFFER: Final = 5
"""Frames by which a predicted start or end of an action may be early or late."""


@dataclass(frozen=True)
class ActionScore:
    """support, predicted: frames that hold the action in truth and in the prediction. An absent action (support 0) has
    no score; precision is None too where the action is never predicted, its F1 is then 0.
    """

    support: int
    predicted: int
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class Frequency:
    """How far the shares of frames that hold each action are from the truth's: sum, Euclidean length, and the summed
    Kullback-Leibler divergence of the Bernoulli distributions, KL(truth || prediction), in nats.
    """

    l1: float
    l2: float
    kl: float


@dataclass(frozen=True)
class Onsets:
    """How well changes are met. starts, ends: in the truth; start_recall, end_recall: of them, where the prediction
    holds the action in that very frame (or does not, for an end); exact_match: of the frames in which anything changes;
    precision, recall, f1: predicted changes paired one to one with true ones, same action and direction, same episode,
    at most `buffer` frames apart.
    """

    starts: int
    ends: int
    start_recall: float | None
    end_recall: float | None
    exact_match: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Scores:
    """All numbers of one set of predictions. macro_f1: the mean over the actions that occur; exact match, frequency
    and onsets count every action.
    """

    frames: int
    exact_match: float
    macro_f1: float | None
    actions: Mapping[str, ActionScore]
    frequency: Frequency
    onsets: Onsets

    @property
    def absent(self) -> tuple[str, ...]:
        """Actions that the truth never holds."""
        return tuple(name for name, score in self.actions.items() if not score.support)

    def to_json(self) -> dict[str, Json]:
        return {**asdict(self), "absent": list(self.absent)}


def score(truth: Bools, pred: Bools, episode: NDArray[np.integer], keys: Sequence[str], buffer: int = BUFFER) -> Scores:
    """Every metric at once. ValueError unless there is a frame and all shapes agree."""
    if truth.shape != pred.shape or truth.shape != (len(episode), len(keys)) or not len(truth):
        raise ValueError(f"truth {truth.shape}, predictions {pred.shape}, {len(episode)} frames, {len(keys)} actions")
    truth, pred = truth.astype(bool), pred.astype(bool)
    actions = action_scores(truth, pred, keys)
    return Scores(
        frames=len(truth),
        exact_match=exact_match(truth, pred),
        macro_f1=mean([found.f1 for found in actions.values() if found.f1 is not None]),
        actions=actions,
        frequency=frequency(truth, pred),
        onsets=onsets(truth, pred, episode, buffer),
    )


def per_action(scores: Scores) -> dict[str, float]:
    """Each action's scores by the name that they are logged under; undefined ones are left out."""
    return {
        f"{key}/{name}": value
        for key, each in scores.actions.items()
        for name, value in vars(each).items()
        if name in ("accuracy", "precision", "recall", "f1") and value is not None
    }


def exact_match(truth: Bools, pred: Bools) -> float:
    """The part of the frames whose every action is right."""
    return float((truth == pred).all(1).mean())


def action_scores(truth: Bools, pred: Bools, keys: Sequence[str]) -> dict[str, ActionScore]:
    """Accuracy, precision, recall and F1 of each action that occurs."""
    right = dict(zip(keys, (truth == pred).mean(0).tolist(), strict=True))
    return {
        key: ActionScore(
            found.support,
            found.predicted,
            accuracy=right[key] if found.support else None,
            precision=found.precision,
            recall=found.recall,
            f1=found.f1,
        )
        for key, found in binary_scores(truth, pred, keys).items()
    }


def frequency(truth: Bools, pred: Bools) -> Frequency:
    """Distances between how often actions are held. For the divergence, which is infinite for an action that only one
    side holds, both rates are estimated as (count + 1/2) / (N + 1) (Jeffreys' prior): so it stays finite, and it is
    never negative and 0 only for equal counts.
    """
    gap = truth.mean(0) - pred.mean(0)
    t, p = ((held.sum(0) + 0.5) / (len(held) + 1) for held in (truth, pred))
    kl = t * np.log(t / p) + (1 - t) * np.log((1 - t) / (1 - p))
    return Frequency(float(np.abs(gap).sum()), float(np.linalg.norm(gap)), float(np.maximum(kl, 0).sum()))


def changes(held: Bools, episode: NDArray[np.integer]) -> NDArray[np.int8]:
    """(N, A): 1 where an action starts, -1 where it ends, 0 else and in the first frame of an episode."""
    found = np.zeros(held.shape, np.int8)
    found[1:] = np.diff(held.astype(np.int8), axis=0)
    found[1:][episode[1:] != episode[:-1]] = 0
    return found


def onsets(truth: Bools, pred: Bools, episode: NDArray[np.integer], buffer: int = BUFFER) -> Onsets:
    """How well the starts and ends of actions are met."""
    true, said = changes(truth, episode), changes(pred, episode)
    starts, ends, moved = true == 1, true == -1, true.any(1)
    count, predicted = int(np.count_nonzero(true)), int(np.count_nonzero(said))
    pairs = paired(_line(true, episode, buffer), _line(said, episode, buffer), buffer)
    return Onsets(
        starts=int(starts.sum()),
        ends=int(ends.sum()),
        start_recall=ratio(pred[starts].sum(), starts.sum()),
        end_recall=ratio((~pred[ends]).sum(), ends.sum()),
        exact_match=exact_match(truth[moved], pred[moved]) if moved.any() else None,
        precision=ratio(pairs, predicted),
        recall=ratio(pairs, count),
        f1=2 * pairs / (count + predicted) if count else None,
    )


def _line(change: NDArray[np.int8], episode: NDArray[np.integer], buffer: int) -> NDArray[np.int64]:
    """All changes as sorted places on one line, where two that must not be paired lie more than `buffer` apart."""
    room = buffer + 1
    number = np.concatenate([[0], np.cumsum(episode[1:] != episode[:-1])])
    place = np.arange(len(change)) + room * number
    lanes = np.concatenate([change == 1, change == -1], axis=1).T  # (2A, N)
    lane, frame = np.nonzero(lanes)
    return lane * (int(place[-1]) + room) + place[frame]


def paired(one: NDArray[np.int64], other: NDArray[np.int64], buffer: int) -> int:
    """The most pairs, each place in one pair at most, that sorted places at most `buffer` apart can form.

    The earliest two that fit always belong to some best pairing, so one pass over the changes (not the frames) does.
    """
    left, right = one.tolist(), other.tolist()
    i = j = found = 0
    while i < len(left) and j < len(right):
        apart = left[i] - right[j]
        if abs(apart) <= buffer:
            found, i, j = found + 1, i + 1, j + 1
        elif apart < 0:
            i += 1
        else:
            j += 1
    return found


def confusion(truth: Bools, pred: Bools) -> NDArray[np.int64]:
    """(A, 4) frames of each action: held and predicted, predicted only, held only, neither."""
    return np.stack([(truth & pred).sum(0), (~truth & pred).sum(0), (truth & ~pred).sum(0), (~truth & ~pred).sum(0)], 1)
