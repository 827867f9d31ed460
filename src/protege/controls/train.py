"""A training run: recordings in; weights, thresholds, scores, log, ONNX and report out."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from protege.controls import checkpoint
from protege.controls.augment import Augmentation
from protege.controls.checkpoint import CHECKPOINT, Epoch, Saved, State
from protege.controls.config import LOSS_WEIGHTS, ControlsConfig
from protege.controls.evaluate import Evaluation, evaluate
from protege.controls.files import (
    ModelFiles,
    PolicyConfig,
    load_tensors,
    read_config,
    weights_card,
    write_json,
    write_model,
)
from protege.controls.learn import Learner, choose_device, learning_rate, weights_for, windows_of
from protege.controls.losses import Term
from protege.controls.metrics import Thresholds, Truth, score
from protege.controls.onnx import export
from protege.controls.predict import add_terms, judge_all, of_model, predict_all, truth_of
from protege.controls.recordings import Source, scan
from protege.controls.report import write_curves, write_report
from protege.controls.split import names, split
from protege.controls.thresholds import tune
from protege.controls.windows import Prepared, Statistics, prepare
from protege.core.files import Json, locked, read_json
from protege.core.together import settle, together
from protege.learn.interrupt import Asked, Stopped, ctrl_c
from protege.learn.progress import Progress, silent
from protege.learn.resume import Run as Record
from protege.learn.resume import changed, contents, damaged, dotted, require_same
from protege.settings import to_fields

log = logging.getLogger(__name__)

Say = Callable[[str], None]
HEADER: Final = "  Ep  TrLoss  Act    Look   Hbar   Curs   Inv    Idle   VlLoss  VlF1   Score  LR"


@dataclass(frozen=True)
class Data:
    """The recordings of a run.

    train: their sources, prepared anew each epoch; plain: targets of the same without augmentation.
    test_sources: what `test` was prepared from.
    statistics: mean and deviation of the training rows.
    run: the record of what the run is.
    skipped: a line for each recording that was left out, or that is the only one of its type.
    """

    train: tuple[Source, ...]
    test_sources: tuple[Source, ...]
    plain: Truth
    validation: Prepared
    test: Prepared
    statistics: Statistics
    fps: float
    run: Record
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """What a run made. history: one row an epoch; evaluation: None where Ctrl-C stopped it, to be resumed."""

    files: ModelFiles
    history: tuple[Epoch, ...]
    best_epoch: int
    evaluation: Evaluation | None

    @property
    def interrupted(self) -> bool:
        return self.evaluation is None


def train(config: ControlsConfig, say: Say = silent, progress: Progress = silent) -> Trained:
    """Train, or resume the run in the same folder. Errors are UserErrors, but for a loss that is not finite.

    Killed at any moment, a run loses at most `checkpoint_steps` steps; it goes on as if it had never stopped.
    """
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    output = Path(config.output)
    with locked(output, "protege controls train"), ctrl_c(say) as asked:
        if output.is_dir():
            settle(output)
        before = find_before(config)
        data = load_data(config, before)
        for line in data.skipped:
            say(line)
        run = Run(config, data, say, progress, asked)
        run.resume(before)
        with suppress(Stopped):
            run.learn()
            return run.finish()
        run.save()
        say("interrupted, go on with the same command")
        return Trained(run.files, tuple(run.state.history), run.state.best_epoch, None)


def find_before(config: ControlsConfig) -> Saved | None:
    """The run in the same folder, if it is to be resumed. UserError if it is damaged, or another run."""
    if config.training.resume == "never":
        return None
    folder = Path(config.output)
    device = str(choose_device(config.training.device))
    if (folder / CHECKPOINT).is_file():
        before = checkpoint.load(folder / CHECKPOINT, device)
    else:
        before = _of_model(ModelFiles.named(folder, config.files), device)
    if before is not None:
        require_same("controls", before.run.settings, to_fields(config), folder)
    return before


def _of_model(files: ModelFiles, device: str) -> Saved | None:
    """A finished run whose checkpoint was deleted, from its model's files."""
    run = Record.load(files.weights.parent, record_name(files))
    if run is None or not files.weights.is_file():
        return None
    found = read_config(files.config)
    try:
        history: list[Epoch] = list(read_json(files.log))
        scores = [float(row["score"]) for row in history]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(files.log, error) from None
    if not scores:
        return None
    best = int(np.argmax(scores))
    state = State(len(scores), 0, scores[best], best, len(scores) - 1 - best, True, {}, history)
    return Saved(run, state, {"model": load_tensors(files.weights, device)}, Statistics(found.mean, found.deviation))


def record_name(files: ModelFiles) -> str:
    """Beside a model's files, the record of its run: control_run_v2.json."""
    return files.config.name.replace("config", "run")


