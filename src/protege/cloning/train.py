"""A whole cloning run: episodes and a configuration in, a model's folder out; a second run goes on where it stopped."""

import functools
import itertools
import logging
import shutil
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from numpy.typing import NDArray

from protege.cloning import hosts, loader, metrics
from protege.cloning.agreement import require_same, shared
from protege.cloning.cache import Cache, build
from protege.cloning.checkpoint import CHECKPOINTS, Checkpoints, last_about, make_card, setting_to
from protege.cloning.config import CloningConfig, alone, from_fields
from protege.cloning.loader import Batch, LoaderOptions
from protege.cloning.logs import Log
from protege.cloning.losses import class_weights
from protege.cloning.memory import keep_freed_memory
from protege.cloning.metrics import Scores
from protege.cloning.optim import last_step, schedule
from protege.cloning.predictions import collect, cross_entropy
from protege.cloning.split import Splits, split
from protege.cloning.state import StateEncoder
from protege.cloning.steps import Devices, Network, Setting, State, Steps, make_steps, to_arrays
from protege.cloning.store import Dataset
from protege.cloning.thresholds import choose, pressed, untuned
from protege.errors import ProtegeError, UserError
from protege.settings import to_fields, to_yaml

log = logging.getLogger(__name__)

CONFIG_NAME: Final = "config.yaml"
Progress = Callable[[], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a bar that is told how much is done, and of how much."""
QUIET: Final[Progress] = lambda: nullcontext(lambda done, total: None)  # noqa: E731


@dataclass(frozen=True)
class Data:
    """An opened data set as a configuration wants it."""

    cache: Cache
    splits: Splits
    setting: Setting
    options: LoaderOptions
    frame_hz: float

    @classmethod
    def open(cls, config: CloningConfig, progress: Progress = QUIET) -> "Data":
        """Open, check, split and cache; UserError for what is wrong with the store. progress: of the cache."""
        wanted = config.dataset
        dataset = Dataset.open(wanted.path, use_state=wanted.use_state, channel_order=wanted.channel_order)
        for line in dataset.assumed:
            log.warning("%s", line)
        for problem in dataset.problems:
            if not wanted.validate_episodes:
                raise UserError(f"{problem}; dataset.validate_episodes=true leaves such episodes out")
            log.warning("%s", problem)
        splits = split(dataset, wanted.ratios, wanted.split_seed)
        loader.require_horizon(splits.train, config.model.horizon, wanted.path)
        folder = Path(wanted.cache) if wanted.cache else None
        with progress() as told:
            cache = build(dataset, folder, wanted.frame_size, wait=jax.process_count() > 1, progress=told)
        encoder = None
        if wanted.use_state and cache.state is not None:
            encoder = StateEncoder.fit(cache.state[cache.rows(splits.train)], wanted.state)
        height, width = cache.frames.shape[2:]
        setting = Setting(dataset.keys, dataset.goals, (int(height), int(width)), encoder)
        frame_hz = float(dataset.episodes[0].attributes.get("fps", 10.0))
        return cls(cache, splits, setting, loader_options(config), frame_hz)

    @property
    def identity(self) -> tuple[Any, ...]:
        """What hosts with the same episodes have alike."""
        return setting_to(self.setting), self.cache.offsets, zlib.crc32(self.cache.actions.tobytes())


def loader_options(config: CloningConfig) -> LoaderOptions:
    """What of the configuration the loader knows."""
    model = config.model
    return LoaderOptions(
        batch_size=config.training.batch_size,
        frames=model.num_frames,
        skip=model.frame_skip,
        horizon=model.horizon,
        history=max(1, model.action_history),  # onsets are told from the action before
        threads=config.system.num_workers,
    )


@dataclass(frozen=True)
class Trained:
    """folder: the model's; steps: done in all; losses: (step, loss) of this run; scores: of the last judged weights on
    the validation episodes; interrupted: by Ctrl-C, to be resumed.
    """

    folder: Path
    steps: int
    losses: tuple[tuple[int, float], ...]
    scores: dict[str, Any]
    interrupted: bool = False


def train(config: CloningConfig, progress: Progress = QUIET) -> Trained:
    """Train, or go on with what was begun in the same folder (training.resume=auto), alone or with other processes.

    progress: of copying frames into the cache. Whatever may be refused is, before the folder is touched.
    """
    hosts.join(config.system)
    if not hosts.first():
        log.setLevel(logging.WARNING)  # the first speaks for all
        progress = QUIET
    use_compile_cache(config.system.compile_cache)
    keep_freed_memory()
    folder = Path(config.training.checkpoint_dir)
    hosts.require_alike(shared(config))
    hosts.require_shared("training.checkpoint_dir", folder)
    config = alone(config)
    run = hosts.together(lambda: prepared(config, folder, progress))
    hosts.require_alike({"episodes": run.data.identity})
    with run.log, ctrl_c() as asked:
        hosts.together(run.begin)
        try:
            trained = run.go(asked)
        finally:
            run.checkpoints.close()
    return hosts.together(lambda: trained)  # no process ends while another still writes


def prepared(config: CloningConfig, folder: Path, progress: Progress) -> "Run":
    """A run that can begin; UserError where it cannot, told before the long work of reading episodes where possible."""
    Devices(config.system.devices, config.training.batch_size)
    written = Log(folder, config)
    if config.training.resume == "auto" and (about := last_about(folder)) is not None:
        require_same(from_fields(about["config"]), config, folder)
    return Run(config, Data.open(config, progress), folder, written)


def use_compile_cache(folder: str | None) -> None:
    """Compiled steps are kept for the next start of any process."""
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(Path(folder).expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


class Run:
    """One run from its first or its last step on."""

    def __init__(self, config: CloningConfig, data: Data, folder: Path, written: Log) -> None:
        """Makes no file: what is wrong is said before anything is written. written: opened by `begin`."""
        self.config, self.data, self.folder, self.log = config, data, folder, written
        self.held = data.cache.actions[data.cache.rows(data.splits.train)]
        self.batches = loader.steps(data.cache, data.splits.train, data.options)
        self.devices = Devices(config.system.devices, config.training.batch_size)
        self.network = Network(config, data.setting)
        self.thresholds = untuned(self.held, config.evaluation.metrics_threshold)
        self.rates: Any = schedule(config.training, self.batches)
        self.steps: Steps = make_steps(self.network, self.devices, self._weights(), self.batches)
        self.best: float | None = None
        self.stale = 0
        self.losses: list[tuple[int, float]] = []
        self.about: dict[str, Any] = {}

    def _weights(self) -> NDArray[np.float32]:
        weights = class_weights(self.held, self.data.setting.keys, self.config.training.class_weight_cap)
        return weights if self.config.training.use_class_weights else np.ones_like(weights)

    @functools.cached_property
    def checkpoints(self) -> Checkpoints:
        """Makes their folder."""
        return Checkpoints(self.folder, self.config, self.batches)

    def begin(self) -> None:
        """Open the log, and forget what was there where training.resume says so."""
        if hosts.first():
            self.log.open()
            if self.config.training.resume == "never" and (self.folder / CHECKPOINTS).exists():
                shutil.rmtree(self.folder / CHECKPOINTS)

    def go(self, asked: list[bool]) -> Trained:
        """To the end, or until `asked` holds something."""
        state = self._start()
        if hosts.first():
            (self.folder / CONFIG_NAME).write_text(to_yaml(self.config), encoding="utf-8")
            make_card(self.config, self.data.setting, self.data.frame_hz).save(self.folder)
        log.info("%s", to_yaml(self.config))
        log.info("%s: %d weights, %d device(s)", self.config.model.name, self.network.num_weights, self.devices.number)
        step = int(state.step)
        last = last_step(self.config.training, self.batches)
        stop = hosts.Stop(asked, self.devices)
        while step < last and not stop() and not self._stale():
            state = self.epoch(state, step, last, stop)
            step = int(state.step)
            self._finish(state, step, over=step >= last or stop.agreed)
        return Trained(self.folder, step, tuple(self.losses), self.about.get("scores", {}), stop.agreed)

    def _start(self) -> State:
        """The state of the last checkpoint, or a new one."""
        key = jax.random.key(self.config.system.seed)
        step = self.checkpoints.latest()
        if step is None:
            self.about = self._facts()
            return self.steps.init(key)
        about = self.checkpoints.about(step)
        self.about, self.best, self.stale = about, about["best"], about["stale"]
        log.info("%s: going on after step %d", self.folder, step)
        return self.checkpoints.restore(step, jax.eval_shape(self.steps.init, key), self.devices.same)

    def first_epoch(self, last: int) -> State:
        """From the first or the last saved step to `last`, within one epoch."""
        state = self._start()
        return self.epoch(state, int(state.step), last)

    def epoch(self, state: State, step: int, last: int, stop: Callable[[], bool] = lambda: False) -> State:
        """The rest of the epoch that a step lies in, to `last` at most, or until `stop` says so."""
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
        """Keep a step's numbers; ProtegeError if its loss is no number."""
        found = {name: float(value) for name, value in numbers.items()}
        if not np.isfinite(found["loss"]):
            raise ProtegeError(
                f"the loss of step {step} is {found['loss']}, from the batch of {where(batch, self.data.cache)}; the "
                "last checkpoint is kept; lower training.learning_rate or training.grad_clip_norm, or look at these "
                "frames"
            )
        self.losses.append((step, found["loss"]))
        if step % self.config.logging.log_every_n_steps == 0:
            rate = float(self.rates((step - 1) // self.config.training.accumulation))
            epoch = step / self.batches
            self.log.write(step, epoch=epoch, rate=rate, samples_per_s=per_s, **found)
            line = "step %d of %d  epoch %.2f  loss %.4f  rate %.2g  %.1f samples/s"
            total = last_step(self.config.training, self.batches)
            log.info(line, step, total, epoch, found["loss"], rate, per_s)

    def _finish(self, state: State, step: int, *, over: bool) -> None:
        """Judge where it is due, and save."""
        epoch, inside = divmod(step, self.batches)
        score = None
        if over or (not inside and epoch % self.config.evaluation.eval_every_n_epochs == 0):
            score = self._judge(state, step)
        self.checkpoints.save(state, self.about | {"best": self.best, "stale": self.stale}, score)

    def _judge(self, state: State, step: int) -> float:
        """Score the validation episodes; returns the number by which the best weights are chosen, higher is better."""
        scores, thresholds, entropy = self._validate(state)
        options = self.config.evaluation
        found = {"loss": entropy, "f1": scores.macro_f1 or 0.0, "exact_match": scores.exact_match}
        score = {**found, "loss": -entropy, "last": float(step)}[options.best]
        better = self.best is None or score > self.best + self.config.training.early_stopping.min_delta
        self.best, self.stale = (score, 0) if better else (self.best, self.stale + 1)
        self.about = self._facts() | {
            "thresholds": dict(zip(self.data.setting.keys, map(float, thresholds), strict=True)),
            "scores": {**found, **scores.to_json()},
        }
        self.log.write(step, **{f"validation_{name}": value for name, value in (found | per_action(scores)).items()})
        line = "step %d  validation: macro F1 %.3f  exact match %.3f  cross-entropy %.4f%s"
        praise = "  best" if better and options.best != "last" else ""
        log.info(line, step, found["f1"], found["exact_match"], entropy, praise)
        return score

    def _facts(self) -> dict[str, Any]:
        """What every checkpoint says of itself, judged or not."""
        setting = self.data.setting
        return {
            "config": to_fields(self.config),
            **setting_to(setting),
            "frame_hz": self.data.frame_hz,
            "thresholds": dict(zip(setting.keys, map(float, self.thresholds), strict=True)),
            "splits": {name: [e.name for e in episodes] for name, episodes in vars(self.data.splits).items()},
            "identities": {e.name: e.identity for episodes in vars(self.data.splits).values() for e in episodes},
        }

    def _validate(self, state: State) -> tuple[Scores, NDArray[np.float64], float]:
        """Scores at this state's own thresholds, those thresholds, and the mean cross-entropy."""
        data, options = self.data, self.config.evaluation
        quiet = LoaderOptions(**{**vars(data.options), "shuffle": False})
        batches = loader.batches(data.cache, data.splits.validation, quiet)

        def forward(batch: Batch) -> NDArray[np.float32]:
            arrays = self.devices.place(to_arrays(batch, data.setting))
            return np.asarray(self.steps.probabilities(state.weights, state.stats, arrays))

        found = collect(batches, forward, data.setting.keys, data.cache.offsets)
        probs, truth = found.probs[:, 0], found.truth[:, 0]
        thresholds = choose(probs, truth, self.thresholds) if options.tune_thresholds else self.thresholds
        held = pressed(probs, thresholds)
        scores = metrics.score(truth, held, found.episode, found.keys, options.onset_buffer_frames)
        return scores, thresholds, cross_entropy(probs, truth)

    def _stale(self) -> bool:
        patience = self.config.training.early_stopping.patience
        if patience and self.stale >= patience:
            log.info("no better score in %d evaluations: stopped early", self.stale)
            return True
        return False


def per_action(scores: Scores) -> dict[str, float]:
    """The numbers of each action by the name that they are logged under; what cannot be told is left out."""
    return {
        f"{key}/{name}": value
        for key, each in scores.actions.items()
        for name in ("accuracy", "precision", "recall", "f1")
        if (value := getattr(each, name)) is not None
    }


def where(batch: Batch, cache: Cache, most: int = 4) -> str:
    """A batch's frames in words: "frame 3 of episode_1, frame 7 of episode_0, … (32 in all)"."""
    rows = batch.rows[batch.valid]
    named = []
    for row in rows[:most]:
        name, (start, _) = next((n, span) for n, span in cache.offsets.items() if span[0] <= row < span[1])
        named.append(f"frame {row - start} of {name}")
    return ", ".join(named) + (f", … ({len(rows)} in all)" if len(rows) > most else "")


@contextmanager
def ctrl_c() -> Iterator[list[bool]]:
    """Yields a list that the first Ctrl-C puts something into; the second one ends the run at once."""
    asked: list[bool] = []

    def handle(*_: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)
        log.warning("stopping after this step and saving; press Ctrl-C again to stop at once")

    try:
        before = signal.signal(signal.SIGINT, handle)
    except ValueError:  # not the main thread: whoever runs it handles its own signals
        yield asked
        return
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
