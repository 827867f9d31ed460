"""A whole fine-tuning run: data and base in, adapter, processor, card, scores and curves out."""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.core.card import ModelCard
from protege.errors import MissingExtra, ProtegeError, UserError
from protege.settings import load_config, to_fields, to_yaml
from protege.training.config import AugmentOptions, VisionConfig
from protege.training.data import LabeledData
from protege.training.model import load_trainable, unsloth_first
from protege.training.outputs import write_outputs
from protege.training.score import METRICS
from protege.training.split import TrainedOn, split
from protege.vlm.load import require_vision

log = logging.getLogger(__name__)

CHECKPOINTS: Final = "checkpoints"
CONFIG_NAME: Final = "config.yaml"
DEFAULTS: Final = Path("configs/vision_lora.yaml")
"""Says what `VisionConfig` itself says, tested; so elsewhere than in the repository it is not missed."""
GIB: Final = 2**30


@dataclass(frozen=True)
class Trained:
    """output: the adapter's folder; steps done in all; interrupted: stopped by Ctrl-C, to be resumed."""

    output: Path
    steps: int
    interrupted: bool
    losses: tuple[tuple[int, float], ...]
    scores: dict[str, Any]


def main(argv: Sequence[str]) -> Trained:
    """The command: [--config FILE] [key=value …], as train_vision_agent.py passes them on."""
    import argparse

    parser = argparse.ArgumentParser(prog="train_vision_agent.py", description=__doc__)
    parser.add_argument("--config", type=Path, default=DEFAULTS if DEFAULTS.is_file() else None)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_args(argv)
    return train(load_config(VisionConfig, args.config, args.overrides))


def train(config: VisionConfig) -> Trained:
    """Fine-tune, or go on with what was begun in the same folder (training.resume=auto). Errors are UserErrors."""
    require_vision()
    unsloth_first(config)
    _check_reporter(config.training.report_to)
    data = LabeledData.open(Path(config.data.folder))
    trained_on, apart = split(data, config.data.validation, config.data.split_seed)
    output = Path(config.output)
    checkpoint = _checkpoint(config, output)
    if checkpoint and (done := _done_before(config, output, checkpoint)):
        log.info("%s: trained for %d steps already; nothing to do", output, done.steps)
        return done
    with known_warnings():
        return _train(config, data, trained_on, apart, checkpoint)


def _train(
    config: VisionConfig, data: LabeledData, trained_on: TrainedOn, apart: str, checkpoint: Path | None
) -> Trained:
    import torch

    from protege.training.trainer import ctrl_c

    output = Path(config.output)
    training, held_back = trained_on.part(data)
    if config.data.limit:
        rng = np.random.default_rng(config.training.seed)
        training = training.take(np.sort(rng.permutation(len(training))[: config.data.limit]))
    try:
        made = load_trainable(config)
        trainer, stopper = make_trainer(config, made, training, held_back)
        if trainer.is_world_process_zero():
            output.mkdir(parents=True, exist_ok=True)
            (output / CONFIG_NAME).write_text(to_yaml(config), encoding="utf-8")
            log.info("%s", to_yaml(config))
            log.info("%s; on %s", apart, made.device)
            if len(training) < len(data) - len(held_back):
                log.info("of these %s are drawn (data.limit)", f"{len(training):,}")
        with ctrl_c(stopper), _reporting(config.training.report_to):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        raise UserError(out_of_memory(config)) from error
    trained = _finish(config, trainer, made, training, trained_on, interrupted=stopper.stopped)
    trainer.accelerator.wait_for_everyone()
    return trained


@contextmanager
def known_warnings() -> Iterator[None]:
    """Without what transformers, trl, peft and torch say to each other about names they will change."""
    with warnings.catch_warnings():
        for pattern in (
            "`?(is_)?gradient_checkpointing(_kwargs)?`? is deprecated",  # trl 1.16 and peft 0.21 with transformers 5.23
            ".*pin_memory.*no accelerator",
            ".*use of fork\\(\\) may lead to deadlocks",  # torch's workers, beside the threads of others
        ):
            warnings.filterwarnings("ignore", pattern)
        yield


def out_of_memory(config: VisionConfig) -> str:
    """What to lower, the most effective first."""
    import torch

    has = f" ({torch.cuda.get_device_properties(0).total_memory / GIB:.0f} GiB)" if torch.cuda.is_available() else ""
    hints = []
    if not config.model.four_bit:
        hints.append("set model.four_bit=true")
    if not config.training.gradient_checkpointing:
        hints.append("set training.gradient_checkpointing=true")
    if config.training.batch > 1:
        half = config.training.batch // 2
        hints.append(f"lower training.batch to {half} and raise training.accumulation to keep their product")
    hints += ["lower data.frame_size, e.g. to [320,240]", "set lora.vision=false", "choose a smaller base"]
    return f"the device's memory{has} is too small for this run; {', then '.join(hints)}"


