"""What the episodes of one store must agree on: those that do not are left out, each with a line that says why."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from protege.cloning.groups import FPS
from protege.cloning.reader import Episode
from protege.core.looking import Look
from protege.core.text import one_line
from protege.errors import UserError

_SAME_RATE: Final = 0.01
"""Relative difference of two frame rates that count as one: 29.97 and 30."""


def agree_on_actions(
    path: Path, keys: tuple[str, ...], episodes: Sequence[Episode], problems: list[str]
) -> tuple[tuple[str, ...], list[Episode]]:
    """The actions' names (`keys`, or invented ones where it is empty) and the episodes with as many actions."""
    if len(set(keys)) != len(keys):
        raise UserError(f"{path}: the attribute keys names an action twice: {', '.join(keys)}")
    if episodes and not keys:
        width = Counter(e.actions.shape[1] for e in episodes).most_common(1)[0][0]
        keys = tuple(f"action_{n}" for n in range(width))
        problems.append(f"{path}: no attribute keys; the {width} actions are called {keys[0]} to {keys[-1]}")

    def fault(episode: Episode) -> str:
        width = episode.actions.shape[1]
        return "" if width == len(keys) else f"{width} actions, the data set names {len(keys)}"

    return keys, _without(fault, episodes, problems)


def with_bins(
    look: Look, keys: tuple[str, ...], episodes: Sequence[Episode], problems: list[str]
) -> tuple[tuple[str, ...], list[Episode]]:
    """The actions' names and the episodes with the bins of the mouse as further actions, one of each axis a frame."""

    def fault(episode: Episode) -> str:
        if episode.mouse is None:
            return "no array mouse of (N, 2) counts, though the store's action space looks with it"
        return "" if np.isfinite(episode.mouse).all() else "the array mouse holds what is no number"

    found = []
    for episode in _without(fault, episodes, problems):
        assert episode.mouse is not None
        rows = [episode.actions]
        for column, axis in enumerate(look.axes):
            rows.append(axis.bins(episode.mouse[:, column])[:, None] == np.arange(len(axis.symbols)))
        found.append(replace(episode, actions=np.concatenate(rows, axis=1)))
    return (*keys, *look.yaw.symbols, *look.pitch.symbols), found


def agree_on_size(episodes: Sequence[Episode], problems: list[str]) -> list[Episode]:
    """The episodes with the resolution that most frames have."""
    sizes = Counter[tuple[int, ...]]()
    for episode in episodes:
        sizes[episode.frames.shape[2:]] += len(episode)

    def fault(episode: Episode) -> str:
        found, wanted = episode.frames.shape[2:], sizes.most_common(1)[0][0]
        return "" if found == wanted else f"frames are {found[1]}x{found[0]}, most are {wanted[1]}x{wanted[0]}"

    return _without(fault, episodes, problems)


def agree_on_rate(episodes: Sequence[Episode], problems: list[str]) -> list[Episode]:
    """The episodes with the frame rate that most frames have: a window of frames must last equally long."""
    frames = Counter[float]()
    for episode in episodes:
        if episode.fps is not None:
            frames[episode.fps] += len(episode)
    wanted = max(frames, key=lambda rate: frames[rate], default=FPS)

    def fault(episode: Episode) -> str:
        rate = episode.fps
        if rate is not None and math.isclose(rate, wanted, rel_tol=_SAME_RATE):
            return ""
        found = f"{rate:g}" if rate else one_line(repr(episode.attributes["fps"]), 60)
        return f"fps is {found}, that of most frames {wanted:g}"

    return _without(fault, episodes, problems)


def check_state(
    attributes: tuple[str, ...], episodes: Sequence[Episode], use_state: bool, problems: list[str]
) -> list[Episode]:
    """The episodes; one without a usable state is left out with use_state, else only its state is."""
    if not use_state and not attributes and all(episode.state is None for episode in episodes):
        return list(episodes)

    def fault(episode: Episode) -> str:
        if episode.state is None:
            return "no state"
        if attributes and episode.state.shape[1] != len(attributes):
            return f"{episode.state.shape[1]} state columns, the data set names {len(attributes)}"
        finite = np.isfinite(episode.state).all(axis=1)
        return "" if finite.all() else f"state that is no number in frame {int(np.argmin(finite))}"

    if use_state:
        return _without(fault, episodes, problems)
    found = [(episode, fault(episode)) for episode in episodes]
    problems += [f"{episode.folder}: {text}; its state is not used" for episode, text in found if text]
    return [replace(episode, state=None) if text else episode for episode, text in found]


def _without(fault: Callable[[Episode], str], episodes: Sequence[Episode], problems: list[str]) -> list[Episode]:
    """The episodes without a fault; of the others a line is added to the problems."""
    found = [(episode, fault(episode)) for episode in episodes]
    problems += [f"{episode.folder}: {text}; left out" for episode, text in found if text]
    return [episode for episode, text in found if not text]
