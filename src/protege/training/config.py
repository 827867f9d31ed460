"""The settings of a fine-tuning run: the fields of configs/vision_lora.yaml, checked when they are read."""

import re
from dataclasses import dataclass, field
from typing import Final

from protege.core.history import LEAST_SCALE, MOST_FRAMES, MOST_STRIDE, History
from protege.errors import UserError
from protege.learn.checks import all_within, not_empty, one_of, strictly_within, within

BASE_8B: Final = "unsloth/Qwen3-VL-8B-Instruct-unsloth-bnb-4bit"
LOSSES: Final = ("answer", "actions")
BEST: Final = ("first_action_accuracy", "exact_chunk", "macro_f1", "cross_entropy", "loss")
SCHEDULES: Final = ("linear", "cosine", "constant", "constant_with_warmup")
OPTIMIZERS: Final = (
    *("auto", "adamw_torch", "adamw_torch_fused", "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_32bit"),
    *(
        "paged_adamw_8bit",
        "ademamix",
        "ademamix_8bit",
        "lion_32bit",
        "lion_8bit",
        "paged_lion_32bit",
        "paged_lion_8bit",
    ),
    *("rmsprop", "rmsprop_bnb", "rmsprop_bnb_8bit", "adafactor", "sgd", "adagrad"),
)
"""Of transformers' names, those that need no further library."""
DEVICE: Final = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d{1,3})?")
LARGEST_FRAME: Final = 4096
"""Pixels of a side: far above any picture that a model of this kind is given."""
REPORTERS: Final = ("tensorboard", "wandb", "trackio", "none")


@dataclass(frozen=True)
class ModelOptions:
    """The base model.

    base: a folder, or a name on the hub.
    four_bit: NF4 with double quantisation.
    device: "auto", "cpu" or one such as "cuda:0".
    unsloth: "auto" uses it where it is installed and a CUDA device is there, "never" does not, "always" insists.
    """

    base: str = BASE_8B
    four_bit: bool = True
    device: str = "auto"
    unsloth: str = "auto"

    def __post_init__(self) -> None:
        one_of("model.unsloth", self.unsloth, ("auto", "never", "always"))
        if not DEVICE.fullmatch(self.device):
            raise UserError(f"model.device is auto, cpu, cuda or one such as cuda:0; got {self.device!r}")
        not_empty("model.base", self.base, "a model's folder, or a name on the hub")


@dataclass(frozen=True)
class HistoryOptions:
    """Earlier frames that the model sees beside the newest one.

    frames: how many at most, 0 for none.
    stride: frames of the recording from one to the next.
    scale: of their width and height, beside the newest frame's.
    dropout: probability that a training sample shows none.
    """

    frames: int = 0
    stride: int = 10
    scale: float = 0.5
    dropout: float = 0.2

    def __post_init__(self) -> None:
        within("data.history.frames", self.frames, 0, MOST_FRAMES)
        within("data.history.stride", self.stride, 1, MOST_STRIDE)
        within("data.history.scale", self.scale, LEAST_SCALE, 1)
        within("data.history.dropout", self.dropout, 0, 1)

    @property
    def shown(self) -> History | None:
        """What the model's card says of it."""
        return History(self.frames, self.stride, self.scale) if self.frames else None


@dataclass(frozen=True)
class DataOptions:
    """The training data.

    folder: labeled segments.
    validation: share of the samples held out for scores, as whole recordings.
    split_seed: which recordings those are; the same as `protege export --seed`.
    frame_size: (width, height) that the model sees, null as recorded.
    limit: most samples to train on, null for all.
    workers: processes that decode pictures.
    paraphrases: ask in any of the wordings that a segment lists.
    balance: sample by the inverse frequency of the first action.
    balance_cap: greatest weight of a sample, times the mean.
    change_weight: how often a sample whose actions change is drawn for one whose actions stay the same; not with
    `balance`.
    rehearsal: share of each batch that is drawn from data which the model was trained on before and which is not in
    `folder`; 0 for none. Only where a run begins with such a model.
    earlier: folders of that data, empty for where it lay then.
    history: earlier frames beside the newest one.
    """

    folder: str = "dataset/labeled_segments"
    validation: float = 0.1
    split_seed: int = 0
    frame_size: tuple[int, int] | None = None
    limit: int | None = None
    workers: int = 2
    paraphrases: bool = False
    balance: bool = False
    balance_cap: float = 5.0
    change_weight: float = 1.0
    rehearsal: float = 0.25
    earlier: tuple[str, ...] = ()
    history: HistoryOptions = field(default_factory=HistoryOptions)

    def __post_init__(self) -> None:
        within("data.validation", self.validation, 0, 0.9)
        within("data.workers", self.workers, 0, 64)
        within("data.balance_cap", self.balance_cap, 1, 1e6)
        within("data.change_weight", self.change_weight, 1, 100)
        if self.balance and self.change_weight > 1:
            raise UserError("data.balance and data.change_weight both weigh samples; give one of them")
        within("data.rehearsal", self.rehearsal, 0, 0.9)
        if self.limit is not None:
            within("data.limit", self.limit, 1, 1e12)
        within("data.split_seed", self.split_seed, -(2**63), 2**63)
        if self.frame_size is not None and not all(32 <= side <= LARGEST_FRAME for side in self.frame_size):
            raise UserError(
                f"data.frame_size is [width, height] of 32 to {LARGEST_FRAME} pixels, got {list(self.frame_size)}"
            )


