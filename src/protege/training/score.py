"""Metrics of predicted plans, in plain numpy.

N samples, H slots, K actions (the columns of the action space). truth, pred: (N, H) columns.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core import ActionSpace
from protege.core.files import Json
from protege.core.momentary import NEAR, momentary
from protege.learn import tables
from protege.learn.looking import AxisScore
from protege.learn.metrics import BinaryScore, commonest, macro_f1, previous, ratio
from protege.training.looked import Looked

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]

METRICS: Final = "metrics.json"
"""Beside a model: its scores, and after training the course of the loss."""
BINS: Final = 10
RESAMPLES: Final = 1000


@dataclass(frozen=True)
class GoalSwap:
    """The effect of asking for another goal.

    changed: share of samples whose first action changes.
    effect: mean drop of the truth's log-probability, nats per slot.
    interval: of the effect, 95 %, by resampling segments.
    """

    changed: float
    effect: float
    interval: tuple[float, float]
    samples: int


@dataclass(frozen=True)
class PressScore:
    """Presses of one key. presses: true ones, each counted in every plan that has it; found: of these, those with a
    predicted press of the key at most NEAR slots before or after, in the same plan.
    """

    presses: int
    found: int

    @property
    def recall(self) -> float | None:
        return ratio(self.found, self.presses)

    def to_json(self) -> dict[str, Json]:
        return {"presses": self.presses, "found": self.found, "recall": self.recall}


@dataclass(frozen=True)
class Scores:
    """All metrics of one model on one dataset; None where there is no sample for one.

    exact_chunk: share of plans whose every slot is right.
    keys: per key its score over all slots.
    change_accuracy: accuracy of the first action where it differs from what was held just before.
    done_precision, done_recall: of plans whose every slot is none.
    camera_accuracy: of slots that turn the camera, by its keys or by the mouse: whether the same way.
    confusion: (K, K) first actions, rows the truth.
    cross_entropy, base_rate_entropy: nats per slot, of the model and of the training marginals (unigram baseline).
    explained: share of the base rate's entropy that the model explains.
    calibration: (mean confidence, accuracy, samples) per tenth of confidence; calibration_error: expected.
    look: per axis of the mouse how far off it is, empty without one.
    momentary: per momentary key (see `core.momentary`) how many of its presses are predicted.
    """

    samples: int
    first_action_accuracy: float
    slot_accuracy: tuple[float, ...]
    exact_chunk: float
    macro_f1: float | None
    change_accuracy: float | None
    keys: Mapping[str, BinaryScore]
    done_precision: float | None
    done_recall: float | None
    camera_accuracy: float | None
    confusion: tuple[tuple[int, ...], ...]
    cross_entropy: float | None = None
    base_rate_entropy: float | None = None
    explained: float | None = None
    calibration_error: float | None = None
    calibration: tuple[tuple[float, float, int], ...] = ()
    goal_swap: GoalSwap | None = None
    momentary: Mapping[str, PressScore] = field(default_factory=dict)
    look: Mapping[str, AxisScore] = field(default_factory=dict)
    baselines: Mapping[str, "Scores"] = field(default_factory=dict)

    @property
    def momentary_recall(self) -> float | None:
        """Share of the presses of momentary keys that are predicted within NEAR slots."""
        scores = self.momentary.values()
        return ratio(sum(score.found for score in scores), sum(score.presses for score in scores))

    def to_json(self) -> dict[str, Json]:
        """As metrics.json has them. There a key that is predicted but never true has precision and F1 of 0."""
        keys = {
            key: {
                "support": score.support,
                "precision": score.precision if score.support else 0.0,
                "recall": score.recall,
                "f1": score.f1 or 0.0,
            }
            for key, score in self.keys.items()
        }
        baselines = {name: scores.to_json() for name, scores in self.baselines.items()}
        presses = {key: score.to_json() for key, score in self.momentary.items()}
        brief = {"momentary_recall": self.momentary_recall, "momentary": presses}
        fields = plain(asdict(self) | {"keys": keys, **brief, "baselines": baselines})
        return fields if self.look else {name: value for name, value in fields.items() if name != "look"}

    def columns(self, name: str) -> dict[str, dict[str, Json]]:
        """For `table`: these scores under a model's name, then those of its baselines."""
        return {name: self.to_json()} | {other: scores.to_json() for other, scores in self.baselines.items()}