def make_trainer(config: VisionConfig, made: Any, training: LabeledData, held_back: LabeledData) -> Any:
    """The trainer and what Ctrl-C sets on it."""
    from transformers import EarlyStoppingCallback, PrinterCallback

    from protege.training.sampling import Draws, balance_weights
    from protege.training.trainer import ActionTrainer, Progress, Stopper

    options, processes = config.training, _processes()
    weights = balance_weights(training.columns, config.data.balance_cap) if config.data.balance else None
    collator = make_collator(config, made.processor, training)
    stopper = Stopper()
    callbacks: list[Any] = [Progress(options.batch * options.accumulation * processes), stopper]
    scored = len(held_back) > 0 and not held_back.shape.chords
    if options.patience and scored:
        callbacks.append(EarlyStoppingCallback(options.patience))
    trainer = ActionTrainer(
        model=made.model,
        args=arguments(config, made, scored),
        collator=collator,
        held_back=replace(collator, data=held_back, paraphrases=False, changes=AugmentOptions()) if scored else None,
        rows=spread(len(held_back), options.score_samples),
        draws=Draws(len(training), options.seed, weights),
        processing_class=made.processor,
        peft_config=made.peft_config,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, stopper


def make_collator(config: VisionConfig, processor: Any, data: LabeledData) -> Any:
    from protege.training.collate import Collator
    from protege.vlm.inputs import Tokens
    from protege.vlm.pixels import PixelSpec

    return Collator(
        data,
        Tokens(processor, data.shape.space, data.shape.horizon),
        PixelSpec.of(processor),
        frame_size=config.data.frame_size,
        actions_only=config.training.loss == "actions",
        paraphrases=config.data.paraphrases,
        changes=config.augment,
        seed=config.training.seed,
    )


def arguments(config: VisionConfig, made: Any, scored: bool) -> Any:
    """TRL's own settings."""
    from trl.trainer.sft_config import SFTConfig

    options, on_gpu = config.training, made.device.startswith("cuda")
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
        bf16=on_gpu,
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


def spread(count: int, most: int) -> Any:
    """At most `most` of `count` positions, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64)) if count else np.arange(0)


def _processes() -> int:
    from accelerate import PartialState

    return PartialState().num_processes


def _check_reporter(name: str) -> None:
    import importlib.util

    if name != "none" and importlib.util.find_spec(name) is None:
        if name == "tensorboard":
            raise MissingExtra("tensorboard", "vision")
        raise UserError(f"training.report_to={name}, but {name} is not installed; install it with: pip install {name}")


@contextmanager
def _reporting(name: str) -> Iterator[None]:
    """Within, wandb's own errors (no login, no connection) are one line; its run ends with ours."""
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


def _checkpoint(config: VisionConfig, output: Path) -> Path | None:
    """Where to go on from; checkpoints of another run are never mixed with this one."""
    from accelerate import PartialState
    from transformers.trainer_utils import get_last_checkpoint

    wanted, folder = config.training.resume, output / CHECKPOINTS
    if wanted not in ("auto", "never"):
        if not (Path(wanted) / "trainer_state.json").is_file():
            raise UserError(f"training.resume={wanted}: no checkpoint there; use auto, never or a checkpoint's folder")
        return Path(wanted)
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if wanted == "never":
        if PartialState().is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
        return None
    if last is None:
        return None
    before = load_config(VisionConfig, output / CONFIG_NAME) if (output / CONFIG_NAME).is_file() else config
    for name, was, now in (("model.base", before.model.base, config.model.base), ("lora", before.lora, config.lora)):
        if was != now:
            raise UserError(
                f"{folder} holds checkpoints of a run with {name}={was}, this one has {now}; "
                "choose another output, or start over with training.resume=never"
            )
    return Path(last)


def _done_before(config: VisionConfig, output: Path, checkpoint: Path) -> Trained | None:
    """What a run left that went to its end; to resume it would add a step. None where there is more to do."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    as_long = (output / CONFIG_NAME).is_file() and all(
        getattr(load_config(VisionConfig, output / CONFIG_NAME).training, name) == getattr(config.training, name)
        for name in ("max_steps", "epochs")
    )
    if not as_long or state["global_step"] < state["max_steps"] or not (output / METRICS).is_file():
        return None
    scores = read_metrics(output)
    history = [(int(row["step"]), float(row["loss"])) for row in scores.pop("history") if "loss" in row]
    return Trained(output, state["global_step"], False, tuple(history), scores)


def _finish(
    config: VisionConfig, trainer: Any, made: Any, training: LabeledData, trained_on: TrainedOn, *, interrupted: bool
) -> Trained:
    """Scores the best weights beside the baselines and writes everything that belongs to the model."""
    from protege.training.evaluate import evaluate

    history = [(int(row["step"]), float(row["loss"])) for row in trainer.state.log_history if "loss" in row]
    trainer.save_model(config.output)  # all processes take part
    found: dict[str, Any] = {}
    if trainer.held_back is not None and not interrupted:  # on every process, since a sharded model needs all of them
        model = trainer.accelerator.unwrap_model(trainer.model)
        found = evaluate(model, trainer.held_back, trainer.rows, train=training.columns).to_json()
    output = Path(config.output)
    if trainer.is_world_process_zero():
        card = ModelCard(
            kind="vision",
            base_model=config.model.base,
            space=training.shape.space,
            horizon=training.shape.horizon,
            frame_size=config.data.frame_size or _recorded_size(training),
            frame_hz=training.shape.frame_hz,
            chords=training.shape.chords,
            prompt_version=training.shape.prompt_version,
            config=to_fields(config),
        )
        about = {"trained_on": trained_on.to_json(), "history": trainer.state.log_history}
        write_outputs(output, card, made.processor, found, about)
        log.info("%s: %s", "interrupted, go on with the same command" if interrupted else "done", output)
    return Trained(output, trainer.state.global_step, interrupted, tuple(history), found)


def _recorded_size(data: LabeledData) -> tuple[int, int]:
    from PIL import Image

    with Image.open(data.path(0)) as image:
        return image.size


def read_metrics(folder: Path) -> dict[str, Any]:
    """metrics.json of a model's folder; UserError where it was not scored."""
    path = folder / METRICS
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); score the model with: protege score {folder}") from None
