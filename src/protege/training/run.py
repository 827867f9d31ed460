"""A fine-tuning run: labeled data and a base in; adapter, processor, card, scores and curves out."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from numpy.typing import NDArray

from protege.core.card import ModelCard
from protege.core.chat import HISTORY_PROMPT_VERSION
from protege.core.files import Json, locked
from protege.core.together import PART, settle, together
from protege.errors import MissingExtra, ProtegeError, UserError
from protege.learn.interrupt import Asked, Stopped, ctrl_c
from protege.learn.progress import LoggedProgress, Progress
from protege.learn.resume import Run
from protege.settings import to_fields, to_yaml
from protege.training.config import VisionConfig
from protege.training.data import LabeledData
from protege.training.earlier import NOTHING, Earlier, about_data
from protege.training.judged import WORST_KEY, Judged, worst
from protege.training.model import Trainable, choose_loader, load_trainable, require_lora, scalable
from protege.training.outlook import out_of_memory, outlook, require_fit
from protege.training.outputs import read_metrics, scores_before, write_outputs
from protege.training.score import Scores
from protege.training.start import BEFORE, CHECKPOINTS, CONFIG_NAME, Start, find_start, fit
from protege.vlm.load import ADAPTER_WEIGHTS, best_dtype, require_vision
from protege.vlm.pixels import read_picture
from protege.vlm.unsloth import Loader

if TYPE_CHECKING:
    from accelerate import PartialState
    from transformers import Qwen3VLProcessor, TrainerCallback
    from trl.trainer.sft_config import SFTConfig

    from protege.training.collate import Collator
    from protege.training.forgotten import Forgotten
    from protege.training.trainer import ActionTrainer

log = logging.getLogger(__name__)

MAY_BE_MISSING: Final = ("curves.png", "training_args.bin")
"""Of the files of a model, those that not every run writes."""


@dataclass(frozen=True)
class Trained:
    """What a fine-tuning run made.

    output: the adapter's folder.
    steps: optimiser steps done in all.
    interrupted: stopped by Ctrl-C, to be resumed.
    losses: (step, loss) of what was logged.
    scores: `Scores.to_json()`, empty where no sample was held back.
    """

    output: Path
    steps: int
    interrupted: bool
    losses: tuple[tuple[int, float], ...]
    scores: dict[str, Json]


def train(config: VisionConfig, progress: Progress | None = None) -> Trained:
    """Fine-tune, or resume the run in the same folder (training.resume=auto). Errors are UserErrors.

    With other data than before it goes on from the weights that are there. progress: of scoring; by default log lines.
    """
    require_vision()
    loader = choose_loader(config)  # before anything imports transformers or trl
    _check_reporter(config.training.report_to)
    with alone(config.output):
        return _train(config, loader, progress or LoggedProgress(log))


@contextmanager
def alone(output: str) -> Iterator[None]:
    """Hold the lock of a model's folder; of several processes the first one does."""
    if not _state().is_main_process:
        yield
        return
    with locked(Path(output), "protege train"):
        if Path(output).is_dir():
            settle(Path(output))
        yield


