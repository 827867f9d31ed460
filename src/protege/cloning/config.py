"""The configuration of a cloning run: one dataclass per section of configs/*.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from protege.cloning.models import options_of
from protege.cloning.models.base import ModelConfig
from protege.core.files import Json
from protege.errors import UserError
from protege.learn.checks import all_within, one_of, strictly_within, within
from protege.settings import build, read_fields

SCHEDULES: Final = ("cosine", "constant")
LOSSES: Final = ("bce", "focal")
PRECISIONS: Final = ("float32", "bfloat16")
BEST: Final = ("f1", "exact_match", "loss", "last")
AUTO: Final = "auto"
"""`system.coordinator` where JAX finds the other processes by itself: Slurm, Open MPI, TPU pods."""


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of training frames, on the device; none by default.

    crop: maximum random shift, pixels
    brightness, contrast, saturation: maximum relative change
    flip: probability of a mirrored sample, with its left and right actions exchanged
    temporal_jitter: probability that one older frame of a window is replaced by the one after it
    history_dropout: probability that all earlier frames of a window are replaced by the newest, so that a policy
        cannot lean on them alone
    """

    crop: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    flip: float = 0.0
    temporal_jitter: float = 0.0
    history_dropout: float = 0.0

    def __post_init__(self) -> None:
        within("dataset.augment.crop", self.crop, 0, 256)
        all_within("dataset.augment", self, ("brightness", "contrast", "saturation"), 0, 0.9)
        all_within("dataset.augment", self, ("flip", "temporal_jitter", "history_dropout"), 0, 1)


@dataclass(frozen=True)
class StateConfig:
    """Features of the game's state.

    ratios: hit points over their maximum
    relative: positions relative to the opponent
    distances: to the opponent
    directions: angles as unit vectors
    animations: animation numbers as indices into a vocabulary of the training episodes
    """

    ratios: bool = True
    relative: bool = True
    distances: bool = True
    directions: bool = True
    animations: bool = True


