"""A trained control transformer on disk: weights, configuration, training log, card."""

import importlib.util
import json
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.controls import tables
from protege.controls.config import Architecture, DataOptions
from protege.controls.metrics import Thresholds
from protege.controls.windows import SMALLEST_STD
from protege.core import files as storage
from protege.core.card import ModelCard
from protege.core.files import Json
from protege.core.text import one_line
from protege.errors import MissingExtra, UserError
from protege.settings import build, to_fields

if TYPE_CHECKING:
    from torch import Tensor

    from protege.controls.model import ControlTransformer

VERSION: Final = 2
SUFFIXES: Final = {"seed001": "_v2", "seed000": ""}
KIND: Final = "controls"

Fields = Mapping[str, Any]
"""A JSON object from a file, checked field by field."""
StateDict = dict[str, Any]
"""What torch calls one: of a model tensors by name, of an optimiser nested values."""


@dataclass(frozen=True)
class PostProcessing:
    """How predictions become what is held.

    hysteresis: added to a threshold to press, subtracted to release.
    deadzone: a look axis below it is 0.
    look_ema, cursor_ema: weight of the newest value in the moving average.
    look_rate_limit: greatest change of a look axis per decision.
    """

    hysteresis: float = 0.05
    deadzone: float = 0.08
    look_ema: float = 0.35
    look_rate_limit: float = 0.3
    cursor_ema: float = 0.5


@dataclass(frozen=True)
class ModelFiles:
    """The paths of one model's files, which lie beside each other."""

    weights: Path
    config: Path
    log: Path
    onnx: Path
    curves: Path
    page: Path

    @classmethod
    def named(cls, folder: Path, style: str = "seed001") -> Self:
        """Files of a folder under the names that the source documents give them: control_policy_v2.pt and so on."""
        end = SUFFIXES[style]
        return cls(
            folder / f"control_policy{end}.pt",
            folder / f"control_config{end}.json",
            folder / f"training_log{end}.json",
            folder / f"control_policy{end}.onnx",
            folder / f"control_curves{end}.png",
            folder / f"control_report{end}.html",
        )

    @classmethod
    def find(cls, path: Path) -> Self:
        """The model of a folder, or of a file such as models/control_policy_v2.pt; UserError if there is none."""
        named = [cls.named(path if path.is_dir() else path.parent, style) for style in SUFFIXES]
        found = [files for files in named if path in (files.weights, files.onnx) or path.is_dir()]
        for files in found:
            # Both styles may lie in one folder; the newer one comes first.
            if files.weights.is_file() and files.config.is_file():
                return files
        wanted = found[0] if found else named[0]
        raise UserError(
            f"{path}: expected {wanted.weights.name} and {wanted.config.name} there; train with: protege controls train"
        )