def _state() -> "PartialState":
    """Accelerate's state of this process. Without a GPU and cpu=True it would take each process for the only one."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def _train(config: VisionConfig, loader: Loader, progress: Progress) -> Trained:
    import torch

    output = Path(config.output)
    data = LabeledData.open(Path(config.data.folder))
    with _state().main_process_first():
        start = find_start(config, data, output)
    if start.done:
        log.info("%s: trained for %d steps already; nothing to do", output, start.run.steps)
        return _done_before(output, start.run.steps)
    _announce(config, loader, _recorded_size(data))
    training, held_back = start.sides.part(data)
    if config.data.limit:
        rng = np.random.default_rng(config.training.seed)
        training = training.take(np.sort(rng.permutation(len(training))[: config.data.limit]))
    with known_warnings(), ctrl_c() as asked:
        try:
            made = load_trainable(config)
            trainer = make_trainer(config, made, training, held_back, asked, progress, start.earlier)
            trainer.accelerator.wait_for_everyone()  # all have read what the first is about to change
            if trainer.is_world_process_zero():
                start.begin(output)
                log.info("%s", to_yaml(config))
                log.info("%s; on %s", start.told, made.device)
                if trainer.draws.rehearsed:
                    share, held = config.data.rehearsal, len(trainer.collator.data) - len(training)
                    log.info("%.0f %% of each batch are drawn from %s earlier samples", 100 * share, f"{held:,}")
                if len(training) < len(data) - len(held_back):
                    log.info("of these %s are drawn (data.limit)", f"{len(training):,}")
            trainer.accelerator.wait_for_everyone()  # no process may train before the first has made the folder
            with _reporting(config.training.report_to):
                fit(trainer, start, output)
        except torch.OutOfMemoryError as error:
            raise UserError(out_of_memory(config)) from error
        trained = _finish(config, trainer, start)
        trainer.accelerator.wait_for_everyone()
    return trained


def _announce(config: VisionConfig, loader: Loader, recorded: tuple[int, int]) -> None:
    """Say what the run will use and need; UserError where it cannot fit, before weights are downloaded."""
    with known_warnings():
        found = outlook(config, loader, recorded)
        if _state().is_main_process:
            for line in found.lines():
                log.info("%s", line)
        require_fit(config, found, recorded)


@contextmanager
def known_warnings() -> Iterator[None]:
    """Ignore deprecation warnings that transformers, trl, peft and torch cause in each other."""
    with warnings.catch_warnings():
        for pattern in (
            "`?(is_)?gradient_checkpointing(_kwargs)?`? is deprecated",  # trl 1.16 and peft 0.21 with transformers 5.23
            ".*pin_memory.*no accelerator",
            ".*use of fork\\(\\) may lead to deadlocks",  # torch's workers, beside the threads of others
        ):
            warnings.filterwarnings("ignore", pattern)
        yield


def make_trainer(
    config: VisionConfig,
    made: Trainable,
    training: LabeledData,
    held_back: LabeledData,
    asked: Asked,
    progress: Progress,
    earlier: Earlier | None = None,
) -> "ActionTrainer":
    """The trainer. asked: whether it is to stop; progress: of scoring; earlier: data to rehearse."""
    from transformers import EarlyStoppingCallback, PrinterCallback

    from protege.training.sampling import Draws, Rehearsal, balance_weights, change_weights, evenly
    from protege.training.trainer import ActionTrainer, Stopper, TrainingLog

    options = config.training

    def weights(data: LabeledData) -> NDArray[np.float64] | None:
        if config.data.balance:
            return balance_weights(data.kinds, config.data.balance_cap)
        return change_weights(data.kinds, config.data.change_weight) if config.data.change_weight > 1 else None

    again, rehearsal = training, None
    if earlier is not None and len(earlier.trained) and config.data.rehearsal:
        again = training.joined(earlier.trained)
        rehearsal = Rehearsal(len(earlier.trained), config.data.rehearsal, weights(earlier.trained))
    collator = make_collator(config, made.processor, again)
    samples_a_step = options.batch * options.accumulation * _state().num_processes
    callbacks: list[TrainerCallback] = [TrainingLog(samples_a_step), Stopper(asked)]
    scored = len(held_back) > 0
    if options.patience and scored:
        callbacks.append(EarlyStoppingCallback(options.patience))
    trainer = ActionTrainer(
        made,
        arguments(config, made, scored),
        callbacks,
        collator=collator,
        held_back=replace(collator, data=held_back).scoring() if scored else None,
        rows=evenly(len(held_back), options.score_samples),
        asked=asked,
        progress=progress,
        draws=Draws(len(training), options.seed, weights(training), rehearsal),
    )
    trainer.remove_callback(PrinterCallback)
    require_lora(trainer.network)
    if trainer.args.fp16:
        scalable(trainer.network)
    return trainer


def make_collator(config: VisionConfig, processor: "Qwen3VLProcessor", data: LabeledData) -> "Collator":
    """The collator of the training samples."""
    from protege.training.collate import Collator
    from protege.vlm.inputs import Tokens
    from protege.vlm.pictures import pictures_of

    return Collator(
        data,
        Tokens(processor, data.shape.space, data.shape.horizon),
        pictures_of(processor),
        frame_size=config.data.frame_size,
        actions_only=config.training.loss == "actions",
        paraphrases=config.data.paraphrases,
        changes=config.augment,
        seed=config.training.seed,
        history=config.data.history.shown,
        dropout=config.data.history.dropout,
    )


def arguments(
    config: VisionConfig, made: Trainable, scored: bool, capability: tuple[int, int] | None = None
) -> "SFTConfig":
    """Our settings as TRL's. capability: of the CUDA device, None asks it."""
    import torch
    from trl.trainer.sft_config import SFTConfig

    options, on_gpu = config.training, made.device.startswith("cuda")
    kind = best_dtype(made.device, capability)
    often = {"save_strategy": "steps", "save_steps": options.save_steps} if options.save_steps else {}
    if scored:
        steps = options.eval_steps or options.save_steps
        often |= {"eval_strategy": "steps", "eval_steps": steps} if steps else {"eval_strategy": "epoch"}
        # the best checkpoint must be one that was scored
        often |= {"load_best_model_at_end": True, "metric_for_best_model": f"eval_{options.best}"}
        often |= {"save_strategy": "steps", "save_steps": steps} if steps else {}
        often |= {"greater_is_better": options.best not in ("loss", "cross_entropy")}
    return SFTConfig(
        output_dir=str(Path(config.output) / CHECKPOINTS),
        per_device_train_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        num_train_epochs=options.epochs,
        max_steps=options.max_steps,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup_steps,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        optim=_optimizer(options.optimizer, on_gpu),
        gradient_checkpointing=options.gradient_checkpointing and not made.unsloth,
        bf16=on_gpu and kind == torch.bfloat16,
        fp16=on_gpu and kind == torch.float16,  # with loss scaling
        use_cpu=not on_gpu,
        max_length=None,  # a limit cuts answers off without a word
        remove_unused_columns=False,
        dataloader_num_workers=config.data.workers,
        dataloader_persistent_workers=False,
        dataloader_pin_memory=on_gpu,
        logging_steps=options.log_steps,
        save_total_limit=options.keep,
        seed=options.seed,
        report_to=[] if options.report_to == "none" else [options.report_to],
        disable_tqdm=True,
        **{"save_strategy": "epoch", "eval_strategy": "no", **often},
    )