@dataclass(frozen=True)
class DatasetConfig:
    """Which episodes are read, and how.

    path: the zarr store
    train_ratio, val_ratio, test_ratio: shares of the episodes; they sum to 1
    split_seed: of the shuffle before the split
    normalize_frames: divide by 255 (on the device)
    use_state: read the game's state
    validate_episodes: leave out broken episodes; false: the first one stops the run
    frame_size: (height, width) that frames are scaled to, null as stored
    cache: folder of the uint8 cache, null beside the store
    channel_order: "rgb" or "bgr" (OpenCV's), for a store that does not say
    """

    path: str = "dataset/episodes.zarr"
    train_ratio: float = 0.8
    val_ratio: float = 0.1
    test_ratio: float = 0.1
    split_seed: int = 42
    normalize_frames: bool = True
    use_state: bool = False
    validate_episodes: bool = True
    frame_size: tuple[int, int] | None = None
    cache: str | None = None
    channel_order: str | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    state: StateConfig = field(default_factory=StateConfig)

    def __post_init__(self) -> None:
        all_within("dataset", self, ("train_ratio", "val_ratio", "test_ratio"), 0, 1)
        within("dataset.split_seed", self.split_seed, 0, 2**32 - 1)
        if abs(sum(self.ratios) - 1) > 1e-6:
            raise UserError(
                f"dataset: train_ratio, val_ratio and test_ratio sum to 1, got {sum(self.ratios):g}; with none to test "
                "on: dataset.test_ratio=0"
            )
        if self.frame_size is not None and not (min(self.frame_size) >= 8 and max(self.frame_size) <= 4096):
            raise UserError(f"dataset.frame_size is [height, width] from 8 to 4096 pixels, got {list(self.frame_size)}")
        if self.channel_order is not None:
            one_of("dataset.channel_order", self.channel_order, ("rgb", "bgr"))

    @property
    def ratios(self) -> tuple[float, float, float]:
        return self.train_ratio, self.val_ratio, self.test_ratio


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate of a step: linear warm-up, then constant or a cosine decay.

    type: "cosine" or "constant"
    warmup_epochs: length of the warm-up
    min_lr: at the end of the cosine
    """

    type: str = "cosine"
    warmup_epochs: float = 0.5
    min_lr: float = 1e-5

    def __post_init__(self) -> None:
        one_of("training.lr_schedule.type", self.type, SCHEDULES)
        within("training.lr_schedule.warmup_epochs", self.warmup_epochs, 0, 1e6)
        within("training.lr_schedule.min_lr", self.min_lr, 0, 1)


@dataclass(frozen=True)
class LossConfig:
    """The loss of an action.

    type: "bce" or "focal"
    gamma, alpha: of the focal loss; alpha is the weight of held keys
    onset_weight: weight of time steps at which a key changes; 1 is that of all others
    """

    type: str = "bce"
    gamma: float = 2.0
    alpha: float = 0.5
    onset_weight: float = 1.0

    def __post_init__(self) -> None:
        one_of("training.loss.type", self.type, LOSSES)
        within("training.loss.gamma", self.gamma, 0, 10)
        within("training.loss.alpha", self.alpha, 0, 1)
        within("training.loss.onset_weight", self.onset_weight, 1, 1000)


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """patience: evaluations without improvement before training stops, 0 never
    min_delta: the least improvement that counts
    """

    patience: int = 0
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        within("training.early_stopping.patience", self.patience, 0, 1e6)
        within("training.early_stopping.min_delta", self.min_delta, 0, 1e6)


@dataclass(frozen=True)
class TrainingConfig:
    """The optimiser, its schedule and loss, and where the model is saved.

    batch_size: global, over all devices
    num_epochs, max_steps: training stops at whichever comes first; 0 steps: after the epochs
    learning_rate, weight_decay, grad_clip_norm: of AdamW; a norm of 0 does not clip
    accumulation: gradient-accumulation steps
    precision: of the arithmetic; weights stay float32
    use_class_weights, class_weight_cap: rare actions weigh more, at most this much
    label_smoothing: share of the label that is spread to both sides
    checkpoint_dir: the model's folder
    save_every_n_epochs: checkpoints that are kept for good
    keep_last_n_checkpoints: kept beside them
    resume: "auto" resumes the run in this folder, "never" starts over
    """

    batch_size: int = 32
    num_epochs: int = 10
    max_steps: int = 0
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    grad_clip_norm: float = 1.0
    accumulation: int = 1
    precision: str = "float32"
    use_class_weights: bool = True
    class_weight_cap: float = 10.0
    label_smoothing: float = 0.0
    checkpoint_dir: str = "models/cloning/pure_cnn"
    save_every_n_epochs: int = 5
    keep_last_n_checkpoints: int = 3
    resume: str = "auto"
    lr_schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)

    def __post_init__(self) -> None:
        within("training.batch_size", self.batch_size, 1, 65_536)
        counts = ("num_epochs", "accumulation", "save_every_n_epochs", "keep_last_n_checkpoints")
        all_within("training", self, counts, 1, 1e9)
        within("training.max_steps", self.max_steps, 0, 1e12)
        strictly_within("training.learning_rate", self.learning_rate, 0, 1)
        within("training.weight_decay", self.weight_decay, 0, 10)
        within("training.grad_clip_norm", self.grad_clip_norm, 0, 1e6)
        within("training.class_weight_cap", self.class_weight_cap, 1, 1e6)
        within("training.label_smoothing", self.label_smoothing, 0, 0.49)
        one_of("training.precision", self.precision, PRECISIONS)
        one_of("training.resume", self.resume, ("auto", "never"))


@dataclass(frozen=True)
class EvaluationConfig:
    """Scoring on the validation episodes.

    eval_every_n_epochs: how often
    metrics_threshold: probability from which a key counts as held, until thresholds are tuned
    tune_thresholds: choose a threshold per action
    onset_buffer_frames: tolerance between a predicted press and the true one
    best: the score that chooses the checkpoint that plays, or "last"
    """

    eval_every_n_epochs: int = 1
    metrics_threshold: float = 0.5
    tune_thresholds: bool = True
    onset_buffer_frames: int = 5
    best: str = "loss"

    def __post_init__(self) -> None:
        within("evaluation.eval_every_n_epochs", self.eval_every_n_epochs, 1, 1e9)
        within("evaluation.metrics_threshold", self.metrics_threshold, 0, 1)
        within("evaluation.onset_buffer_frames", self.onset_buffer_frames, 0, 1000)
        one_of("evaluation.best", self.best, BEST)


@dataclass(frozen=True)
class LoggingConfig:
    """What is logged beside log.jsonl in the model's folder; nothing leaves the machine by default.

    use_wandb, wandb_project, wandb_entity, wandb_run_name: Weights & Biases
    wandb_mode: "offline" keeps runs in the model's folder, "online" sends them
    use_tensorboard: write its events into the model's folder
    log_every_n_steps: how often
    log_gradients: the gradient's norm, too
    """

    use_wandb: bool = False
    wandb_project: str = "protege"
    wandb_entity: str | None = None
    wandb_run_name: str | None = None
    wandb_mode: str = "offline"
    use_tensorboard: bool = False
    log_every_n_steps: int = 50
    log_gradients: bool = False

    def __post_init__(self) -> None:
        one_of("logging.wandb_mode", self.wandb_mode, ("offline", "online"))
        within("logging.log_every_n_steps", self.log_every_n_steps, 1, 1e9)


@dataclass(frozen=True)
class SystemConfig:
    """The machine.

    seed: of weights, order, dropout and augmentation
    num_workers: threads that read batches ahead; 0 reads them in the loop
    pin_memory: put the next batch on the device while a step runs
    devices: how many to train on, 0 all
    compile_cache: folder of compiled steps for the next start, null none
    coordinator: "host:port" of process 0 where several train together, "auto" where their launcher knows it
    num_processes, process_id: how many, and which one this is, from 0 on
    """

    seed: int = 42
    num_workers: int = 2
    pin_memory: bool = True
    devices: int = 0
    compile_cache: str | None = "~/.cache/protege/jax"
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        within("system.seed", self.seed, 0, 2**32 - 1)
        within("system.num_workers", self.num_workers, 0, 64)
        within("system.devices", self.devices, 0, 1e6)
        if self.coordinator in (None, AUTO):
            if (self.num_processes, self.process_id) != (None, None):
                raise UserError("system.num_processes and system.process_id go with system.coordinator=host:port")
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdigit() or self.num_processes is None or self.process_id is None:
            raise UserError(
                f"system.coordinator is host:port, with system.num_processes and system.process_id, or {AUTO}; "
                f"got {self.coordinator!r} with {self.num_processes} and {self.process_id}"
            )
        within("system.num_processes", self.num_processes, 1, 1e6)
        within("system.process_id", self.process_id, 0, self.num_processes - 1)


@dataclass(frozen=True)
class CloningConfig:
    """One cloning run."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    system: SystemConfig = field(default_factory=SystemConfig)


