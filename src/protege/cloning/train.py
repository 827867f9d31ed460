"""A whole cloning run: episodes and a configuration in, a model's folder out; a second run resumes it."""

import functools
import itertools
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from protege.cloning import hosts, loader, metrics
from protege.cloning.agreement import record_of, require_place, require_same, shared
from protege.cloning.checkpoint import (
    CHECKPOINTS,
    About,
    Checkpoints,
    last_about,
    load_weights,
    make_card,
    parsed,
)
from protege.cloning.compare import METRICS, PAGE
from protege.cloning.config import CloningConfig, alone
from protege.cloning.data import QUIET, Data, Progress, where
from protege.cloning.loader import Batch
from protege.cloning.logs import Log
from protege.cloning.losses import class_weights
from protege.cloning.memory import keep_freed_memory
from protege.cloning.metrics import Scores, per_action
from protege.cloning.optim import last_step, schedule
from protege.cloning.predictions import collect, cross_entropy, look_scores
from protege.cloning.steps import Devices, Network, Setting, State, make_steps, to_arrays
from protege.cloning.thresholds import choose, pressed, untuned
from protege.core.files import locked, recover, staged, write_text
from protege.errors import ProtegeError, UserError
from protege.learn import resume
from protege.learn.interrupt import Asked, Stopped, ctrl_c
from protege.learn.looking import AxisScore
from protege.learn.progress import LoggedProgress
from protege.learn.resume import Run as Record
from protege.learn.resume import changed
from protege.settings import to_fields, to_yaml

log = logging.getLogger(__name__)

CONFIG_NAME: Final = "config.yaml"


@dataclass(frozen=True)
class Trained:
    """What a call of `train` did.

    folder: of the model
    steps: done in all
    losses: (step, loss) of this call
    scores: of the last weights that were judged, on the validation episodes
    interrupted: by Ctrl-C, to be resumed
    """

    folder: Path
    steps: int
    losses: tuple[tuple[int, float], ...]
    scores: Mapping[str, Any]
    interrupted: bool = False


def train(config: CloningConfig, progress: Progress = QUIET) -> Trained:
    """Train, or resume the run in the same folder (training.resume=auto), alone or with other processes.

    progress: of copying frames into the cache. UserError for what cannot be trained, before the folder is touched.
    """
    hosts.join(config.system)
    if not hosts.first():
        log.setLevel(logging.WARNING)  # the first process logs for all
        progress = QUIET
    use_compile_cache(config.system.compile_cache)
    keep_freed_memory()
    folder = Path(config.training.checkpoint_dir)
    hosts.require_alike(shared(config))
    hosts.require_shared("training.checkpoint_dir", folder)
    with ExitStack() as stack:
        lock = locked(folder, "protege clone train") if hosts.first() else nullcontext()
        hosts.together(lambda: stack.enter_context(lock))
        return _train(alone(config), folder, progress)


def _train(config: CloningConfig, folder: Path, progress: Progress) -> Trained:
    run = hosts.together(lambda: prepared(config, folder, progress))
    hosts.require_alike({"episodes": run.data.identity})
    with run.log, ctrl_c(log.warning) as asked:
        hosts.together(run.begin)
        try:
            trained = run.go(asked)
        finally:
            run.checkpoints.close()
    return hosts.together(lambda: trained)  # no process ends while another still writes


def prepared(config: CloningConfig, folder: Path, progress: Progress) -> "Run":
    """A run that can begin; UserError where it cannot, before episodes are read where possible."""
    Devices(config.system.devices, config.training.batch_size)  # refuses a batch size that they cannot share
    written = Log(folder, config)
    if hosts.first():
        recover(folder / CHECKPOINTS)
    before = last_about(folder) if config.training.resume == "auto" else None
    if before is None:
        return Run(config, Data.open(config, progress), folder, written)
    was = parsed(before, folder / CHECKPOINTS)[0]
    require_same(was, config, folder)
    run = Run(config, Data.open(config, progress, before), folder, written, before)
    if run.change and jax.process_count() > 1:
        raise UserError(f"{folder}: {run.change}; go on with other data in one process, or start over")
    return run


