"""The checkpoint of a run: progress, weights, optimiser and scales in one file, with the run's record."""

import ast
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypedDict

import numpy as np
import torch

from protege.controls.files import StateDict, load_tensors
from protege.controls.windows import Statistics
from protege.core.files import replacing, writing
from protege.errors import UserError
from protege.learn.resume import Run, damaged

CHECKPOINT: Final = "control_checkpoint.pt"


class Epoch(TypedDict):
    """A row of the training log: the scores of an epoch on the validation recordings, None for what is absent.

    epoch: from 1; stage: of the curriculum; lr: learning rate of the last step; train, val: losses by name;
    score: the combined score; best: whether it was the best so far.
    """

    epoch: int
    stage: str
    lr: float
    train: dict[str, float]
    val: dict[str, float]
    action_f1: float | None
    look_mse: float | None
    look_direction: float | None
    hotbar_accuracy: float | None
    cursor_mse: float | None
    inventory_f1: float | None
    idle_accuracy: float | None
    score: float
    best: bool


@dataclass
class State:
    """How far a run has come.

    epoch, batch: the next step.
    stale: epochs since the best score.
    sums: of the epoch so far, by loss the sum and the count it is divided by.
    history: the training log.
    """

    epoch: int = 0
    batch: int = 0
    best: float = -1.0
    best_epoch: int = -1
    stale: int = 0
    finished: bool = False
    sums: dict[str, list[float]] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)


@dataclass(frozen=True)
class Saved:
    """A checkpoint. learner: what `Learner.load_state` takes; statistics: None where an older version wrote it."""

    run: Run
    state: State
    learner: Mapping[str, StateDict]
    statistics: Statistics | None


def save(path: Path, run: Run, state: State, learner: Mapping[str, StateDict], statistics: Statistics) -> None:
    """Write a checkpoint, whole or not at all."""
    # As tensors: `weights_only` loads them, and no numpy array, whose pickle can run code.
    scale = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in vars(statistics).items()}
    held = {"run": run.to_json(), "state": asdict(state), "learner": dict(learner), "statistics": scale}
    with writing(path.parent), replacing(path) as beside:
        torch.save(held, beside)


def load(path: Path, device: str) -> Saved:
    """Read a checkpoint; UserError where it is damaged."""
    try:
        fields = load_tensors(path, device)
        state = State(**fields["state"])
        if not (0 <= state.epoch <= 10**9 and 0 <= state.batch <= 10**9 and len(state.history) == state.epoch):
            raise ValueError("its progress cannot be")
        statistics = None  # older versions did not keep them
        if "statistics" in fields:
            statistics = Statistics(**{name: value.cpu().numpy() for name, value in fields["statistics"].items()})
        return Saved(_run(fields), state, {**fields["learner"]}, statistics)
    except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).removeprefix(f"{path}: ").partition("; train")[0] if isinstance(error, UserError) else error
        raise damaged(path, reason) from None


def _run(fields: StateDict) -> Run:
    if "run" in fields:
        return Run.from_json(_lists(fields["run"]))
    # Of a version that kept settings as text, and of its data the names of what it was trained on
    before = {name: ast.literal_eval(text) for name, text in fields["identity"].items()}
    trained = tuple(name for name, _ in before.pop("recordings"))
    return Run({name: list(v) if isinstance(v, tuple) else v for name, v in before.items()}, {}, trained)


def _lists(value: object) -> Any:
    """Tuples as lists, which is what JSON makes of them."""
    if isinstance(value, Mapping):
        return {name: _lists(item) for name, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value