@dataclass(frozen=True)
class AugmentOptions:
    """Augmentation of training pictures, none by default.

    brightness: greatest share by which a picture gets lighter or darker.
    blur: greatest radius, pixels.
    shift: maximum random shift, pixels.
    flip: probability of mirroring, which exchanges left and right, a and d in the answer. Samples whose goal says left
    or right are never mirrored.
    """

    brightness: float = 0.0
    blur: float = 0.0
    shift: int = 0
    flip: float = 0.0

    def __post_init__(self) -> None:
        within("augment.brightness", self.brightness, 0, 0.9)
        within("augment.blur", self.blur, 0, 10)
        within("augment.shift", self.shift, 0, 64)
        within("augment.flip", self.flip, 0, 1)

    @property
    def any(self) -> bool:
        return bool(self.brightness or self.blur or self.shift or self.flip)


@dataclass(frozen=True)
class LoraOptions:
    """The LoRA adapter. r: rank; alpha: scale; language, vision: whether these layers get one."""

    r: int = 16
    alpha: int = 16
    dropout: float = 0.05
    language: bool = True
    vision: bool = True

    def __post_init__(self) -> None:
        within("lora.r", self.r, 1, 1024)
        within("lora.alpha", self.alpha, 1, 1e6)
        within("lora.dropout", self.dropout, 0, 0.9)
        if not (self.language or self.vision):
            raise UserError("lora.language and lora.vision are both off: there is nothing to train")


@dataclass(frozen=True)
class TrainingOptions:
    """The optimisation, its checkpoints and its scores.

    max_steps: optimiser steps, -1 for as many as `epochs` make.
    batch: samples per device and forward pass.
    accumulation: gradient-accumulation steps.
    loss: "answer" learns every token of the answer, "actions" only those that spell actions.
    best: the validation score by which the best checkpoint is chosen.
    patience: evaluations without a better score before training stops, 0 never stops.
    score_samples: most validation samples of an evaluation.
    log_steps, save_steps, eval_steps: steps between log lines, checkpoints, evaluations; 0 means once an epoch.
    keep: checkpoints kept.
    resume: "auto", "never" or a checkpoint's folder.
    """

    learning_rate: float = 2e-4
    epochs: float = 3.0
    max_steps: int = -1
    batch: int = 2
    accumulation: int = 4
    schedule: str = "linear"
    warmup_steps: int = 10
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    optimizer: str = "auto"
    gradient_checkpointing: bool = True
    loss: str = "answer"
    best: str = "first_action_accuracy"
    patience: int = 0
    score_samples: int = 500
    log_steps: int = 10
    save_steps: int = 0
    eval_steps: int = 0
    keep: int = 2
    seed: int = 3407
    resume: str = "auto"
    report_to: str = "tensorboard"

    def __post_init__(self) -> None:
        one_of("training.loss", self.loss, LOSSES)
        one_of("training.schedule", self.schedule, SCHEDULES)
        one_of("training.report_to", self.report_to, REPORTERS)
        strictly_within("training.learning_rate", self.learning_rate, 0, 1)
        one_of("training.optimizer", self.optimizer, OPTIMIZERS)
        one_of("training.best", self.best, BEST)
        if not 0 < self.epochs <= 1e6:
            raise UserError(f"training.epochs lies above 0 and up to 1000000, got {self.epochs}")
        if self.max_steps != -1 and not 1 <= self.max_steps <= 1e9:
            raise UserError(f"training.max_steps is -1 (as many as training.epochs) or 1 to 1e9, got {self.max_steps}")
        within("training.weight_decay", self.weight_decay, 0, 10)
        within("training.max_grad_norm", self.max_grad_norm, 0, 1e6)
        within("training.seed", self.seed, 0, 2**32 - 1)
        all_within("training", self, ("batch", "accumulation", "log_steps", "keep", "score_samples"), 1, 1e9)
        all_within("training", self, ("save_steps", "eval_steps", "patience", "warmup_steps"), 0, 1e9)


@dataclass(frozen=True)
class VisionConfig:
    """All settings of a fine-tuning run. output: the folder of the adapter."""

    output: str = "models/gameplay_agent_lora"
    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    lora: LoraOptions = field(default_factory=LoraOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)

    def __post_init__(self) -> None:
        not_empty("output", self.output, "a folder for the model")
