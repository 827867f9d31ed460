"""python -m bench controls, learning: a small control transformer on recordings whose rule is known.

The simulated player's body follows from the controls, late and noisy, so what the rule itself reads from the body
(`synth.decode`) is the ceiling for a model without a history. The model is smaller than the one that is trained for
play, so that the figure takes minutes on one core.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from protege.evaluation.figures import Figure

HEADS: Final = ("action", "inventory")
MAX_GAP: Final = 0.05
SEED: Final = 1000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Learning:
    """recordings, frames: how many and how long; the rest as in configs/controls.yaml. Copying from the history is the
    shortcut that fails in play, so it is left out more often than there.
    """

    recordings: int = 30
    frames: int = 1500
    epochs: int = 8
    batch: int = 64
    history_dropout: float = 0.7
    d_model: int = 64
    layers: int = 2
    learning_rate: float = 2e-3

    @property
    def overrides(self) -> tuple[str, ...]:
        return (
            *(f"model.d_model={self.d_model}", "model.nhead=4", f"model.num_layers={self.layers}"),
            *(f"model.dim_feedforward={2 * self.d_model}", "model.dropout=0.1"),
            *(f"training.epochs={self.epochs}", f"training.learning_rate={self.learning_rate}"),
            *(f"training.batch_size={self.batch}", f"data.history_dropout={self.history_dropout}"),
            *("training.warmup_epochs=1", "training.threads=1", "training.device=cpu"),
        )


def learning(options: Learning, say: Say = lambda line: None) -> list[Figure]:
    """F1 of the binary heads on test recordings: the model's, copying's, the rule's own, and on an own history."""
    from protege.controls.config import ControlsConfig
    from protege.controls.metrics import Predictions, Scores, score
    from protege.controls.synth import SynthOptions, write_recordings
    from protege.controls.train import Run, load_data
    from protege.settings import load_config

    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = Path(name)
        list(write_recordings(folder / "recordings", options.recordings, SEED, None, SynthOptions(options.frames)))
        places = (f"data.recordings=[{folder / 'recordings'}]", f"output={folder / 'models'}")
        config = load_config(ControlsConfig, None, [*places, *options.overrides], "controls")
        data = load_data(config)
        run = Run(config, data, say)
        run.learn()
        found = run.judge()
        read = _decoded(data.test_sources)
    ceiling = score(Predictions.of_controls(read), found.truth)

    def f1(scores: Scores) -> dict[str, float]:
        return {head: value for head in HEADS if (value := getattr(scores, f"{head}_f1")) is not None}

    model, copy, best, own = (f1(scores) for scores in (found.model, found.copy, ceiling, found.own_history))
    gap = max(model[head] - own[head] for head in model)
    slots = [scores.hotbar_accuracy for scores in (found.model, ceiling)]
    more = f"; hotbar {_text(slots[0])}, the rule {_text(slots[1])}; look direction {_text(found.model.look_direction)}"
    better = all(model[head] > copy[head] for head in model)
    return [
        Figure("f1", model, _shown(model) + more, "> copying, every head", better),
        Figure("f1_copy", copy, _shown(copy)),
        Figure("f1_ceiling", best, _shown(best)),
        Figure("f1_own_history", own, f"{_shown(own)} (gap {gap:.3f})", f"gap <= {MAX_GAP:g}", gap <= MAX_GAP),
    ]


def _decoded(sources: tuple) -> np.ndarray:
    """(W, 28) what the rule reads from the last frame of every window."""
    from protege.controls.synth import decode
    from protege.controls.windows import FIRST_TARGET

    return np.concatenate([decode(source.load())[FIRST_TARGET:] for source in sources])


def _shown(values: dict[str, float]) -> str:
    return ", ".join(f"{head} {value:.3f}" for head, value in values.items())


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
