"""What the loop asks of a kind of model, and which kind a model's folder holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from protege.core.card import CARD_NAME, ModelCard
from protege.errors import UserError
from protege.improve.options import ImproveOptions
from protege.improve.state import Fitted, Labeled, Score

if TYPE_CHECKING:
    from protege.improve.steps import Turn


class Learner(Protocol):
    """A way to train that goes on from a model with more data, into a folder of its own."""

    @property
    def device(self) -> str:
        """On which the model plays: "auto", "cpu" or "cuda"."""
        ...

    def into(self, folder: Path) -> Self:
        """The same training, into another folder."""
        ...

    def add(self, turn: "Turn") -> Labeled:
        """Put a round's corrections beside what the model was trained on; those that are there are kept."""
        ...

    def fit(self, turn: "Turn") -> Fitted:
        """Train on everything, from the weights of the model kept so far; that model stays as it is."""
        ...

    def score_held_back(self, turn: "Turn", model: Path) -> Score:
        """Actions that are right in recordings that no model of the loop was trained on."""
        ...


def learner(options: ImproveOptions) -> Learner:
    """As the model was trained, with the overrides; UserError where it does not say, or is of another kind."""
    model = options.model
    if not (model / CARD_NAME).is_file():
        raise UserError(f"--model {model}: no fine-tuned model there; make one with: protege train output={model}")
    kind = ModelCard.load(model).kind
    if kind == "cloning":
        from protege.improve.pixels import Pixels

        return Pixels.of(options)
    from protege.improve.vision import Vision

    if kind != "vision":
        raise UserError(
            f"--model {model}: a model of kind {kind}; protege improve goes on with vision and cloning models"
        )
    return Vision.of(options)


def require_config(model: Path, name: str, command: str) -> Path:
    """The configuration in a model's folder; UserError without one."""
    if not (model / name).is_file():
        raise UserError(f"--model {model}: no {name} in it; protege improve goes on with what {command} made")
    return model / name
