"""A model's scores in words: what it does, what it does not, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.core.actions import ActionSpace
from protege.core.fields import is_number
from protege.core.files import read_json

METRICS: Final = "metrics.json"
SCORE: Final = "score.json"
"""What the studio's button has `protege score --json` write, so that what training wrote stays."""
RARE: Final = 20
"""Fewer presses than this say nothing about a key."""
ONE_KEY: Final = 0.9
SELDOM: Final = 0.2


@dataclass(frozen=True)
class Verdict:
    """first: one sentence; more: further ones, each with its remedy; good: whether nothing is wrong."""

    first: str
    more: tuple[str, ...] = ()
    good: bool = False


def metrics_of(model: Path) -> Mapping[str, Any] | None:
    """The scores beside a model, the newest that can be read, with what training wrote about its data; None without."""
    trained, scored = _scores(model / METRICS), _scores(model / SCORE)
    if trained is None or scored is None:
        return trained or scored
    if (model / METRICS).stat().st_mtime_ns > (model / SCORE).stat().st_mtime_ns:
        return trained
    return {**{name: trained[name] for name in ("trained_on", "before") if name in trained}, **scored}


def _scores(path: Path) -> dict[str, Any] | None:
    try:
        found = read_json(path, finite=False)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and is_number(found.get("first_action_accuracy")) else None


def verdict(metrics: Mapping[str, Any] | None, space: ActionSpace) -> Verdict:
    """What the scores of held-back recordings say about a model. space: its keys, in the order of the confusion."""
    if metrics is None:
        return Verdict("Not scored yet: nothing says how good it is.")
    found = [*_one_key(metrics, space), *_turning(metrics, space), *_never(metrics, space), *_done(metrics)]
    found += _goals(metrics)
    accuracy = metrics["first_action_accuracy"]
    right = f"It presses what the player pressed in {100 * accuracy:.0f} of 100 moments"
    other = (metrics.get("baselines") or {}).get("majority") or {}
    if is_number(base := other.get("first_action_accuracy")):
        right += f"; always pressing the commonest key would in {100 * base:.0f}"
        if accuracy <= base + 0.02:
            found.insert(0, "It has learned nothing yet: record more, or train longer.")
    return Verdict(found[0], (right + ".", *found[1:])) if found else Verdict(right + ".", good=True)


def _one_key(metrics: Mapping[str, Any], space: ActionSpace) -> list[str]:
    try:
        counts = np.array(metrics["confusion"], dtype=float)
    except (KeyError, ValueError, TypeError):
        return []
    if counts.shape != (len(space), len(space)) or counts.sum() < RARE:
        return []
    shares = counts.sum(0) / counts.sum()
    most = int(shares.argmax())
    if shares[most] < ONE_KEY:
        return []
    key = space.keys[most]
    if key == space.keys[-1]:
        return ["It presses hardly any key: record more play, with fewer pauses."]
    if key in space.movement:
        return (
            ["It only walks straight: record turning."]
            if key == "w"
            else [f"It only walks ({key}): record other ways."]
        )
    return [f"It presses {space.told(key)} nearly always: record more of everything else."]


def _turning(metrics: Mapping[str, Any], space: ActionSpace) -> list[str]:
    score = metrics.get("camera_accuracy")
    if space.camera and is_number(score) and score < SELDOM:
        return [f"It hardly ever turns where the player did ({100 * score:.0f} of 100 times): record more turning."]
    return []


def _never(metrics: Mapping[str, Any], space: ActionSpace) -> list[str]:
    keys = metrics.get("keys") or {}
    never = [
        space.told(key)
        for key, score in keys.items()
        if key in space.pressable
        and isinstance(score, dict)
        and score.get("support", 0) >= RARE
        and not score.get("recall")
    ]
    return [f"It never presses {', '.join(never)}: record more of that."] if never else []


def _done(metrics: Mapping[str, Any]) -> list[str]:
    recall, precision = metrics.get("done_recall"), metrics.get("done_precision")
    if is_number(recall) and recall < 0.5:
        return ["It seldom notices that a goal is reached: end recordings where the goal is reached."]
    if is_number(precision) and precision < 0.5:
        return ["It often thinks that it is done too early: record goals to their end."]
    return []


def _goals(metrics: Mapping[str, Any]) -> list[str]:
    swap = metrics.get("goal_swap")
    if isinstance(swap, dict) and is_number(swap.get("changed")) and swap["changed"] < 0.02:
        return ["It does the same whatever the goal: record different goals in the same places."]
    return []