def _optimizer(name: str, on_gpu: bool) -> str:
    return name if name != "auto" else "adamw_8bit" if on_gpu else "adamw_torch"


def _check_reporter(name: str) -> None:
    import importlib.util

    if name != "none" and importlib.util.find_spec(name) is None:
        if name == "tensorboard":
            raise MissingExtra("tensorboard", "vision")
        raise UserError(f"training.report_to={name}, but {name} is not installed; install it with: pip install {name}")


@contextmanager
def _reporting(name: str) -> Iterator[None]:
    """Turn wandb's errors (no login, no connection) into one line, and end its run with ours."""
    if name != "wandb":
        yield
        return
    import wandb
    from wandb.errors import Error

    try:
        yield
    except Error as error:
        hint = "log in with `wandb login`, or set WANDB_MODE=offline, or training.report_to=tensorboard"
        raise ProtegeError(f"wandb: {error}; {hint}") from error
    finally:
        wandb.finish()


def _done_before(output: Path, steps: int) -> Trained:
    """The result of a run that is finished already; resuming it would add a step."""
    scores = read_metrics(output)
    history = cast("list[dict[str, float]]", scores.pop("history", []))  # checked when it was read
    return Trained(output, steps, False, losses(history), scores)


def losses(history: Sequence[Mapping[str, float]]) -> tuple[tuple[int, float], ...]:
    """(step, loss) of what was logged."""
    return tuple((int(row["step"]), float(row["loss"])) for row in history if "loss" in row)