def load(path: Path | None = None, overrides: Sequence[str] = ()) -> CloningConfig:
    """A YAML file with overrides such as "training.batch_size=64"; UserError names what does not fit.

    `model.name` decides which fields the section `model` has.
    """
    return from_fields(read_fields(path, overrides, "cloning"))


def alone(config: CloningConfig) -> CloningConfig:
    """The configuration without its processes, which belong to one start and are not saved."""
    return replace(config, system=replace(config.system, coordinator=None, num_processes=None, process_id=None))


def from_fields(fields: Mapping[str, Json]) -> CloningConfig:
    """The inverse of `settings.to_fields`."""
    model = fields.get("model") or {}
    name = model.get("name", ModelConfig.name) if isinstance(model, Mapping) else ModelConfig.name
    kind = options_of(name) if isinstance(name, str) else ModelConfig
    sections = {name: section for name, section in fields.items() if name != "model"}
    if isinstance(data := sections.get("dataset"), Mapping):
        sections["dataset"] = _with_test_ratio(data)
    rest = build(CloningConfig, sections)
    return replace(rest, model=build(kind, model, "model."))


def _with_test_ratio(data: Mapping[str, Json]) -> Mapping[str, Json]:
    """The section dataset; without a test_ratio, as in the source documents, it is what the other two leave."""
    train, validation = data.get("train_ratio"), data.get("val_ratio")
    if "test_ratio" in data or not isinstance(train, int | float) or not isinstance(validation, int | float):
        return data
    rest = round(1 - train - validation, 9)
    return {**data, "test_ratio": rest} if 0 <= rest <= 1 else data
