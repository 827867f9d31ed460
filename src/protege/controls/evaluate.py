"""Scores of a model on test recordings, beside copying, the majority, and the model on its own history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from protege.controls.files import load_model
from protege.controls.metrics import Predictions, Scores, Thresholds, Truth, majority, score, table
from protege.controls.predict import Predict, copy_last, of_model, predict_all, roll_out, truth_of
from protege.controls.recordings import scan
from protege.controls.windows import Prepared, Statistics, prepare
from protege.core.files import Json
from protege.learn.progress import Progress, silent


@dataclass(frozen=True)
class Evaluation:
    """Scores of one model on test recordings.

    model: on the recorded history.
    own_history: on what the model itself would have held, as in play.
    copy: of the controls of the frame before.
    majority: of what training saw most, None where the training recordings are not at hand.
    predicted, truth: of the model on every test frame.
    """

    model: Scores
    own_history: Scores
    copy: Scores
    majority: Scores | None
    thresholds: Thresholds
    predicted: Predictions
    truth: Truth

    @property
    def columns(self) -> Mapping[str, Scores]:
        found = {"model": self.model, "own history": self.own_history, "copy last": self.copy}
        return found | ({"majority": self.majority} if self.majority else {})

    def table(self) -> str:
        return table(self.columns)

    def to_json(self) -> dict[str, Json]:
        return {name.replace(" ", "_"): scores.to_json() for name, scores in self.columns.items()}


def evaluate(
    predict: Predict,
    test: Prepared,
    training: Truth | None,
    thresholds: Thresholds,
    progress: Progress = silent,
) -> Evaluation:
    """Scores of every window of `test`. training: targets that the majority is taken from."""
    truth = truth_of(test)
    predicted = predict_all(predict, test, progress=partial(progress, "recorded history"))
    own = roll_out(predict, test, thresholds, partial(progress, "own history"))
    return Evaluation(
        model=score(predicted, truth, thresholds),
        own_history=score(own, truth, thresholds),
        copy=score(copy_last(test), truth),
        majority=score(majority(training, len(truth)), truth) if training is not None else None,
        thresholds=thresholds,
        predicted=predicted,
        truth=truth,
    )


def evaluate_files(
    model: Path, places: Sequence[Path], progress: Progress = silent
) -> tuple[Evaluation, tuple[str, ...]]:
    """Score a saved model on recordings (files or folders); return a line for each that was skipped, too."""
    network, config = load_model(model)
    found = scan(places)
    prepared = prepare(found.files, statistics=Statistics(config.mean, config.deviation))
    result = evaluate(of_model(network), prepared, None, config.thresholds, progress)
    return result, tuple(f"skipped {one.path}: {one.reason}" for one in (*found.skipped, *prepared.skipped))
