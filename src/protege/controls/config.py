"""The settings of the control transformer: the fields of configs/controls.yaml, checked when they are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protege.controls import tables
from protege.errors import UserError
from protege.learn.checks import all_within, not_empty, one_of, within

LOSS_WEIGHTS: Final = {"action": 1.0, "look": 0.5, "hotbar": 0.3, "cursor": 0.5, "inventory": 0.3, "idle": 0.3}
"""The six losses, in the order of the console table."""

WEIGHTINGS: Final = ("masked", "seed000")
POS_WEIGHTS: Final = ("negatives", "seed000")
SWEEPS: Final = ("seed001", "seed000")
FILES: Final = ("seed001", "seed000")
PRECISIONS: Final = ("auto", "float32", "mixed")


@dataclass(frozen=True)
class Architecture:
    """The model's sizes, as its configuration file has them; the defaults make 3,510,429 parameters."""

    input_dim: int = tables.INPUT
    d_model: int = 256
    nhead: int = 8
    num_layers: int = 6
    dim_feedforward: int = 512
    dropout: float = 0.3
    max_seq_len: int = tables.WINDOW
    num_action_controls: int = len(tables.HEADS["action"])
    num_look_controls: int = len(tables.HEADS["look"])
    num_hotbar_slots: int = len(tables.HEADS["hotbar"])
    num_cursor_controls: int = len(tables.HEADS["cursor"])
    num_inv_controls: int = len(tables.HEADS["inventory"])

    def __post_init__(self) -> None:
        within("model.dropout", self.dropout, 0, 0.9)
        for name, most in (("d_model", 4096), ("nhead", 256), ("num_layers", 96), ("dim_feedforward", 16_384)):
            within(f"model.{name}", getattr(self, name), 1, most)
        if self.d_model % self.nhead or self.d_model % 2:
            raise UserError(f"model.d_model is even and a multiple of model.nhead, got {self.d_model} and {self.nhead}")
        fixed = {"input_dim": tables.INPUT, "max_seq_len": tables.WINDOW}
        found = {"input_dim": self.input_dim, "max_seq_len": self.max_seq_len}
        expected = fixed | {head: len(columns) for head, columns in tables.HEADS.items()}
        for name, size in (found | dict(self.heads)).items():
            if size != expected[name]:
                raise UserError(f"model: {name} is {expected[name]} in protege's tables of controls, got {size}")

    @property
    def heads(self) -> Mapping[str, int]:
        """Number of outputs of each head."""
        sizes = (
            self.num_action_controls,
            self.num_look_controls,
            self.num_hotbar_slots,
            self.num_cursor_controls,
            self.num_inv_controls,
        )
        return dict(zip(tables.HEAD_NAMES, sizes, strict=True))


@dataclass(frozen=True)
class DataOptions:
    """The recordings and how they become windows.

    recordings: files, or folders of .npz files.
    validation, test: share of the recordings of each type held out for choosing the model and for the last scores.
    augment: trim, warp and noise, drawn anew each epoch.
    look_rule: when a look target counts, "norm" (its length over 0.08) or "any" (either axis, as in 000).
    history_dropout: probability that a window is shown without its history.
    history_dropout_by: "window", or "frame" (as in 000), where each of the five frames of history is lost by itself.
    """

    recordings: tuple[str, ...] = ("recordings",)
    validation: float = 0.2
    test: float = 0.2
    augment: bool = True
    look_rule: str = "norm"
    history_dropout: float = 0.3
    history_dropout_by: str = "window"

    def __post_init__(self) -> None:
        if not self.recordings:
            raise UserError("data.recordings is empty; give files, or folders of .npz files")
        one_of("data.look_rule", self.look_rule, ("norm", "any"))
        one_of("data.history_dropout_by", self.history_dropout_by, ("window", "frame"))
        all_within("data", self, ("validation", "test"), 0.01, 0.8)
        within("data.history_dropout", self.history_dropout, 0, 1)


