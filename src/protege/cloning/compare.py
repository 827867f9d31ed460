"""Models side by side, by the metrics.json that evaluation wrote into their folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from protege.cloning.tables import table
from protege.core import files
from protege.core.files import Json
from protege.core.text import printable
from protege.errors import UserError

METRICS: Final = "metrics.json"
PAGE: Final = "evaluation.html"
"""The files that evaluation writes into a model's folder."""


def read_metrics(folder: Path) -> dict[str, Json]:
    """A model's metrics.json, as `Evaluation.to_json` wrote it. UserError if there is none or it is not as written."""
    path = folder / METRICS
    try:
        found = files.read_json(path, finite=False)
        others = found.get("others") or {} if isinstance(found, dict) else None
        if not isinstance(others, dict) or not all(map(_scores, (found, *others.values()))):
            raise ValueError("no scores in it")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: no {METRICS}; make it with: protege clone evaluate {folder}") from None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: not readable ({error}); write it again with: protege clone evaluate {folder}"
        ) from None
    return found


def _others(found: Mapping[str, Json]) -> dict[str, Mapping[str, Json]]:
    """By name, the scores of the baselines that were evaluated with a model."""
    others = found.get("others")
    named = others.items() if isinstance(others, Mapping) else ()
    return {name: scores for name, scores in named if isinstance(scores, Mapping)}


def _scores(found: Json) -> bool:
    """Whether a value has the scores that a table of models shows, each a number or undefined."""
    if not isinstance(found, Mapping) or not isinstance(actions := found.get("actions"), Mapping):
        return False
    if not all(isinstance(each, Mapping) and "support" in each for each in actions.values()):
        return False
    names = ("exact_match", "macro_f1", "cross_entropy", "parameters", "frames_trained_on", "support")
    names = (*names, "f1", "l1", "l2", "kl", "start_recall", "end_recall")
    for group in (found, found.get("onsets") or {}, found.get("frequency") or {}, *actions.values()):
        if not isinstance(group, Mapping):
            return False
        if not all(isinstance(group.get(name), int | float | None) for name in names):
            return False
    return "exact_match" in found


def compare(models: Sequence[Path]) -> str:
    """A table of models with the baselines of their data; a line for each that was scored on other data."""
    found = {_name(folder, models): read_metrics(folder) for folder in models}
    first = next(iter(found.values()))
    warnings = [
        f"{name} was scored on {_data(metrics)}, {next(iter(found))} on {_data(first)}: not comparable"
        for name, metrics in list(found.items())[1:]
        if _scored(metrics) != _scored(first)
    ]
    baselines = {} if warnings else {n: s for n, s in _others(first).items() if n not in ("as played", "at 0.5")}
    return printable("\n".join([*(warnings or [_data(first)]), "", table({**found, **baselines})]))


def _name(folder: Path, models: Sequence[Path]) -> str:
    """The folder's name, or its path where two have the same name."""
    twice = sum(other.resolve().name == folder.resolve().name for other in models) > 1
    return str(folder) if twice else folder.resolve().name


def _scored(metrics: Mapping[str, Json]) -> tuple[Json, ...]:
    """What two evaluations must share for their numbers to be compared."""
    return metrics.get("scored", metrics.get("dataset")), metrics.get("split"), metrics.get("frames")


def _data(metrics: Mapping[str, Json]) -> str:
    dataset = Path(str(metrics.get("dataset", "?"))).name
    return f"{metrics.get('frames', '?')} frames ({metrics.get('split', '?')}) of {dataset}"
