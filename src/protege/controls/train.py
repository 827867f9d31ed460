"""A whole training run: recordings in; weights, thresholds, scores, log, ONNX and report out."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from protege.controls.augment import Augmentation
from protege.controls.config import LOSS_WEIGHTS, ControlsConfig
from protege.controls.evaluate import Evaluation, evaluate
from protege.controls.files import (
    ModelFiles,
    PolicyConfig,
    load_tensors,
    weights_card,
    with_temporary,
    write_json,
    write_model,
)
from protege.controls.learn import Learner, learning_rate, weights_for, windows_of
from protege.controls.losses import Term
from protege.controls.metrics import Thresholds, Truth, score
from protege.controls.onnx import export
from protege.controls.predict import add_terms, judge_all, of_model, predict_all, truth_of
from protege.controls.recordings import Source, scan
from protege.controls.report import write_curves, write_report
from protege.controls.split import split
from protege.controls.thresholds import tune
from protege.controls.windows import Prepared, Statistics, prepare
from protege.errors import UserError
from protege.settings import to_fields

log = logging.getLogger(__name__)

CHECKPOINT: Final = "control_checkpoint.pt"
MAY_CHANGE: Final = ("checkpoint_steps", "device", "resume", "threads")
"""Options that a run may be resumed with a change of."""
Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

HEADER: Final = "  Ep  TrLoss  Act    Look   Hbar   Curs   Inv    Idle   VlLoss  VlF1   Score  LR"


@dataclass(frozen=True)
class Data:
    """The recordings of a run. train: their sources, prepared anew each epoch; plain: the same, as recorded;
    test_sources: what `test` was prepared from.
    """

    train: tuple[Source, ...]
    test_sources: tuple[Source, ...]
    plain: Truth
    validation: Prepared
    test: Prepared
    statistics: Statistics
    fps: float
    skipped: tuple[str, ...] = ()


@dataclass
class State:
    """How far a run has come. epoch, batch: the next step; sums: losses of the epoch so far; stale: epochs since the
    best score.
    """

    epoch: int = 0
    batch: int = 0
    best: float = -1.0
    best_epoch: int = -1
    stale: int = 0
    finished: bool = False
    sums: dict[str, list[float]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """What a run made. history: one entry an epoch."""

    files: ModelFiles
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    evaluation: Evaluation


def _unseen(*_: Any) -> None:
    """Nobody looks."""


def train(config: ControlsConfig, say: Say = _unseen, progress: Progress = _unseen) -> Trained:
    """Train, or go on with what was begun in the same folder. Errors are UserErrors, but for a loss that is not finite.

    Killed at any moment, a run loses at most `checkpoint_steps` steps; it goes on as if it had never stopped.
    """
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    data = load_data(config)
    for line in data.skipped:
        say(line)
    run = Run(config, data, say, progress)
    run.resume()
    run.learn()
    return run.finish()


def load_data(config: ControlsConfig) -> Data:
    """Scan, split, and prepare what does not change from epoch to epoch."""
    options, seed = config.data, config.training.seed
    found = scan([Path(place) for place in options.recordings])
    parts = split(found.files, options.validation, options.test, seed)
    rule: Any = options.look_rule
    plain = prepare(parts.train, look_rule=rule)
    statistics = Statistics.of(plain.known_rows)
    validation, test = (prepare(part, statistics=statistics, look_rule=rule) for part in (parts.validation, parts.test))
    skipped = (*found.skipped, *plain.skipped, *validation.skipped, *test.skipped)
    lines = [f"skipped {one.path}: {one.reason}" for one in skipped]
    lines += [f"type {kind!r}: too few recordings to hold one back for both scores" for kind in parts.alone]
    return Data(
        parts.train, parts.test, truth_of(plain), validation, test, statistics, found.files[0].fps, tuple(lines)
    )


class Run:
    """A run in progress."""

    def __init__(self, config: ControlsConfig, data: Data, say: Say, progress: Progress = _unseen) -> None:
        self.config, self.data, self.say, self.progress = config, data, say, progress
        self.files = ModelFiles.named(Path(config.output), config.files)
        self.checkpoint = Path(config.output) / CHECKPOINT
        self.learner = Learner(config, weights_for(data.plain, config.training.pos_weight))
        self.truth = truth_of(data.validation)
        self.state = State()

    def resume(self) -> None:
        """Take up the checkpoint, if there is one and it is of this very run. UserError if it is of another."""
        if not self.config.training.resume:
            self.checkpoint.unlink(missing_ok=True)
        if not self.checkpoint.is_file():
            return
        saved = load_tensors(self.checkpoint, str(self.learner.device))
        changed = [name for name, value in self._identity().items() if saved["identity"].get(name) != value]
        if changed:
            raise UserError(
                f"{self.checkpoint}: of a run with another {changed[0]} ({saved['identity'].get(changed[0])}); "
                "start over with training.resume=false, or choose another output"
            )
        self.state = State(**saved["state"])
        self.learner.load_state(saved["learner"])
        if self.state.epoch:
            self.say(f"going on after epoch {self.state.epoch}, best score {self.state.best:.3f}")

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to fit."""
        values = to_fields(self.config)
        groups = {name: group for name, group in values.items() if isinstance(group, dict)}
        named = {f"{name}.{key}": repr(value) for name, group in groups.items() for key, value in group.items()}
        kept = {name: value for name, value in named.items() if name.split(".")[1] not in MAY_CHANGE}
        return kept | {"recordings": repr([(s.path.name, len(s)) for s in self.data.train])}

    def save(self) -> None:
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        held = {"identity": self._identity(), "state": asdict(self.state), "learner": self.learner.state()}
        with_temporary(self.checkpoint, lambda beside: torch.save(held, beside))

    def learn(self) -> None:
        """Epoch by epoch until the last, or until patience ends."""
        options, state = self.config.training, self.state
        self.say(HEADER)
        for row in state.history:
            self.say(table_row(row))
        while not state.finished:
            stage = self.config.stage(state.epoch)
            self.learner.enter(stage)
            self._epoch()
            last_stage = stage == self.config.stages[-1]
            enough = options.patience and last_stage and state.stale >= options.patience
            state.finished = bool(enough) or state.epoch >= options.epochs
            self.save()

    def _epoch(self) -> None:
        """The rest of an epoch, its scores, and the weights if they are the best so far."""
        state, options = self.state, self.config.training
        stage = self.config.stage(state.epoch)
        if state.epoch and stage != self.config.stage(state.epoch - 1) and not state.batch:
            state.stale = 0
        prepared = self._windows()
        order = np.random.default_rng([options.seed, state.epoch, 1]).permutation(windows_of(stage, prepared))
        batches = range(0, len(order), options.batch_size)
        sums = {name: Term(*torch.tensor(pair, dtype=torch.float64)) for name, pair in state.sums.items()}
        rate = 0.0
        while state.batch < len(batches):
            number = state.batch
            rate = learning_rate(state.epoch + (number + 1) / len(batches), options)
            rng = np.random.default_rng([options.seed, state.epoch, 2, number])
            rows = order[batches[number] : batches[number] + options.batch_size]
            batch = prepared.batch(rows, rng, self.config.data.history_dropout)
            sums = add_terms(sums, self.learner.step(batch, rate, int(rng.integers(2**62))))
            state.batch += 1
            self.progress(f"epoch {state.epoch + 1}", state.batch, len(batches))
            if options.checkpoint_steps and state.batch % options.checkpoint_steps == 0:
                state.sums = {name: [float(t.total), float(t.elements)] for name, t in sums.items()}
                self.save()
        self._close_epoch(means(sums), rate, stage.name)

    def _windows(self) -> Prepared:
        """The training windows of an epoch: drawn anew from its own seed."""
        options: Any = self.config.data
        rng = np.random.default_rng([self.config.training.seed, self.state.epoch, 0])
        augmentation = Augmentation() if options.augment else None
        return prepare(self.data.train, augmentation, rng, self.data.statistics, look_rule=options.look_rule)

    def _close_epoch(self, losses: dict[str, float], rate: float, stage: str) -> None:
        state = self.state
        predicted, sums = judge_all(self.learner.model, self.data.validation, self.learner.weights)
        scores, held_back = score(predicted, self.truth), means(sums)
        better = scores.combined > state.best
        row = {
            "epoch": state.epoch + 1,
            "stage": stage,
            "lr": rate,
            "train": losses,
            "val": held_back,
            "action_f1": scores.action_f1,
            "look_mse": scores.look_mse,
            "look_direction": scores.look_direction,
            "hotbar_accuracy": scores.hotbar_accuracy,
            "cursor_mse": scores.cursor_mse,
            "inventory_f1": scores.inventory_f1,
            "idle_accuracy": scores.idle_accuracy,
            "score": scores.combined,
            "best": better,
        }
        state.history.append(row)
        state.stale = 0 if better else state.stale + 1
        if better:
            state.best, state.best_epoch = scores.combined, state.epoch
            self._write(Thresholds(), {"epochs_trained": state.epoch + 1, "best_combined_score": state.best})
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        self.say(table_row(row))

    def _write(self, thresholds: Thresholds, training: dict[str, Any]) -> None:
        """The model's files, from the weights that the learner has."""
        weights = {name: value.cpu() for name, value in self.learner.model.state_dict().items()}
        found = self.learner.weights
        training = {
            **to_fields(self.config.training),
            "pos_weights_action": found.action.tolist(),
            "pos_weights_inv": found.inventory.tolist(),
            **training,
        }
        scale = self.data.statistics
        config = PolicyConfig(self.config.model, thresholds, mean=scale.mean, deviation=scale.std, training=training)
        write_model(self.files, weights, config, weights_card(to_fields(self.config), self.data.fps))

    def judge(self) -> Evaluation:
        """The best weights with thresholds from the validation recordings, judged on the test recordings."""
        model, data = self.learner.model, self.data
        model.load_state_dict(load_tensors(self.files.weights, str(self.learner.device)))
        predict = of_model(model)
        thresholds = tune(predict_all(predict, data.validation), self.truth, self.config.training.thresholds)
        return evaluate(predict, data.test, data.plain, thresholds, lambda *at: self.progress("own history", *at))

    def finish(self) -> Trained:
        """Every file of the model that was learned."""
        state, found = self.state, self.judge()
        training = {
            "epochs_trained": state.epoch,
            "best_epoch": state.best_epoch + 1,
            "best_combined_score": state.best,
            "test_score": found.model.combined,
            "per_head_metrics": found.to_json(),
        }
        self._write(found.thresholds, training)
        write_json(self.files.log, state.history)
        self.progress("export", 0, 1)
        export(self.learner.model, self.files.onnx)
        write_curves(state.history, self.files.curves)
        write_report(found, state.history, self.files.page, self.files.weights.name)
        return Trained(self.files, tuple(state.history), state.best_epoch, found)


def means(sums: dict[str, Term]) -> dict[str, float]:
    """Every loss over all its frames, and their weighted sum under "loss"."""
    each = {name: float(term.mean) for name, term in sums.items()}
    return {"loss": sum(LOSS_WEIGHTS[name] * value for name, value in each.items()), **each}


def table_row(row: dict[str, Any]) -> str:
    """An epoch as a line under HEADER; a dash where there was nothing to judge."""
    losses = "  ".join(f"{row['train'][name]:.3f}" for name in LOSS_WEIGHTS)
    f1 = "-    " if row["action_f1"] is None else f"{row['action_f1']:.3f}"
    line = f"{row['epoch']:4d}  {row['train']['loss']:6.3f}  {losses}  {row['val']['loss']:6.3f}  {f1}"
    return f"{line}  {row['score']:.3f}  {row['lr']:.1e}{' *' if row['best'] else ''}"
