"""Does a model answer the same everywhere: as the adapter, merged into its base, and behind a server?"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from protege.core.chat import prompt, read_reply
from protege.core.files import Json
from protege.core.text import one_line
from protege.errors import UserError
from protege.labeling.backends.base import Question
from protege.labeling.backends.openai import OpenAIServer
from protege.learn.progress import Progress, silent
from protege.training.judge import ScoreOptions, asked
from protege.vlm.family import FAMILIES
from protege.vlm.load import is_adapter, load_model, require_vision
from protege.vlm.pixels import fit, read_picture

if TYPE_CHECKING:
    from protege.training.collate import Collator
    from protege.training.predict import Predictions

ALIKE: Final = 0.99
"""Rounding makes ties fall otherwise now and then; below this share something else is the reason."""
LONGEST: Final = 200
"""Tokens of an answer that a server may take."""


@dataclass(frozen=True)
class CheckOptions:
    """What is compared, and how.

    samples: held-out samples at most; all_samples: also those that the model was trained on.
    server: the URL of an OpenAI-compatible server; served: the model's name there, None for its first.
    merged: the folder of merged weights, None merges them in memory.
    """

    samples: int = 200
    all_samples: bool = False
    server: str | None = None
    served: str | None = None
    merged: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Answers:
    """N first actions, None where an answer cannot be read, and their probabilities, None where nobody says them."""

    first: tuple[str | None, ...]
    probability: tuple[float, ...] | None = None

    def agreement(self, other: "Answers") -> float:
        """The share of equal first actions."""
        pairs = zip(self.first, other.first, strict=True)
        return float(np.mean([a == b and a is not None for a, b in pairs]))


@dataclass(frozen=True)
class Checked:
    """The answers by where they came from, "model" the first. files: of the N samples; said: what was noticed."""

    files: tuple[str, ...]
    answers: dict[str, Answers]
    said: tuple[str, ...] = field(default=())

    def figures(self) -> dict[str, float]:
        """samples, and of each other way `agreement_…` and, where it is known, `probability_difference_…`."""
        mine = self.answers["model"]
        found: dict[str, float] = {"samples": len(self.files)}
        for name, answers in self.answers.items():
            if name != "model":
                found[f"agreement_{name}"] = mine.agreement(answers)
            if name != "model" and mine.probability and answers.probability:
                apart = np.subtract(mine.probability, answers.probability)
                found[f"probability_difference_{name}"] = float(np.abs(apart).max())
        return found

    def to_json(self) -> dict[str, Json]:
        """The figures, what was noticed, and every sample."""
        rows: list[Json] = []
        for number, file in enumerate(self.files):
            row: dict[str, Json] = {"file": file}
            for name, answers in self.answers.items():
                row[name] = answers.first[number]
                if answers.probability:
                    row[f"{name}_probability"] = round(answers.probability[number], 6)
            rows.append(row)
        return {**self.figures(), "said": list(self.said), "rows": rows}


def check(model: str | Path, folder: Path, options: CheckOptions | None = None, progress: Progress = silent) -> Checked:
    """Ask a model the same held-out questions in every way; UserError where one of them cannot be asked."""
    require_vision()  # before peft is imported, which warns of what it does not need
    from protege.training.predict import predict

    options = options or CheckOptions()
    scored = ScoreOptions(samples=options.samples, only_held_back=not options.all_samples, device=options.device)
    _, collator, rows = asked(model, folder, scored)
    if options.server and collator.history is not None:
        raise UserError(f"{model} is shown earlier frames, and a server is asked about one picture; leave --server out")
    network = load_model(model, device=options.device)

    def answers(name: str, network: Any) -> Answers:
        found = predict(network, collator, rows, progress=lambda done, total: progress(name, done, total))
        return _firsts(found, collator)

    found = {"model": answers("model", network)}
    others = {} if options.server is None or not is_adapter(model) else {
        told: _with(change, answers, told, network) for told, change in _LESS.items()
    }  # fmt: skip
    if options.merged is not None or is_adapter(model):
        merged = load_model(options.merged or model, device=options.device, merge=options.merged is None)
        found["merged"] = answers("merged", merged)
    said: list[str] = []
    if options.server is not None:
        found["server"], problems = _served(options, collator, rows.tolist(), progress)
        said += problems
        said += _dropped(found, others)
    return Checked(tuple(str(collator.data.path(int(row))) for row in rows), found, tuple(said))


def _with(change: Callable[[Any], Any], answers: Callable[[str, Any], Answers], name: str, network: Any) -> Answers:
    with change(network):
        return answers(name, network)


@contextmanager
def _without_vision(network: Any) -> Iterator[None]:
    """Turns off the adapter's vision and merger layers."""
    layers = [
        module
        for name, module in network.named_modules()
        if hasattr(module, "scaling") and any(re.fullmatch(family.vision, name) for family in FAMILIES.values())
    ]
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scaling = dict.fromkeys(layer.scaling, 0.0)
    try:
        yield
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            layer.scaling = scaling


_LESS: Final[dict[str, Callable[[Any], Any]]] = {
    "the adapter without its vision layers": _without_vision,
    "the base without the adapter": lambda network: getattr(network, "disable_adapter", nullcontext)(),
}
"""What servers have been seen to make of an adapter without a word."""


def _dropped(found: dict[str, Answers], others: dict[str, Answers]) -> list[str]:
    """What the server left out, told by which smaller model its answers are those of."""
    server, agreement = found["server"], found["server"].agreement(found["model"])
    if agreement >= ALIKE:
        return []
    closer = {told: server.agreement(answers) for told, answers in others.items()}
    best = max(closer.values(), default=0.0)
    if best > agreement:
        told = " or ".join(name for name, share in closer.items() if share == best)
        return [f"the server answers as {told} ({best:.3f} of the samples): it has dropped the rest"]
    return ["the server answers otherwise, and not as a part of the model: look at its picture size, prompt and dtype"]


def _firsts(found: "Predictions", collator: "Collator") -> Answers:
    space = collator.data.shape.space
    first = tuple(space.spell(found.actions(number, space)[0]) for number in range(len(found.pred)))
    if found.first_probs is None:  # with chords and with a mouse
        return Answers(first, ())
    return Answers(first, tuple(float(p[c]) for p, c in zip(found.first_probs, found.pred[:, 0], strict=True)))


def _served(
    options: CheckOptions, collator: "Collator", rows: Sequence[int], progress: Progress
) -> tuple[Answers, list[str]]:
    """The server's first actions, and what was wrong with its answers."""
    assert options.server is not None
    server = OpenAIServer(options.server, options.served, max_tokens=LONGEST)
    shape = collator.data.shape
    questions = (
        Question(number, prompt(collator.data[row].goal, shape.horizon), _png(collator, row))
        for number, row in enumerate(rows)
    )
    first: list[str | None] = [None] * len(rows)
    bad: list[str] = []
    for done, answer in enumerate(server.answers(questions), 1):
        progress("server", done, len(rows))
        try:
            first[answer.number] = shape.space.spell(read_reply(answer.text, shape.space, shape.horizon).steps[0])
        except ValueError as error:
            bad.append(answer.problem or str(error))
    said = [f"{len(bad)} of the server's answers cannot be read; the first: {one_line(bad[0])[:160]}"] if bad else []
    return Answers(tuple(first)), said


def _png(collator: "Collator", row: int) -> bytes:
    """A sample's frame as the model sees it; without loss, or the server would see another."""
    out = io.BytesIO()
    Image.fromarray(fit(read_picture(collator.data.path(row)), collator.frame_size)).save(out, "PNG")
    return out.getvalue()
