"""What is in a data set: how often each action is held, how long episodes are, goals, the state's animations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.cloning.split import Splits, split
from protege.cloning.state import ANIMATIONS, COLUMNS
from protege.cloning.store import Dataset, Episode
from protege.core.files import Json
from protege.core.text import printable
from protege.errors import UserError

_TOP: Final = 10
_RARE: Final = 0.02
"""Share of frames below which an action is rare: class weights or focal loss are worth trying."""


@dataclass(frozen=True)
class Action:
    """share: of the frames that hold it
    presses: how often it starts
    held: mean frames of a press
    """

    name: str
    share: float
    presses: int
    held: float


@dataclass(frozen=True)
class Stream:
    """A column of animation numbers in the state.

    unique, lowest, highest: of the numbers in all episodes
    unknown: share of the held-out frames whose number is in no training frame
    top: (number, frames) of the most frequent
    """

    name: str
    unique: int
    lowest: int
    highest: int
    unknown: float
    top: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Analysis:
    """What is in a data set.

    lengths: frames of each episode
    idle, chords: shares of the frames that hold no action, and several
    goals: (sentence, frames)
    split: that training would make, None with too few episodes
    """

    dataset: Dataset
    lengths: tuple[int, ...]
    actions: tuple[Action, ...]
    idle: float
    chords: float
    goals: tuple[tuple[str, int], ...]
    streams: tuple[Stream, ...]
    split: Splits | None

    @property
    def absent(self) -> tuple[str, ...]:
        """Actions that are never held, so that nothing can be learned about them."""
        return tuple(action.name for action in self.actions if not action.share)

    def to_json(self) -> dict[str, Json]:
        data = self.dataset
        return {
            "path": str(data.path),
            "frame_size": list(data.frame_size),
            "attributes": list(data.attributes),
            "problems": list(data.problems),
            "assumed": list(data.assumed),
            "lengths": list(self.lengths),
            "actions": [vars(action) for action in self.actions],
            "idle": self.idle,
            "chords": self.chords,
            "goals": dict(self.goals),
            "streams": [vars(stream) for stream in self.streams],
        }


def analyze(path: Path, seed: int = 42) -> Analysis:
    """Read a store's actions, states and goals; its frames are only checked. seed: of the split that training makes."""
    dataset = Dataset.open(path)
    rows = np.concatenate([episode.actions for episode in dataset.episodes])
    presses = np.sum([_presses(episode.actions) for episode in dataset.episodes], axis=0)
    shares, frames = rows.mean(axis=0), rows.sum(axis=0)
    actions = (
        Action(name, float(shares[a]), int(presses[a]), float(frames[a] / max(1, presses[a])))
        for a, name in enumerate(dataset.keys)
    )
    try:
        parts = split(dataset, seed=seed)
    except UserError:
        parts = None
    return Analysis(
        dataset,
        tuple(len(episode) for episode in dataset.episodes),
        tuple(actions),
        float((~rows.any(axis=1)).mean()),
        float((rows.sum(axis=1) > 1).mean()),
        _goals(dataset),
        _streams(dataset, parts),
        parts,
    )


def _presses(actions: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(A,) how often each action starts: it is held in a frame and not in the one before."""
    return (np.diff(actions.astype(np.int8), axis=0, prepend=0) > 0).sum(axis=0)


def _goals(dataset: Dataset) -> tuple[tuple[str, int], ...]:
    found = [episode.goal for episode in dataset.episodes if episode.goal is not None]
    if not found:
        return ()
    every = np.concatenate(found)
    return tuple((goal, int((every == number).sum())) for number, goal in enumerate(dataset.goals))


def _streams(dataset: Dataset, parts: Splits | None) -> tuple[Stream, ...]:
    if not dataset.has_state or any(e.state is None or e.state.shape[1] != len(COLUMNS) for e in dataset.episodes):
        return ()
    return tuple(_stream(name, dataset.episodes, parts) for name in ANIMATIONS)


def _stream(name: str, episodes: Sequence[Episode], parts: Splits | None) -> Stream:
    every = _column(name, episodes)
    numbers, counts = np.unique(every, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_TOP]
    unknown = 0.0
    if parts is not None:
        held_out = _column(name, (*parts.validation, *parts.test))
        unknown = float((~np.isin(held_out, _column(name, parts.train))).mean())
    top = tuple((int(numbers[i]), int(counts[i])) for i in order)
    return Stream(name, len(numbers), int(numbers[0]), int(numbers[-1]), unknown, top)


def _column(name: str, episodes: Sequence[Episode]) -> NDArray[np.int64]:
    columns = [e.state[:, COLUMNS.index(name)] for e in episodes if e.state is not None]
    return np.concatenate(columns).astype(np.int64)


def table(found: Analysis) -> str:
    """The analysis for people, and the configuration that it suggests."""
    data, lengths = found.dataset, found.lengths
    width, height = data.frame_size
    lines = [
        f"{data.path}: {len(lengths)} episodes, {sum(lengths):,} frames of {width}x{height}",
        f"lengths: {min(lengths)} to {max(lengths)} frames, median {int(np.median(lengths))}",
        f"no action in {found.idle:.1%} of the frames, several in {found.chords:.1%}",
        "",
        f"{'action':<24}  {'held':>7}  {'presses':>8}  {'frames a press':>14}",
    ]
    lines += [f"{a.name:<24}  {a.share:>7.2%}  {a.presses:>8,}  {a.held:>14.1f}" for a in found.actions]
    if found.absent:
        lines.append(f"never held, so not learned: {', '.join(found.absent)}")
    if found.goals:
        lines += ["", *(f"goal {goal!r}: {count:,} frames" for goal, count in found.goals)]
    lines += ["", f"state: {', '.join(data.attributes) or 'unnamed columns'}" if data.has_state else "state: none"]
    for stream in found.streams:
        lines.append(
            f"{stream.name}: {stream.unique} numbers from {stream.lowest} to {stream.highest}, {stream.unknown:.1%} of "
            "the held-out frames unknown to training"
        )
        lines.append("  " + ", ".join(f"{number}: {count:,}" for number, count in stream.top))
    if data.assumed or data.problems:
        lines += ["", *(f"assumed: {line}" for line in data.assumed)]
        lines += [f"problem: {problem}" for problem in data.problems]
    return printable("\n".join([*lines, "", "suggested configuration:", suggestion(found)]))


def suggestion(found: Analysis) -> str:
    """YAML for a configuration of `python -m BC_training` that fits the data set."""
    rare = any(0 < action.share < _RARE for action in found.actions)
    lines = [
        "dataset:",
        f"  path: {found.dataset.path}",
        f"  use_state: {str(found.dataset.has_state).lower()}",
        "model:",
        f"  name: {'state_cnn' if found.dataset.has_state else 'pure_cnn'}",
        f"  goal: {'sentence' if len([c for _, c in found.goals if c]) > 1 else 'none'}",
        "training:",
        f"  use_class_weights: {str(rare).lower()}",
    ]
    if found.split is None:
        lines.append("# too few episodes to train and to validate: record at least two")
    return "\n".join(lines)