def _finish(config: VisionConfig, trainer: "ActionTrainer", start: Start) -> Trained:
    """Score the best weights, and put the model's files in place; an interrupted run leaves a finished model alone."""
    from protege.training.done import find_done_threshold, told
    from protege.training.evaluate import evaluate
    from protege.training.forgotten import forgotten

    output, history, asked = Path(config.output), trainer.state.log_history, trainer.asked
    found: Scores | None = None
    threshold: float | None = None
    lost: Forgotten | None = None
    beside: dict[str, Json] = {}
    if not asked:  # on every process, since a sharded model needs all of them
        model = trainer.accelerator.unwrap_model(trainer.model)
        with suppress(Stopped):
            lost = forgotten(trainer, start.earlier, output, config.training.score_samples)
            if trainer.held_back is not None:
                columns = trainer.collator.data.columns[: trainer.draws.count]
                scoring = partial(trainer.scoring, "done")
                threshold = find_done_threshold(model, trainer.held_back, trainer.rows, scoring)
                if trainer.is_world_process_zero():
                    log.info("%s", told(threshold))
                beside = scores_before(output / CHECKPOINTS / BEFORE)
                found, said = evaluate(model, trainer.held_back, trainer.rows, train=columns, progress=trainer.scoring)
                beside |= {WORST_KEY: worst(Judged(config.output, found, trainer.held_back.data, trainer.rows, said))}
    interrupted = bool(asked) and (trainer.state.global_step < trainer.total_steps() or not found)
    if not interrupted or (before := Run.load(output)) is None or not before.finished:
        run = replace(start.run, steps=trainer.state.global_step, finished=not interrupted)
        about = {**about_data(run, start.earlier), **(lost.to_json() if lost else NOTHING), **beside}
        write_model(config, trainer, run, found, about, threshold if found else None)
    if trainer.is_world_process_zero():
        log.info("%s: %s", "interrupted, go on with the same command" if interrupted else "done", output)
    return Trained(output, trainer.state.global_step, interrupted, losses(history), found.to_json() if found else {})


def write_model(
    config: VisionConfig,
    trainer: "ActionTrainer",
    run: Run,
    scores: Scores | None,
    about: Mapping[str, Json],
    done_threshold: float | None,
) -> None:
    """Write weights, processor, card, scores and the run's record, all at once. All processes take part.

    about: what metrics.json says beside the scores and done_threshold.
    """
    output = Path(config.output)
    with together(output, MAY_BE_MISSING) if trainer.is_world_process_zero() else nullcontext(output / PART) as part:
        trainer.accelerator.wait_for_everyone()
        trainer.save_model(str(part))
        if trainer.is_world_process_zero() and not (part / ADAPTER_WEIGHTS).is_file():
            raise ProtegeError(f"{output}: not written, since no adapter came out of training; set model.unsloth=never")
        if not trainer.is_world_process_zero():
            return
        data = trainer.collator.data
        shape, history = data.shape, config.data.history.shown
        card = ModelCard(
            kind="vision",
            base_model=config.model.base,
            space=shape.space,
            horizon=shape.horizon,
            frame_size=config.data.frame_size or _recorded_size(data),
            frame_hz=shape.frame_hz,
            chords=shape.chords,
            prompt_version=shape.prompt_version if history is None else HISTORY_PROMPT_VERSION,
            config=to_fields(config),
            done_threshold=done_threshold,
            history=history,
        )
        about = {**about, "done_threshold": done_threshold}
        write_outputs(part, card, trainer.processor, scores, about, trainer.state.log_history)
        (part / CONFIG_NAME).write_text(to_yaml(config), encoding="utf-8")
        run.save(part)


def _recorded_size(data: LabeledData) -> tuple[int, int]:
    height, width, _ = read_picture(data.path(0)).shape
    return width, height
