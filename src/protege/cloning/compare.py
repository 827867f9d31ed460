"""Models side by side, by the metrics.json that evaluation wrote into their folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from protege.cloning.tables import table
from protege.core import files
from protege.core.text import printable
from protege.errors import UserError

METRICS: Final = "metrics.json"
PAGE: Final = "evaluation.html"
"""What evaluation writes."""


def read_metrics(folder: Path) -> dict[str, Any]:
    """The `Evaluation.to_json()` in a model's folder. UserError if there is none or it cannot be read."""
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


def _scores(found: Any) -> bool:
    """Whether these are `Evaluation.to_json()` or `Scores.to_json()`: all that a table of them looks at."""
    if not isinstance(found, dict) or not isinstance(actions := found.get("actions"), dict):
        return False
    groups = [found, *(found.get(name) or {} for name in ("onsets", "frequency")), *actions.values()]
    if not all(isinstance(group, dict) for group in groups) or not all("support" in each for each in actions.values()):
        return False
    numbers = ("exact_match", "macro_f1", "cross_entropy", "parameters", "frames_trained_on", "support")
    values = [group.get(name) for group in groups for name in (*numbers, "f1", "l1", "l2", "kl")]
    values += [group.get(name) for group in groups for name in ("start_recall", "end_recall")]
    return "exact_match" in found and all(value is None or isinstance(value, int | float) for value in values)


def compare(models: Sequence[Path]) -> str:
    """The table of some models, with the baselines of their data, and a line where they were scored on other data."""
    found = {_name(folder, models): read_metrics(folder) for folder in models}
    first = next(iter(found.values()))
    warnings = [
        f"{name} was scored on {_data(metrics)}, {next(iter(found))} on {_data(first)}: not comparable"
        for name, metrics in list(found.items())[1:]
        if _scored(metrics) != _scored(first)
    ]
    baselines = (
        {} if warnings else {n: s for n, s in (first.get("others") or {}).items() if n not in ("as played", "at 0.5")}
    )
    return printable("\n".join([*(warnings or [_data(first)]), "", table({**found, **baselines})]))


def _name(folder: Path, models: Sequence[Path]) -> str:
    """The folder's name, or its path where two have the same name."""
    twice = sum(other.resolve().name == folder.resolve().name for other in models) > 1
    return str(folder) if twice else folder.resolve().name


def _scored(metrics: dict[str, Any]) -> tuple[Any, ...]:
    """What two evaluations must share for their numbers to be compared."""
    return metrics.get("scored", metrics.get("dataset")), metrics.get("split"), metrics.get("frames")


def _data(metrics: dict[str, Any]) -> str:
    dataset = Path(str(metrics.get("dataset", "?"))).name
    return f"{metrics.get('frames', '?')} frames ({metrics.get('split', '?')}) of {dataset}"
