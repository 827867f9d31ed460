"""Scoring and comparing models on labeled data (`protege score`, `protege compare`)."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protege.core.card import CARD_NAME, ModelCard
from protege.core.files import Json, locked, write_json
from protege.core.together import require_settled
from protege.errors import UserError
from protege.learn.progress import Progress, silent
from protege.training.data import LabeledData
from protege.training.judged import WORST_KEY, Judged, worst
from protege.training.page import write_page
from protege.training.score import METRICS, NUMBERS, table
from protege.training.split import TrainedOn
from protege.vlm.load import base_of, is_adapter, load_model, load_processor, require_vision

if TYPE_CHECKING:
    from protege.training.collate import Collator

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreOptions:
    """How a model is scored.

    samples: how many at most, evenly spread.
    only_held_back: leave out the recordings that the model was trained on, as its metrics.json says.
    of: the model whose recordings are left out, None for the scored one; so that two models are scored on the same.
    untuned_base: score an adapter's base too.
    four_bit, device: how the model is loaded, as in training.
    page, out: HTML and JSON files to write, None for none.
    """

    samples: int = 1000
    only_held_back: bool = False
    of: Path | None = None
    untuned_base: bool = True
    four_bit: bool = False
    device: str = "auto"
    page: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"at least one sample is scored, got {self.samples}")


def score_model(
    model: str | Path, folder: Path, options: ScoreOptions | None = None, progress: Progress = silent
) -> Judged:
    """Score a model's folder (or a hub name) on labeled data; writes page and JSON where asked to."""
    options = options or ScoreOptions()
    require_settled(Path(model))
    with writing(Path(model), options.page, options.out):
        judged = _score_model(model, folder, options, progress)
        if options.out is not None:
            write_json(options.out, {**judged.scores.to_json(), WORST_KEY: worst(judged)})
        if options.page is not None:
            write_page(judged, options.page)
    return judged


@contextmanager
def writing(model: Path, *files: Path | None) -> Iterator[None]:
    """Hold the lock of a model's folder if one of the files is to be written into it."""
    inside = any(file is not None and file.resolve().is_relative_to(model.resolve()) for file in files)
    with locked(model, "protege score") if inside and model.is_dir() else nullcontext():
        yield


def _score_model(model: str | Path, folder: Path, options: ScoreOptions, progress: Progress) -> Judged:
    require_vision()  # before peft is imported, which warns of what it does not need
    from protege.training.evaluate import evaluate

    train, collator, rows = asked(model, folder, options)
    loaded = load_model(model, four_bit=options.four_bit, device=options.device)
    rates = train.columns if train is not None else None
    found, predictions = evaluate(
        loaded, collator, rows, train=rates, progress=progress, untuned_base=options.untuned_base
    )
    return Judged(str(model), found, collator.data, rows, predictions)


def asked(
    model: str | Path, folder: Path, options: ScoreOptions
) -> "tuple[LabeledData | None, Collator, NDArray[np.int64]]":
    """What a model is asked: the data it was trained on (None if that does not matter), the rest, and rows of it."""
    from protege.training.collate import Collator
    from protege.vlm.inputs import Tokens
    from protege.vlm.pictures import pictures_of

    data = LabeledData.open(folder)
    card = ModelCard.load(Path(model)) if (Path(model) / CARD_NAME).is_file() else None
    if card is not None:
        shape = data.shape
        version = shape.prompt_version if card.history is None else card.needed_prompt
        card.require(kind="vision", space=shape.space, horizon=shape.horizon, prompt_version=version)
    train, data = _parts(model, data, options)
    source = model if not is_adapter(model) or (Path(model) / "tokenizer.json").is_file() else base_of(Path(model))
    processor = load_processor(source)
    collator = Collator(
        data,
        Tokens(processor, data.shape.space, data.shape.horizon),
        pictures_of(processor),
        frame_size=card.frame_size if card else None,
        history=card.history if card else None,
    )
    return train, collator, np.unique(np.linspace(0, len(data) - 1, min(len(data), options.samples)).astype(np.int64))


def _parts(model: str | Path, data: LabeledData, options: ScoreOptions) -> tuple[LabeledData | None, LabeledData]:
    """Split the data into what the model was trained on (None if that does not matter) and what to score."""
    if not options.only_held_back:
        return None, data
    from protege.training.outputs import read_metrics

    trained, held_back = TrainedOn.from_json(read_metrics(options.of or Path(model)).get("trained_on")).part(data)
    if not len(held_back):
        raise UserError(f"{model}: it was trained on all of this data; score other recordings, or all of these")
    return trained if len(trained) else None, held_back


def compare(
    models: Sequence[str | Path],
    folder: Path | None = None,
    options: ScoreOptions | None = None,
    progress: Progress = silent,
) -> str:
    """Models side by side, as a table: their own metrics.json, or all scored anew on `folder`."""
    from protege.training.outputs import read_metrics

    results: dict[str, dict[str, Json]] = {}
    for model in models:
        name = Path(model).name
        name = name if name not in results else str(model)
        if folder is None:
            results[name] = read_metrics(Path(model))
        else:
            results[name] = score_model(model, folder, options, progress).scores.to_json()
        if "first_action_accuracy" not in results[name]:
            raise UserError(f"{model}: its {METRICS} has no scores; score it on data with: protege score {model}")
        if bad := [key for key, value in results[name].items() if key in NUMBERS.values() and not _is_number(value)]:
            raise UserError(f"{model}: {bad[0]} in its {METRICS} is no number; score it with: protege score {model}")
    return table(results)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300)
