"""`protege score` and `protege compare`: models on labeled data, as a table, metrics.json and a page."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protege.core.card import CARD_NAME, ModelCard
from protege.core.files import locked, write_json
from protege.core.together import require_settled
from protege.errors import UserError
from protege.learn.progress import Progress
from protege.training.data import LabeledData
from protege.training.score import METRICS, NUMBERS, Scores, table
from protege.training.split import TrainedOn
from protege.vlm.load import base_of, is_adapter, load_model, load_processor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreOptions:
    """samples: at most so many, evenly spread; only_held_back: leave out the recordings that the model, as its
    metrics.json says, was trained on; untuned_base: score an adapter's base too; page: an HTML file to write; out: a
    JSON file to write. four_bit, device: as in training.
    """

    samples: int = 1000
    only_held_back: bool = False
    untuned_base: bool = True
    four_bit: bool = False
    device: str = "auto"
    page: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"at least one sample is scored, got {self.samples}")


@dataclass(frozen=True)
class Judged:
    """A model's scores, and which samples they are of with what was predicted."""

    name: str
    scores: Scores
    data: LabeledData
    rows: NDArray[np.int64]
    predictions: Any


def score_model(
    model: str | Path, folder: Path, options: ScoreOptions | None = None, progress: Progress = lambda *_: None
) -> Judged:
    """Score a model's folder (or a hub name) on labeled data; writes page and JSON where asked to."""
    options = options or ScoreOptions()
    require_settled(Path(model))
    with writing(Path(model), options.page, options.out):
        return _score_model(model, folder, options, progress)


@contextmanager
def writing(model: Path, *files: Path | None) -> Iterator[None]:
    """Holds the lock of a model's folder where one of the files is to be written into it."""
    inside = any(file is not None and file.resolve().is_relative_to(model.resolve()) for file in files)
    with locked(model, "protege score") if inside and model.is_dir() else nullcontext():
        yield


def _score_model(model: str | Path, folder: Path, options: ScoreOptions, progress: Progress) -> Judged:
    from protege.training.collate import Collator
    from protege.training.evaluate import evaluate
    from protege.vlm.inputs import Tokens
    from protege.vlm.pixels import PixelSpec

    data = LabeledData.open(folder)
    card = ModelCard.load(Path(model)) if (Path(model) / CARD_NAME).is_file() else None
    if card is not None:
        shape = data.shape
        card.require(kind="vision", space=shape.space, horizon=shape.horizon, prompt_version=shape.prompt_version)
    train, data = _parts(model, data, options)
    source = model if not is_adapter(model) or (Path(model) / "tokenizer.json").is_file() else base_of(Path(model))
    processor = load_processor(source)
    collator = Collator(
        data,
        Tokens(processor, data.shape.space, data.shape.horizon),
        PixelSpec.of(processor),
        frame_size=card.frame_size if card else None,
    )
    loaded = load_model(model, four_bit=options.four_bit, device=options.device)
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), options.samples)).astype(np.int64))
    kept: list[Any] = []
    rates = train.columns if train is not None else None
    found = evaluate(
        loaded, collator, rows, train=rates, progress=progress, keep=kept, untuned_base=options.untuned_base
    )
    judged = Judged(str(model), found, data, rows, kept[0])
    if options.out is not None:
        write_json(options.out, found.to_json())
    if options.page is not None:
        from protege.training.page import write_page

        write_page(judged, options.page)
    return judged


def _parts(model: str | Path, data: LabeledData, options: ScoreOptions) -> tuple[LabeledData | None, LabeledData]:
    """What of the data the model was trained on, if it can tell and has to, and what to score."""
    if not options.only_held_back:
        return None, data
    from protege.training.outputs import read_metrics

    trained, held_back = TrainedOn.from_json(read_metrics(Path(model)).get("trained_on")).part(data)
    if not len(held_back):
        raise UserError(f"{model}: it was trained on all of this data; score other recordings, or all of these")
    return trained if len(trained) else None, held_back


def compare(
    models: Sequence[str | Path],
    folder: Path | None = None,
    options: ScoreOptions | None = None,
    progress: Progress = lambda *_: None,
) -> str:
    """Models side by side, as a table: their own metrics.json, or all scored anew on `folder`."""
    from protege.training.outputs import read_metrics

    results: dict[str, Any] = {}
    for model in models:
        name = Path(model).name
        name = name if name not in results else str(model)
        found = read_metrics(Path(model)) if folder is None else score_model(model, folder, options, progress).scores
        results[name] = found if isinstance(found, dict) else found.to_json()
        if "first_action_accuracy" not in results[name]:
            raise UserError(f"{model}: its {METRICS} has no scores; score it on data with: protege score {model}")
        if bad := [key for key, value in results[name].items() if key in NUMBERS.values() and not _is_number(value)]:
            raise UserError(f"{model}: {bad[0]} in its {METRICS} is no number; score it with: protege score {model}")
    return table(results)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300)


def summary(judged: Judged) -> str:
    """The table of one model beside its baselines."""
    found = judged.scores.to_json()
    lines = [f"{found['samples']:,} samples", "", table({Path(judged.name).name: found, **found["baselines"]})]
    if swap := judged.scores.goal_swap:
        low, high = swap.interval
        lines += ["", f"another goal: the truth loses {swap.effect:.3f} nats a slot (95 %: {low:.3f} to {high:.3f}),"]
        lines += [f"and {swap.changed:.0%} of first actions change"]
    else:
        lines += ["", "the data has one goal only, so whether the model heeds it cannot be told"]
    return "\n".join(lines)