def plain(fields: Mapping[str, Json]) -> dict[str, Json]:
    """The fields with null for what is infinite or not a number, which standard JSON does not have."""
    return {key: _plain(value) for key, value in fields.items()}


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def key_scores(truth: Columns, pred: Columns, space: ActionSpace) -> dict[str, BinaryScore]:
    """The score of each key that truth or predictions name, over all slots."""
    found = {}
    for k, key in enumerate(space.keys):
        true, named = truth == k, pred == k
        if true.any() or named.any():
            found[key] = BinaryScore.of((true & named).sum(), named.sum(), true.sum())
    return found


def momentary_keys(columns: Columns, follows: NDArray[np.bool_], space: ActionSpace) -> list[str]:
    """The momentary keys of some samples. columns: (N, H); follows: (N - 1,) whether the frame of each sample but the
    first comes right after that of the one before.
    """
    first = columns[:, 0]
    begins = np.flatnonzero(np.r_[True, ~follows | (first[1:] != first[:-1])])
    lengths = np.diff(np.r_[begins, len(first)])
    held: dict[str, Counter[int]] = defaultdict(Counter)
    for key, length in zip(first[begins].tolist(), lengths.tolist(), strict=True):
        held[space.keys[key]][length] += 1
    return list(momentary(space, held, len(first)))


def press_score(truth: Columns, pred: Columns, column: int) -> PressScore:
    """How many presses of a key, as runs of slots of one plan, are predicted at most NEAR slots before or after."""
    true, near = truth == column, np.zeros(truth.shape, bool)
    named = np.pad(pred == column, ((0, 0), (NEAR, NEAR)))
    for shift in range(2 * NEAR + 1):
        near |= named[:, shift : shift + truth.shape[1]]
    begins = true & ~np.pad(true, ((0, 0), (1, 0)))[:, :-1]
    number = np.cumsum(begins.ravel())[true.ravel()]
    return PressScore(int(begins.sum()), len(np.unique(number[near[true]])))


def confusion(truth: Columns, pred: Columns, count: int) -> NDArray[np.int64]:
    """(K, K) of the first actions: row the truth, column the prediction."""
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (truth[:, 0], pred[:, 0]), 1)
    return table


def calibration(probs: Floats, truth: NDArray[np.int64]) -> tuple[float, tuple[tuple[float, float, int], ...]]:
    """Expected calibration error of the first action, and (mean confidence, accuracy, samples) of each tenth.

    probs: (N, K); truth: (N,).
    """
    sure, right = probs.max(1), probs.argmax(1) == truth
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    rows = []
    for b in range(BINS):
        if (inside := place == b).any():
            rows.append((float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum())))
    return sum(abs(c - a) * n for c, a, n in rows) / max(len(truth), 1), tuple(rows)


def base_rate_entropy(truth: Columns, train: Columns, count: int) -> float:
    """Cross-entropy per slot of the training marginals (unigram baseline), nats."""
    nats = []
    for h in range(truth.shape[1]):
        # Laplace smoothing: an action that training never saw must not cost infinitely many nats
        rate = (np.bincount(train[:, h], minlength=count) + 1) / (len(train) + count)
        nats.append(-np.log(rate[truth[:, h]]))
    return float(np.mean(nats))


def goal_swap(
    logp: Floats, swapped: Floats, first: NDArray[np.int64], first_swapped: NDArray[np.int64], group: NDArray[np.int32]
) -> GoalSwap:
    """logp, swapped: (N,) mean log-probability of the true slots with the true and with another goal;
    first, first_swapped: (N,) first actions predicted; group: (N,) the segment of each sample.
    """
    drop = logp - swapped
    return GoalSwap(
        changed=float((first != first_swapped).mean()),
        effect=float(drop.mean()),
        interval=bootstrap(drop, group),
        samples=len(drop),
    )