def load_data(config: ControlsConfig, before: Saved | None = None) -> Data:
    """Scan, split, and prepare what stays the same in all epochs.

    before: the run that this one goes on from, whose recordings keep their parts and whose scale stays.
    """
    options, seed = config.data, config.training.seed
    found = scan([Path(place) for place in options.recordings])
    sources = names(found.files)
    run = Record(
        dotted(to_fields(config)),
        contents({name: s.path for name, s in sources.items()}, {name: len(s) for name, s in sources.items()}),
    )
    other = before is not None and bool(before.run.data) and bool(changed(before.run.data, run.data))
    parts = split(found.files, options.validation, options.test, seed, before.run.parts if before else None)
    sides = {s.path: name for name, s in sources.items()}
    trained, held, tested = (tuple(sides[s.path] for s in part) for part in (parts.train, parts.validation, parts.test))
    run = replace(run, trained=trained, held=held, tested=tested)
    if before is not None:
        same = replace(run, id=before.run.id, chain=before.run.chain, new=before.run.new)
        run = run.after(before.run) if other else same
    plain = prepare(parts.train, look_rule=options.look_rule)
    statistics = before.statistics if before and other and before.statistics else Statistics.of(plain.known_rows)
    validation, test = (
        prepare(part, statistics=statistics, look_rule=options.look_rule) for part in (parts.validation, parts.test)
    )
    skipped = (*found.skipped, *plain.skipped, *validation.skipped, *test.skipped)
    lines = [f"skipped {one.path}: {one.reason}" for one in skipped]
    lines += [f"type {kind!r}: too few recordings to hold one back for both scores" for kind in parts.alone]
    return Data(
        parts.train, parts.test, truth_of(plain), validation, test, statistics, found.files[0].fps, run, tuple(lines)
    )


