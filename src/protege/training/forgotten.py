"""How much a run forgot of what the model that it began with could do."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

from protege.core.files import Json
from protege.training.earlier import Earlier
from protege.training.predict import predict
from protege.training.sampling import evenly
from protege.training.start import BEFORE, CHECKPOINTS, load_adapter

if TYPE_CHECKING:
    from protege.training.model import Network
    from protege.training.trainer import ActionTrainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forgotten:
    """drop: of the accuracy of the first action on earlier samples, positive where it is worse than at the start."""

    drop: float
    samples: int

    def to_json(self) -> dict[str, Json]:
        return {"forgotten": self.drop, "forgotten_samples": self.samples}


def forgotten(trainer: "ActionTrainer", earlier: Earlier | None, output: Path, most: int) -> Forgotten | None:
    """Score a trained model, and what it was when its run began, on samples of earlier goals; None without samples.

    output: the model's folder; most: samples scored, evenly spread.
    """
    if earlier is None or not len(earlier.scored):
        return None
    model, progress = trainer.accelerator.unwrap_model(trainer.model), trainer.scoring
    collator = replace(trainer.collator, data=earlier.scored)
    rows = evenly(len(collator.data), most)
    first = collator.data.columns[rows, 0]
    now = predict(model, collator, rows, progress=partial(progress, "earlier goals")).pred[:, 0] == first
    with _as_it_began(model, output / CHECKPOINTS / BEFORE):
        before = predict(model, collator, rows, progress=partial(progress, "earlier goals, before")).pred[:, 0] == first
    log.info(
        "earlier goals, %s samples held back: first action %.3f, %.3f before",
        f"{len(rows):,}",
        now.mean(),
        before.mean(),
    )
    return Forgotten(float(before.mean() - now.mean()), len(rows))


@contextmanager
def _as_it_began(model: "Network", weights: Path) -> Iterator[None]:
    """The model with the adapter it began with, or without one where there was none, until the end of the block."""
    if not weights.is_dir():
        assert isinstance(model, PeftModel), "only adapters are trained"
        with model.disable_adapter():
            yield
        return
    now = {name: tensor.clone() for name, tensor in get_peft_model_state_dict(model).items()}
    load_adapter(model, weights)
    try:
        yield
    finally:
        set_peft_model_state_dict(model, now)