@dataclass(frozen=True)
class TrainingOptions:
    """The optimisation.

    final_rate: the learning rate of the last step.
    patience: epochs without a better combined score before training stops, 0 never stops.
    loss_weighting: "masked" means, or "seed000", the formula of the source document 000 with its double masking.
    pos_weight: min(negatives / positives, 50), or "seed000", min(all / (2 positives), 50).
    thresholds: the sweep, of "seed001" or of "seed000".
    precision: "auto" is mixed on CUDA.
    threads: of PyTorch, 0 as it chooses.
    checkpoint_steps: steps between checkpoints, besides one each epoch; 0 for none.
    resume: "auto" resumes the run in the same folder, "never" starts over (true and false mean the same).
    """

    batch_size: int = 64
    learning_rate: float = 5e-4
    final_rate: float = 1e-6
    weight_decay: float = 1e-4
    warmup_epochs: float = 5.0
    epochs: int = 150
    patience: int = 25
    max_grad_norm: float = 1.0
    loss_weighting: str = "masked"
    pos_weight: str = "negatives"
    thresholds: str = "seed001"
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    seed: int = 42
    checkpoint_steps: int = 500
    resume: str = "auto"

    def __post_init__(self) -> None:
        one_of("training.loss_weighting", self.loss_weighting, WEIGHTINGS)
        one_of("training.pos_weight", self.pos_weight, POS_WEIGHTS)
        one_of("training.thresholds", self.thresholds, SWEEPS)
        one_of("training.precision", self.precision, PRECISIONS)
        old = {"true": "auto", "false": "never"}
        object.__setattr__(self, "resume", old.get(str(self.resume).lower(), self.resume))
        one_of("training.resume", self.resume, ("auto", "never"))
        if not 0 < self.final_rate <= self.learning_rate < 1:
            raise UserError(
                "training.learning_rate lies below 1 and training.final_rate above 0 and not above it, "
                f"got {self.learning_rate} and {self.final_rate}"
            )
        all_within("training", self, ("batch_size", "epochs"), 1, 1e6)
        all_within("training", self, ("patience", "warmup_epochs", "checkpoint_steps", "weight_decay", "seed"), 0, 1e9)
        within("training.threads", self.threads, 0, 1024)
        within("training.max_grad_norm", self.max_grad_norm, 1e-9, 1e9)


@dataclass(frozen=True)
class Stage:
    """A stage of the curriculum.

    controls: those that learn; the outputs of the others stay as they are.
    windows: which windows are trained on, by their target: "movement" (no screen open, no control of a later stage
    pressed), "gameplay" (no screen open) or "all".
    """

    name: str
    controls: tuple[str, ...]
    windows: str


_MOVEMENT: Final = (
    *("move_forward", "move_backward", "strafe_left", "strafe_right", "sprint", "sneak", "jump"),
    *("look_yaw", "look_pitch"),
)
_COMBAT: Final = (*_MOVEMENT, "attack", "use_item", "drop_item", "swap_offhand")

STAGES: Final = (
    Stage("movement", _MOVEMENT, "movement"),
    Stage("combat", _COMBAT, "gameplay"),
    Stage("inventory", tables.NAMES, "all"),
)
WHOLE: Final = (Stage("all", tables.NAMES, "all"),)


@dataclass(frozen=True)
class CurriculumOptions:
    """The curriculum: movement, then combat, then all. epochs: of the first two stages; the third has the rest."""

    enabled: bool = False
    epochs: tuple[int, int] = (20, 20)

    def __post_init__(self) -> None:
        for length in self.epochs:
            within("curriculum.epochs", length, 1, 1e6)


@dataclass(frozen=True)
class ControlsConfig:
    """All settings of a run.

    output: the folder of the model.
    files: names and form of what is written, "seed001" (_v2, nested) or "seed000" (flat).
    """

    output: str = "models"
    files: str = "seed001"
    data: DataOptions = field(default_factory=DataOptions)
    model: Architecture = field(default_factory=Architecture)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    curriculum: CurriculumOptions = field(default_factory=CurriculumOptions)

    def __post_init__(self) -> None:
        one_of("files", self.files, FILES)
        not_empty("output", self.output, "a folder for the model")
        if self.curriculum.enabled and sum(self.curriculum.epochs) >= self.training.epochs:
            raise UserError(
                f"curriculum.epochs are {list(self.curriculum.epochs)}, which leaves none of training.epochs="
                f"{self.training.epochs} for the third stage; raise training.epochs"
            )

    @property
    def stages(self) -> tuple[Stage, ...]:
        return STAGES if self.curriculum.enabled else WHOLE

    def stage(self, epoch: int) -> Stage:
        """The stage of an epoch, counted from 0."""
        if not self.curriculum.enabled:
            return WHOLE[0]
        first, second = self.curriculum.epochs
        return STAGES[(epoch >= first) + (epoch >= first + second)]
