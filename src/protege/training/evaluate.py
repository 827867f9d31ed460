"""Evaluation of a model on labeled data, with the goal-swap test, beside baselines."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from peft import PeftModel

from protege.learn.progress import Progress, silent
from protege.training.collate import Collator
from protege.training.data import LabeledData
from protege.training.predict import Predictions, predict
from protege.training.score import (
    Scores,
    goal_swap,
    last_actions,
    majority,
    momentary_keys,
    repeat_last,
    scores,
)

if TYPE_CHECKING:
    from protege.training.model import Network


def other_goals(data: LabeledData, rows: NDArray[np.int64]) -> list[str] | None:
    """For each row another goal of the whole dataset, drawn at random; None if there is only one.

    A paraphrase is no other goal. Of a part of a dataset (see `LabeledData.take`) the goals of the other part count,
    too: a few recordings held back may have a single one.
    """
    rng = np.random.default_rng(0)
    same = [{goal, *words} for goal, words in zip(data.goals, data.paraphrases, strict=True)]
    used = sorted({int(number) for number in data.goal})
    others = {n: [goal for goal, words in zip(data.goals, same, strict=True) if not same[n] & words] for n in used}
    if not all(others.values()):
        return None
    return [str(rng.choice(others[int(data.goal[row])])) for row in rows]


def frame_numbers(data: LabeledData) -> NDArray[np.int64]:
    """(N,) the number in each picture's name."""
    return np.array([int("0" + "".join(filter(str.isdigit, name.decode()))) for name in data.names], np.int64)


def held_before(data: LabeledData) -> NDArray[np.int64]:
    """(N,) the column of what was held just before each sample, -1 where that is not known."""
    return last_actions(data.columns, data.segment, frame_numbers(data))


def brief_keys(data: LabeledData) -> list[str]:
    """The momentary keys of the whole data."""
    number = frame_numbers(data)
    follows = (data.segment[1:] == data.segment[:-1]) & (number[1:] == number[:-1] + 1)
    return momentary_keys(data.columns, follows, data.shape.space)


def baselines(data: LabeledData, rows: NDArray[np.int64], train: NDArray[np.int64]) -> dict[str, Scores]:
    """Scores of what needs no model: the majority action of each slot, and repeating what was held just before."""
    space, truth, before = data.shape.space, data.columns, held_before(data)[rows]
    guesses = {
        "majority": majority(train, len(rows)),
        "repeat_last": repeat_last(before, data.shape.horizon, len(space) - 1),
    }
    brief, found = brief_keys(data), {}
    turned = _turned_without_a_model(data, rows)
    for name, pred in guesses.items():
        bins = (data.turned[rows], turned[name])
        found[name] = scores(truth[rows], pred, space, before=before, brief=brief, turned=bins)
    return found


def _turned_without_a_model(data: LabeledData, rows: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
    """(N, H, 2) bins of the mouse by each of `baselines`."""
    found: dict[str, list[NDArray[np.int64]]] = {"majority": [], "repeat_last": []}
    number, look = frame_numbers(data), data.shape.space.look
    for axis, one in enumerate(look.axes if look else ()):
        bins = data.turned[..., axis].astype(np.int64)
        before = last_actions(bins, data.segment, number)[rows]
        found["majority"].append(majority(bins, len(rows)))
        found["repeat_last"].append(repeat_last(before, data.shape.horizon, len(one.symbols) // 2))
    return {name: np.stack(each, -1).astype(np.uint8) if each else data.turned[rows] for name, each in found.items()}


def evaluate(
    model: "Network",
    collator: Collator,
    rows: NDArray[np.int64],
    *,
    train: NDArray[np.int64] | None = None,
    untuned_base: bool = True,
    progress: Progress = silent,
) -> tuple[Scores, Predictions]:
    """Score a model on samples of the collator's data, beside the baselines; return what it predicted, too.

    train: (M, H) columns of the data it was trained on, for the baselines; without it the scored data stands in.
    untuned_base: score the base of an adapter too, as one more baseline, by switching the adapter off.
    """
    data = collator.data
    rates = data.columns if train is None else train
    found = predict(model, collator, rows, progress=partial(progress, "model"))
    result = _scores(data, rows, found, rates)
    if (goals := other_goals(data, rows)) is not None:
        swapped = predict(model, collator, rows, goals=goals, progress=partial(progress, "goal swap"))
        swap = goal_swap(
            found.truth_logp.mean(1),
            swapped.truth_logp.mean(1),
            _kinds(found),
            _kinds(swapped),
            data.segment[rows],
        )
        result = replace(result, goal_swap=swap)
    beside = baselines(data, rows, rates)
    if untuned_base and isinstance(model, PeftModel):
        # The same weights with the adapter off: loading the base once more would need its memory twice
        with model.disable_adapter():
            plain = predict(model, collator, rows, progress=partial(progress, "untuned base"))
        beside["untuned_base"] = _scores(data, rows, plain, rates)
    return replace(result, baselines=beside), found


def _kinds(found: Predictions) -> NDArray[np.int64]:
    """(N,) a number for each first action that is predicted: equal for equal ones."""
    first = np.concatenate([found.pred[:, :1], found.turned[:, 0].astype(np.int64)], axis=1)
    return np.unique(first, axis=0, return_inverse=True)[1].reshape(-1) if first.shape[1] > 1 else first[:, 0]


def _scores(data: LabeledData, rows: NDArray[np.int64], found: Predictions, rates: NDArray[np.int64]) -> Scores:
    return scores(
        data.columns[rows],
        found.pred,
        data.shape.space,
        before=held_before(data)[rows],
        train=rates,
        truth_logp=found.truth_logp,
        first_probs=found.first_probs,
        brief=brief_keys(data),
        turned=(data.turned[rows], found.turned),
    )
