"""What the episodes of one store must have alike: those that do not are left out, each with a line that says why."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from protege.cloning.groups import FPS
from protege.cloning.reader import Episode
from protege.core.text import one_line
from protege.errors import UserError

_SAME_RATE: Final = 0.01
"""Part by which two rates may differ and still be one: 29.97 and 30."""


def agree_on_actions(
    path: Path, keys: tuple[str, ...], episodes: list[Episode], problems: list[str]
) -> tuple[tuple[str, ...], list[Episode]]:
    """The actions' names (keys, or invented where there are none) and the episodes that have as many."""
    if keys:
        if len(set(keys)) != len(keys):
            raise UserError(f"{path}: the attribute keys names an action twice: {', '.join(keys)}")
    elif episodes:
        width = Counter(e.actions.shape[1] for e in episodes).most_common(1)[0][0]
        keys = tuple(f"action_{n}" for n in range(width))
        problems.append(f"{path}: no attribute keys; the {width} actions are called {keys[0]} to {keys[-1]}")
    kept = []
    for episode in episodes:
        if (width := episode.actions.shape[1]) == len(keys):
            kept.append(episode)
        else:
            problems.append(f"{episode.folder}: {width} actions, the data set names {len(keys)}; left out")
    return keys, kept


def agree_on_size(episodes: list[Episode], problems: list[str]) -> list[Episode]:
    """The episodes with the resolution that most frames have."""
    if not episodes:
        return []
    sizes = Counter[tuple[int, ...]]()
    for episode in episodes:
        sizes[episode.frames.shape[2:]] += len(episode)
    wanted = sizes.most_common(1)[0][0]
    for episode in episodes:
        if (found := episode.frames.shape[2:]) != wanted:
            problems.append(
                f"{episode.folder}: frames are {found[1]}x{found[0]}, most are {wanted[1]}x{wanted[0]}; left out"
            )
    return [episode for episode in episodes if episode.frames.shape[2:] == wanted]


def agree_on_rate(episodes: list[Episode], problems: list[str]) -> list[Episode]:
    """The episodes with the frames per second that most frames have: a window of frames must last equally long."""
    frames = Counter[float]()
    rates = [episode.fps for episode in episodes]
    for episode, rate in zip(episodes, rates, strict=True):
        if rate is not None:
            frames[rate] += len(episode)
    wanted = max(frames, key=lambda rate: frames[rate], default=FPS)
    kept = []
    for episode, rate in zip(episodes, rates, strict=True):
        if rate is not None and math.isclose(rate, wanted, rel_tol=_SAME_RATE):
            kept.append(episode)
        else:
            found = f"{rate:g}" if rate else one_line(repr(episode.attributes["fps"]), 60)
            problems.append(f"{episode.folder}: fps is {found}, that of most frames {wanted:g}; left out")
    return kept


def check_state(
    attributes: tuple[str, ...], episodes: list[Episode], use_state: bool, problems: list[str]
) -> list[Episode]:
    """The episodes, those without a usable state left out where it is wanted."""
    if not use_state and not attributes and all(episode.state is None for episode in episodes):
        return episodes
    kept = []
    for episode in episodes:
        width = 0 if episode.state is None else episode.state.shape[1]
        if episode.state is None:
            found = "no state"
        elif attributes and width != len(attributes):
            found = f"{width} state columns, the data set names {len(attributes)}"
        elif not np.isfinite(episode.state).all():
            found = f"state that is no number in frame {int(np.argmax(~np.isfinite(episode.state).all(axis=1)))}"
        else:
            kept.append(episode)
            continue
        problems.append(f"{episode.folder}: {found}; " + ("left out" if use_state else "its state is not used"))
        if not use_state:
            kept.append(replace(episode, state=None))
    return kept