def use_compile_cache(folder: str | None) -> None:
    """Keep compiled steps in a folder, for the next start of any process; None keeps none."""
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(Path(folder).expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


class Run:
    """One run, from its first or its last saved step on."""

    def __init__(
        self,
        config: CloningConfig,
        data: Data,
        folder: Path,
        written: Log,
        before: About | None = None,
    ) -> None:
        """Writes no file: what is wrong is said before.

        written: opened by `begin`. before: of the last checkpoint of the run that is resumed.
        """
        self.config, self.data, self.folder, self.log = config, data, folder, written
        self.asked = Asked()
        self.record = Record(resume.dotted(to_fields(config)), data.contents)
        self.change = None
        if before is not None:
            self._go_on_from(before)
        self.held = data.cache.actions[data.cache.rows(data.splits.train)]
        self.batches = loader.steps(data.cache, data.splits.train, data.options)
        self.devices = Devices(config.system.devices, config.training.batch_size)
        self.network = Network(config, data.setting)
        self.thresholds = untuned(self.held, config.evaluation.metrics_threshold, data.setting.axes)
        self.rates = schedule(config.training, self.batches)
        self.steps = make_steps(self.network, self.devices, self._weights(), self.batches)
        self.best: float | None = None
        self.stale = 0
        self.losses: list[tuple[int, float]] = []
        self.about: About = self._facts(self._by_action(self.thresholds))

    def _weights(self) -> NDArray[np.float32]:
        setting = self.data.setting
        keys = slice(0, setting.axes[0].start if setting.axes else None)
        found = class_weights(self.held[:, keys], setting.keys[keys], self.config.training.class_weight_cap)
        weights = np.ones(len(setting.keys), np.float32)  # bins of the mouse weigh alike
        if self.config.training.use_class_weights:
            weights[keys] = found
        return weights

    @functools.cached_property
    def checkpoints(self) -> Checkpoints:
        """Of this run; their folder is made."""
        return Checkpoints(self.folder, self.config, self.batches)

    def _go_on_from(self, before: About) -> None:
        """Note how the data changed since the run before; UserError where its weights cannot be trained on it."""
        was = record_of(before)
        change = changed(was.data, self.record.data)
        if not was.data or not change:
            self.record = replace(self.record, id=was.id or self.record.id, chain=was.chain, new=was.new)
            return
        require_place(was, self.record, self.config, self.folder)
        setting, old = self.data.setting, Setting.from_json(before)
        parts = [("actions", old.keys, setting.keys), ("frame size", old.frame_size, setting.frame_size)]
        parts += [("goals", old.goals, setting.goals)] if self.config.model.goal == "index" else []
        for name, had, has in parts:
            if had != has:
                raise UserError(
                    f"{self.config.dataset.path}: other {name} than {self.folder} was trained on; start over with "
                    "training.resume=never, or choose another training.checkpoint_dir"
                )
        self.change = change
        steps = int(before.get("step", 0))
        self.record = self.record.after(replace(was, steps=steps))

    def begin(self) -> None:
        """Open the log, and delete the old checkpoints where training.resume says so.

        With other data than before, the best weights become the first checkpoint, which replaces all others at once.
        """
        if self.change:
            log.info("%s: %s (frames); going on from the weights that are there", self.folder, self.change)
            like = self.steps.init(jax.random.key(self.config.system.seed))
            state, about = load_weights(self.folder, like, self.devices.same)
            facts: About = {**self._facts(about["thresholds"]), "best": None, "stale": 0}
            with staged(self.folder / CHECKPOINTS, "protege clone train", replace=True) as part:
                self._save_in(part, state, facts, None)
        hosts.together(self._forget)
        latest = self.checkpoints.latest()  # a collective: every process calls it
        if hosts.first():
            self.log.open(latest or 0, len(self.record.chain))

    def _forget(self) -> None:
        if hosts.first() and self.config.training.resume == "never" and (self.folder / CHECKPOINTS).exists():
            shutil.rmtree(self.folder / CHECKPOINTS)

    def _save_in(self, place: Path, state: State, about: About, score: float | None) -> None:
        with closing(Checkpoints(self.folder, self.config, self.batches, place)) as checkpoints:
            checkpoints.save(state, about, score)

    def go(self, asked: Asked) -> Trained:
        """Train to the end, or until somebody asks for it."""
        self.asked = asked
        state = self._start()
        if hosts.first():
            write_text(self.folder / CONFIG_NAME, to_yaml(self.config))
            make_card(self.config, self.data.setting, self.data.frame_hz).save(self.folder)
        log.info("%s", to_yaml(self.config))
        log.info("%s: %d weights, %d device(s)", self.config.model.name, self.network.num_weights, self.devices.number)
        step = int(state.step)
        last = last_step(self.config.training, self.batches)
        stop = hosts.Stop(asked, self.devices)
        if step < last and hosts.first():
            for name in (METRICS, PAGE):  # they score weights that are about to be replaced
                (self.folder / name).unlink(missing_ok=True)
        elif step >= last and "scores" not in self.about and jax.process_count() == 1:
            self._judge_again(state, step)
        while step < last and not stop() and not self._stale():
            state = self.epoch(state, step, last, stop)
            step = int(state.step)
            self._finish(state, step, over=step >= last, stopped=stop.agreed)
        interrupted = bool(stop.agreed or asked) and (step < last or "scores" not in self.about)
        return Trained(self.folder, step, tuple(self.losses), self.about.get("scores", {}), interrupted)

    def _judge_again(self, state: State, step: int) -> None:
        """Judge the last weights of a run that was stopped meanwhile, and save them again with their scores."""
        with suppress(Stopped):
            score = self._judge(state, step)
            self.checkpoints.close()
            del self.checkpoints
            with staged(self.folder / CHECKPOINTS, "protege clone train", replace=True) as part:
                there, own = self.folder / CHECKPOINTS, str(step)
                shutil.copytree(
                    there, part, dirs_exist_ok=True, ignore=lambda at, _: [own] if Path(at) == there else []
                )
                self._save_in(part, state, self._about(step), score)

    def _start(self) -> State:
        """The state of the last checkpoint, or a new one."""
        key = jax.random.key(self.config.system.seed)
        step = self.checkpoints.latest()
        if step is None:
            return self.steps.init(key)
        about = self.checkpoints.about(step)
        self.about, self.best, self.stale = about, about.get("best"), about.get("stale", 0)
        log.info("%s: going on after step %d", self.folder, step)
        return self.checkpoints.restore(step, jax.eval_shape(self.steps.init, key), self.devices.same)

    def first_epoch(self, last: int) -> State:
        """Train from the first or the last saved step to `last`, within one epoch."""
        state = self._start()
        return self.epoch(state, int(state.step), last)

    def epoch(self, state: State, step: int, last: int, stop: Callable[[], bool] = lambda: False) -> State:
        """Train the rest of the epoch that a step lies in, to `last` at most, or until `stop` says so."""
        config, data = self.config, self.data
        epoch, start = divmod(step, self.batches)
        batches = loader.batches(data.cache, data.splits.train, data.options, config.system.seed, epoch, start)
        began, first = time.monotonic(), step
        before: tuple[int, Batch, dict[str, jax.Array]] | None = None
        batches = itertools.islice(batches, last - step)
        for batch, arrays in self.devices.ahead(batches, data.setting, config.system.pin_memory):
            state, numbers = self.steps.train(state, arrays)
            if before is not None:  # read a step late, so that the device never waits for it
                self._note(*before, per_s=(step - first) * config.training.batch_size / (time.monotonic() - began))
            step += 1
            before = step, batch, numbers
            if stop():
                break
        if before is not None:
            self._note(*before, per_s=(step - first) * config.training.batch_size / (time.monotonic() - began))
        return state

    def _note(self, step: int, batch: Batch, numbers: dict[str, jax.Array], per_s: float) -> None:
        """Log a step's numbers; ProtegeError if its loss is not finite."""
        found = {name: float(value) for name, value in numbers.items()}
        if not np.isfinite(found["loss"]):
            raise ProtegeError(
                f"the loss of step {step} is {found['loss']}, from the batch of {where(batch, self.data.cache)}; the "
                "last checkpoint is kept; lower training.learning_rate or training.grad_clip_norm, or look at these "
                "frames"
            )
        self.losses.append((step, found["loss"]))
        if step % self.config.logging.log_every_n_steps == 0:
            rate = float(jnp.asarray(self.rates((step - 1) // self.config.training.accumulation)))
            epoch = step / self.batches
            self.log.write(step, epoch=epoch, rate=rate, samples_per_s=per_s, **found)
            line = "step %d of %d  epoch %.2f  loss %.4f  rate %.2g  %.1f samples/s  %.1f min left"
            total = last_step(self.config.training, self.batches)
            left = (total - step) * self.config.training.batch_size / max(per_s, 1e-9) / 60
            log.info(line, step, total, epoch, found["loss"], rate, per_s, left)

    def _finish(self, state: State, step: int, *, over: bool, stopped: bool = False) -> None:
        """Judge where it is due and the run was not stopped, and save."""
        epoch, inside = divmod(step, self.batches)
        score = None
        self.about = self._facts(self.about["thresholds"])
        if not stopped and (over or (not inside and epoch % self.config.evaluation.eval_every_n_epochs == 0)):
            with suppress(Stopped):
                score = self._judge(state, step)
        self.checkpoints.save(state, self._about(step), score)

    def _judge(self, state: State, step: int) -> float:
        """Score the validation episodes; returns the number by which the best weights are chosen, higher is better."""
        scores, thresholds, entropy, looked = self._validate(state)
        options = self.config.evaluation
        found = {"loss": entropy, "f1": scores.macro_f1 or 0.0, "exact_match": scores.exact_match}
        looks = {f"{axis}_error_deg": score.error_deg for axis, score in looked.items()}
        looks |= {f"{axis}_direction": score.direction_accuracy or 0.0 for axis, score in looked.items()}
        score = {**found, "loss": -entropy, "last": float(step)}[options.best]
        better = self.best is None or score > self.best + self.config.training.early_stopping.min_delta
        self.best, self.stale = (score, 0) if better else (self.best, self.stale + 1)
        self.about = {**self._facts(self._by_action(thresholds)), "scores": {**found, **looks, **scores.to_json()}}
        self.log.write(
            step, **{f"validation_{name}": value for name, value in (found | looks | per_action(scores)).items()}
        )
        line = "step %d  validation: macro F1 %.3f  exact match %.3f  cross-entropy %.4f%s"
        praise = "  best" if better and options.best != "last" else ""
        log.info(line, step, found["f1"], found["exact_match"], entropy, praise)
        return score

    def _by_action(self, thresholds: NDArray[np.floating]) -> dict[str, float]:
        return dict(zip(self.data.setting.keys, map(float, thresholds), strict=True))

    def _facts(self, thresholds: dict[str, float]) -> About:
        """What every checkpoint says of itself, judged or not."""
        return {
            "config": to_fields(self.config),
            **self.data.setting.to_json(),
            "frame_hz": self.data.frame_hz,
            "thresholds": thresholds,
            "splits": {name: [e.name for e in episodes] for name, episodes in vars(self.data.splits).items()},
            "identities": {e.name: e.identity for e in self.data.episodes},
            "frames": {e.name: len(e) for e in self.data.episodes},
            "run": self.record.id,
            "new": self.record.new,
            "runs": list(self.record.chain),
        }

    def _about(self, step: int) -> About:
        """What is saved beside the weights of a step."""
        return {**self.about, "step": step, "best": self.best, "stale": self.stale}

    def _validate(self, state: State) -> tuple[Scores, NDArray[np.float64], float, dict[str, AxisScore]]:
        """Scores at this state's own thresholds, those thresholds, the mean cross-entropy, and how far off the mouse
        is.
        """
        data, options = self.data, self.config.evaluation
        batches = loader.batches(data.cache, data.splits.validation, replace(data.options, shuffle=False))
        done, told = 0, LoggedProgress(log)

        def forward(batch: Batch) -> NDArray[np.float32]:
            nonlocal done
            if jax.process_count() == 1:  # of several, all must leave at the same batch
                self.asked.check()
            done += int(batch.valid.sum())
            told("validation frames", done, sum(len(e) for e in data.splits.validation))
            arrays = self.devices.place(to_arrays(batch, data.setting))
            return np.asarray(self.steps.probabilities(state.weights, state.stats, arrays))

        found = collect(batches, forward, data.setting.keys, data.cache.offsets)
        probs, truth = found.probs[:, 0], found.truth[:, 0]
        thresholds = choose(probs, truth, self.thresholds) if options.tune_thresholds else self.thresholds
        held = pressed(probs, thresholds)
        scores = metrics.score(truth, held, found.episode, found.keys, options.onset_buffer_frames)
        return scores, thresholds, cross_entropy(probs, truth), look_scores(data.setting.space, truth, held)

    def _stale(self) -> bool:
        patience = self.config.training.early_stopping.patience
        if patience and self.stale >= patience:
            log.info("no better score in %d evaluations: stopped early", self.stale)
            return True
        return False