class Run:
    """A run in progress."""

    def __init__(
        self, config: ControlsConfig, data: Data, say: Say, progress: Progress = silent, asked: Asked | None = None
    ) -> None:
        self.config, self.data, self.say, self._told = config, data, say, progress
        self.asked = Asked() if asked is None else asked
        self.files = ModelFiles.named(Path(config.output), config.files)
        self.checkpoint = Path(config.output) / CHECKPOINT
        self.learner = Learner(config, weights_for(data.plain, config.training.pos_weight))
        self.run = data.run
        self.truth = truth_of(data.validation)
        self.state = State()

    def progress(self, what: str, done: int, of: int) -> None:
        """Tell how far scoring is; raises Stopped once somebody asked to stop."""
        self._told(what, done, of)
        self.asked.check()

    def resume(self, before: Saved | None) -> None:
        """Take up a run; with other recordings only its weights, the best ones if it was finished."""
        if before is None:
            self.save()  # what was there is over
            return
        difference = changed(before.run.data, self.run.data) if before.run.data else None
        try:
            if not difference:
                self.state = before.state
                self.learner.load_state(before.learner)
            elif before.state.finished and self.files.weights.is_file():
                self.learner.model.load_state_dict(load_tensors(self.files.weights, str(self.learner.device)))
            else:
                self.learner.model.load_state_dict(before.learner["model"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(self.checkpoint, error) from None
        if difference:
            self.say(f"{difference} (frames); going on from the weights that are there")
            self.save()
        elif self.state.epoch:
            self.say(f"going on after epoch {self.state.epoch}, best score {self.state.best:.3f}")

    def save(self) -> None:
        checkpoint.save(self.checkpoint, self.run, self.state, self.learner.state(), self.data.statistics)

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
        """Train the rest of an epoch, score it, and write the weights if they are the best so far."""
        state, options = self.state, self.config.training
        stage = self.config.stage(state.epoch)
        if state.epoch and stage != self.config.stage(state.epoch - 1) and not state.batch:
            state.stale = 0
        prepared = self._windows()
        order = np.random.default_rng([options.seed, state.epoch, 1]).permutation(windows_of(stage, prepared))
        batches = range(0, len(order), options.batch_size)
        sums = {name: Term(*torch.tensor(pair, dtype=torch.float64)) for name, pair in state.sums.items()}
        rate = learning_rate(state.epoch + state.batch / len(batches), options)
        while state.batch < len(batches):
            number = state.batch
            rate = learning_rate(state.epoch + (number + 1) / len(batches), options)
            rng = np.random.default_rng([options.seed, state.epoch, 2, number])
            rows = order[batches[number] : batches[number] + options.batch_size]
            dropped = self.config.data
            batch = prepared.batch(rows, rng, dropped.history_dropout, dropped.history_dropout_by == "window")
            sums = add_terms(sums, self.learner.step(batch, rate, int(rng.integers(2**62))))
            state.batch += 1
            saving = options.checkpoint_steps and state.batch % options.checkpoint_steps == 0
            stopping = bool(self.asked)
            if saving or stopping or state.batch == len(batches):
                state.sums = {name: [float(t.total), float(t.elements)] for name, t in sums.items()}
            if saving:
                self.save()
            self._told(f"epoch {state.epoch + 1}", state.batch, len(batches))
            if stopping:
                raise Stopped
        self.asked.check()
        self._close_epoch(means(sums), rate, stage.name)

    def _windows(self) -> Prepared:
        """The training windows of an epoch, augmented from its own seed."""
        options = self.config.data
        # A generator per epoch, none that lives on: a resumed run draws the same without replaying
        rng = np.random.default_rng([self.config.training.seed, self.state.epoch, 0])
        augmentation = Augmentation() if options.augment else None
        return prepare(self.data.train, augmentation, rng, self.data.statistics, look_rule=options.look_rule)

    def _close_epoch(self, losses: dict[str, float], rate: float, stage: str) -> None:
        state = self.state
        predicted, sums = judge_all(
            self.learner.model,
            self.data.validation,
            self.learner.weights,
            weighting=self.config.training.loss_weighting,
            progress=partial(self.progress, "validation"),
        )
        scores, held_back = score(predicted, self.truth), means(sums)
        better = scores.combined > state.best
        row: Epoch = {
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
        write_json(self.files.log, state.history)
        self.say(table_row(row))

    def _write(
        self, thresholds: Thresholds, training: dict[str, Json], more: Callable[[ModelFiles], None] = silent
    ) -> None:
        """Write the model's files at once, from the learner's weights; older ones that are not written are removed.

        more: writes what there is only at the end.
        """
        weights = {name: value.cpu() for name, value in self.learner.model.state_dict().items()}
        found = self.learner.weights
        training = {
            **to_fields(self.config.training),
            "pos_weights_action": found.action.tolist(),
            "pos_weights_inv": found.inventory.tolist(),
            "action_history_dropout": self.config.data.history_dropout,
            "runs": [*self.run.chain, replace(self.run, steps=self.state.epoch).link],
            **training,
        }
        scale = self.data.statistics
        config = PolicyConfig(self.config.model, thresholds, mean=scale.mean, deviation=scale.std, training=training)
        old = [path.name for path in (self.files.onnx, self.files.curves, self.files.page)]
        with together(self.files.weights.parent, [*old, record_name(self.files)]) as part:
            files = ModelFiles.named(part, self.config.files)
            write_model(files, weights, config, weights_card(to_fields(self.config), self.data.fps))
            more(files)

    def judge(self) -> Evaluation:
        """Score the best weights on the test recordings, with thresholds from the validation recordings."""
        model, data = self.learner.model, self.data
        model.load_state_dict(load_tensors(self.files.weights, str(self.learner.device)))
        predict = of_model(model)
        predicted = predict_all(predict, data.validation, progress=partial(self.progress, "thresholds"))
        thresholds = tune(predicted, self.truth, self.config.training.thresholds)
        return evaluate(predict, data.test, data.plain, thresholds, self.progress)

    def finish(self) -> Trained:
        """Write every file of the model and return the result."""
        state, found = self.state, self.judge()
        training = {
            "epochs_trained": state.epoch,
            "best_epoch": state.best_epoch + 1,
            "best_combined_score": state.best,
            "test_score": found.model.combined,
            "per_head_metrics": found.to_json(),
        }
        write_json(self.files.log, state.history)

        def rest(files: ModelFiles) -> None:
            self.progress("export", 0, 1)
            export(self.learner.model, files.onnx)
            write_curves(state.history, files.curves)
            write_report(found, state.history, files.page, files.weights.name)
            replace(self.run, steps=state.epoch, finished=True).save(files.weights.parent, record_name(files))

        self._write(found.thresholds, training, rest)
        return Trained(self.files, tuple(state.history), state.best_epoch, found)


def means(sums: dict[str, Term]) -> dict[str, float]:
    """Every loss over all its frames, and under "loss" the one that was optimised, by default their weighted sum."""
    each = {name: float(term.mean) for name, term in sums.items() if name != "loss"}
    whole = float(sums["loss"].mean) if "loss" in sums else sum(LOSS_WEIGHTS[n] * value for n, value in each.items())
    return {"loss": whole, **each}


def table_row(row: Epoch) -> str:
    """An epoch as a line under HEADER; a dash where there was nothing to judge."""
    losses = "  ".join(f"{row['train'][name]:.3f}" for name in LOSS_WEIGHTS)
    f1 = "-    " if row["action_f1"] is None else f"{row['action_f1']:.3f}"
    line = f"{row['epoch']:4d}  {row['train']['loss']:6.3f}  {losses}  {row['val']['loss']:6.3f}  {f1}"
    return f"{line}  {row['score']:.3f}  {row['lr']:.1e}{' *' if row['best'] else ''}"