@dataclass(frozen=True)
class PolicyConfig:
    """The configuration beside weights.

    mean, deviation: (671,) float32 of the training rows, for the z-score.
    training: how it was trained and scored, for people; nothing reads it.
    """

    model: Architecture = field(default_factory=Architecture)
    thresholds: Thresholds = field(default_factory=Thresholds)
    post_processing: PostProcessing = field(default_factory=PostProcessing)
    mean: NDArray[np.float32] = field(default_factory=lambda: np.zeros(tables.INPUT, np.float32))
    deviation: NDArray[np.float32] = field(default_factory=lambda: np.ones(tables.INPUT, np.float32))
    training: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """The nested form, with the names, means and deviations that the flat form has."""
        return {
            "version": VERSION,
            "model": to_fields(self.model),
            "thresholds": {
                "action": list(self.thresholds.action),
                "hotbar_min_confidence": self.thresholds.hotbar,
                "inv_click": list(self.thresholds.inventory),
            },
            "post_processing": to_fields(self.post_processing),
            "control_names": list(tables.NAMES),
            "feature_mean": [float(value) for value in self.mean],
            "feature_std": [float(value) for value in self.deviation],
            "training": dict(self.training),
        }

    def to_flat_json(self) -> dict[str, Json]:
        """The flat form of the source document 000."""
        limits = self.thresholds
        named = dict(zip(tables.head_names("action"), limits.action, strict=True))
        named |= dict(zip(tables.head_names("inventory"), limits.inventory, strict=True))
        return {
            "version": VERSION,
            **to_fields(self.model),
            "control_names": list(tables.NAMES),
            "thresholds": {**named, "hotbar_min_confidence": limits.hotbar},
            "look_deadzone": self.post_processing.deadzone,
            "look_smoothing_alpha": self.post_processing.look_ema,
            "action_history_length": tables.HISTORY_FRAMES,
            "action_history_dropout": self.training.get("action_history_dropout", DataOptions.history_dropout),
            "game_state_dim": len(tables.STATE),
            "feature_mean": [float(value) for value in self.mean],
            "feature_std": [float(value) for value in self.deviation],
            "training": dict(self.training),
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """Of either form, also where names, means and deviations are missing; UserError for what does not fit."""
        names = fields.get("control_names", tables.NAMES)
        if not isinstance(names, list | tuple) or tuple(names) != tables.NAMES:
            found = one_line(repr(names), 200)
            raise UserError(f"control_names: expected {', '.join(tables.NAMES)}, in this order; got {found}")
        nested = "model" in fields
        training = fields.get("training", {})
        if not isinstance(training, Mapping) or not isinstance(fields.get("thresholds", {}), Mapping):
            raise UserError("training and thresholds: expected groups of keys")
        sizes = fields["model"] if nested else {n: fields[n] for n in to_fields(Architecture()) if n in fields}
        return cls(
            build(Architecture, sizes, "model."),
            _thresholds(fields.get("thresholds", {})),
            _post_processing(fields, nested),
            _features(fields, "feature_mean", 0.0),
            _features(fields, "feature_std", 1.0),
            training,
        )


def write_model(files: ModelFiles, weights: "Mapping[str, Tensor]", config: PolicyConfig, card: ModelCard) -> None:
    """Write weights (a state dict), configuration and card, each whole or not at all; an older ONNX file is removed.

    The configuration takes the flat form where the files carry the names of the source document 000.
    """
    import torch

    files.weights.parent.mkdir(parents=True, exist_ok=True)
    files.onnx.unlink(missing_ok=True)  # of other weights
    with storage.writing(files.weights.parent), storage.replacing(files.weights) as beside:
        torch.save(dict(weights), beside)
    flat = files.config.stem.endswith("config")
    write_json(files.config, config.to_flat_json() if flat else config.to_json())
    card.save(files.weights.parent)


def read_config(path: Path) -> PolicyConfig:
    """The configuration beside a model's weights, or the file itself. UserError if it cannot be used."""
    file = path if path.suffix == ".json" else ModelFiles.find(path).config
    try:
        fields = storage.read_json(file, finite=False)  # NaN is named below
        if not isinstance(fields, dict):
            raise TypeError("not an object")
        return PolicyConfig.from_json(fields)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; train with: protege controls train") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
        reason = one_line(repr(error), 200)
        raise UserError(f"{file}: not a control configuration ({reason}); train the model again") from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def load_model(path: Path) -> "tuple[ControlTransformer, PolicyConfig]":
    """A model, ready to predict on the CPU, and its configuration. UserError if they cannot be used."""
    files = ModelFiles.find(path)
    require_torch()
    from protege.controls.model import ControlTransformer

    config = read_config(files.config)
    weights = load_tensors(files.weights)
    try:
        _require_room(config.model, weights)
        model = ControlTransformer(config.model)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        reason = one_line(str(error).splitlines()[0], 200)
        raise UserError(f"{files.weights}: not the weights of {files.config.name} ({reason}); train again") from None
    return model.eval(), config


def _require_room(sizes: Architecture, weights: StateDict) -> None:
    """ValueError where the sizes need far more numbers than there are: that model could take any memory."""
    there = sum(int(tensor.numel()) for tensor in weights.values())
    if (claimed := sizes.num_layers * sizes.d_model * (sizes.d_model + sizes.dim_feedforward)) > there:
        raise ValueError(f"sizes for more than {claimed:,} numbers, {there:,} are there")


def require_torch() -> None:
    """MissingExtra where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("torch", "controls")


def load_tensors(path: Path, device: str = "cpu") -> Any:
    """What torch.save wrote, tensors and plain values only. UserError for anything else, which could run code."""
    require_torch()
    import torch

    try:
        length = storage.regular_size(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                if (claimed := sum(member.file_size for member in zipped.infolist())) > length:  # never compressed
                    raise ValueError(f"claims {claimed:,} bytes, and has {length:,}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual pickles, which the error below says better
            return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train with: protege controls train") from None
    except Exception as error:  # a damaged pickle can make its reader raise anything
        reason = one_line((str(error).strip().splitlines() or [repr(error)])[0], 200)
        raise UserError(f"{path}: not weights that can be read safely ({reason}); train the model again") from None


def write_json(path: Path, value: object) -> None:
    storage.write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def weights_card(config: Mapping[str, Json], frame_hz: float) -> ModelCard:
    """The card by which `agent.py --model` recognises these weights."""
    return ModelCard(kind=KIND, base_model="", horizon=1, frame_hz=frame_hz, config=config)


def _thresholds(fields: Fields) -> Thresholds:
    default = Thresholds()
    hotbar = float(fields.get("hotbar_min_confidence", default.hotbar))
    if "action" in fields or "inv_click" in fields:
        found = fields.get("action", default.action), fields.get("inv_click", default.inventory)
    else:  # by name
        found = tuple([fields.get(n, 0.5) for n in tables.head_names(head)] for head in ("action", "inventory"))
    action, inventory = (tuple(float(value) for value in values) for values in found)
    if not all(0 <= value <= 1 for value in (*action, hotbar, *inventory)):  # NaN, too, is not between them
        raise UserError("thresholds: expected probabilities, 0 to 1")
    if (len(action), len(inventory)) != (len(default.action), len(default.inventory)):
        raise UserError(f"thresholds: expected 12 of actions and 3 of clicks, got {len(action)} and {len(inventory)}")
    return Thresholds(action, hotbar, inventory)


def _post_processing(fields: Fields, nested: bool) -> PostProcessing:
    if nested:
        return build(PostProcessing, fields.get("post_processing", {}), "post_processing.")
    names = {"look_deadzone": "deadzone", "look_smoothing_alpha": "look_ema"}
    return build(PostProcessing, {names[name]: fields[name] for name in names if name in fields}, "post_processing.")


def _features(fields: Fields, name: str, default: float) -> NDArray[np.float32]:
    found: Sequence[float] | None = fields.get(name)
    if found is None or found == []:
        return np.full(tables.INPUT, default, np.float32)
    if not isinstance(found, list):
        raise UserError(f"{name}: expected {tables.INPUT} finite numbers, got {one_line(repr(found), 60)}")
    with np.errstate(over="ignore"):
        values = np.asarray(found, np.float32)
    if values.shape != (tables.INPUT,) or not np.isfinite(values).all():
        raise UserError(f"{name}: expected {tables.INPUT} finite numbers, got {values.shape}")
    return np.where(values < SMALLEST_STD, 1, values) if name == "feature_std" else values