def bootstrap(values: Floats, group: NDArray[np.int32]) -> tuple[float, float]:
    """95 % interval of the mean, drawing whole groups: samples of one segment are not independent."""
    _, index = np.unique(group, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    rng = np.random.default_rng(0)
    picks = rng.integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def scores(
    truth: Columns,
    pred: Columns,
    space: ActionSpace,
    *,
    before: NDArray[np.int64] | None = None,
    train: Columns | None = None,
    truth_logp: Floats | None = None,
    first_probs: Floats | None = None,
    brief: Collection[str] = (),
    turned: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
) -> Scores:
    """All metrics that need one run of the model only.

    before: (N,) what was held just before, see `last_actions`; train: the columns that the base rate is counted on;
    truth_logp: (N, H) log-probability of each true slot given the true slots before it; first_probs: (N, K);
    brief: the momentary keys, see `momentary_keys`; turned: (N, H, 2) true and predicted bins of the mouse.
    """
    none = len(space) - 1
    keys = key_scores(truth, pred, space)
    looked = Looked.of(space, truth, turned)
    done, said = (truth == none) & looked.still, (pred == none) & looked.said_still
    done, said = done.all(1), said.all(1)
    by_key = np.isin(truth, [space.index(key) for key in space.camera])
    turns = by_key | (looked.side != 0)
    same_way = (~by_key | (truth == pred)) & (looked.side == looked.said_side)
    right = (truth == pred) & looked.right
    changes = np.zeros(len(truth), bool) if before is None else (before >= 0) & (before != truth[:, 0])
    error, parts = (None, ()) if first_probs is None else calibration(first_probs, truth[:, 0])
    nats = None if truth_logp is None else float(-truth_logp.mean())
    base = None if nats is None or train is None else base_rate_entropy(truth, train, len(space))
    return Scores(
        samples=len(truth),
        first_action_accuracy=float((truth[:, 0] == pred[:, 0]).mean()),
        slot_accuracy=tuple(map(float, (truth == pred).mean(0))),
        exact_chunk=float(right.all(1).mean()),
        macro_f1=macro_f1(keys.values()),
        change_accuracy=ratio((changes & (truth[:, 0] == pred[:, 0])).sum(), changes.sum()),
        keys=keys,
        done_precision=ratio((done & said).sum(), said.sum()),
        done_recall=ratio((done & said).sum(), done.sum()),
        camera_accuracy=ratio((turns & same_way).sum(), turns.sum()),
        confusion=tuple(tuple(map(int, row)) for row in confusion(truth, pred, len(space))),
        cross_entropy=nats,
        base_rate_entropy=base,
        explained=None if nats is None or base is None else 1 - nats / base,
        calibration_error=error,
        calibration=parts,
        momentary={key: press_score(truth, pred, space.index(key)) for key in brief},
        look=looked.scores(space),
    )


def majority(train: Columns, count: int) -> Columns:
    """(count, H) majority baseline: the commonest action of each slot of the training data."""
    return np.tile([commonest(slot) for slot in train.T], (count, 1))


def repeat_last(before: NDArray[np.int64], horizon: int, none: int) -> Columns:
    """(N, H) repeat-last baseline: what was held just before, none where unknown. before: see `last_actions`."""
    return np.repeat(np.where(before < 0, none, before)[:, None], horizon, axis=1)


def last_actions(columns: Columns, segment: NDArray[np.int32], frame: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the action of the frame before each sample's, or -1 where its segment does not have that frame."""
    follows = (segment[1:] == segment[:-1]) & (frame[1:] == frame[:-1] + 1)
    return previous(columns[:, 0], follows, missing=-1)


NUMBERS: Final = {
    "first action": "first_action_accuracy",
    "first action, changed": "change_accuracy",
    "exact chunk": "exact_chunk",
    "macro F1": "macro_f1",
    "camera direction": "camera_accuracy",
    "momentary recall": "momentary_recall",
    "done precision": "done_precision",
    "done recall": "done_recall",
    "cross-entropy": "cross_entropy",
    "explained": "explained",
    "calibration error": "calibration_error",
}
"""The lines of a table, and which number of `Scores` each shows."""
_LOOK_LINES: Final = {
    f"{axis}, {label}": ("look", axis, name)
    for axis in ("yaw", "pitch")
    for label, name in (
        ("error in degrees", "error_deg"),
        ("where it turns", "turning_error_deg"),
        ("direction", "direction_accuracy"),
    )
}
"""Where any of the scores has a mouse."""
_LINES: Final = {label: (name,) for label, name in NUMBERS.items()} | {
    "goal swap changes": ("goal_swap", "changed"),
    "goal swap effect": ("goal_swap", "effect"),
}


def table(results: Mapping[str, Mapping[str, Json]]) -> str:
    """Scores side by side as text: a column a model, a line a number. results: name to `Scores.to_json()`."""
    looks = any("look" in found for found in results.values())
    return tables.aligned(tables.rows(results, _LINES | _LOOK_LINES if looks else _LINES))
