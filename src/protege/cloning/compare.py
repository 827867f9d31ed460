"""Models side by side, by the metrics.json that evaluation wrote into their folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from protege.cloning.tables import table
from protege.errors import UserError

METRICS: Final = "metrics.json"
PAGE: Final = "evaluation.html"
"""What evaluation writes."""


def read_metrics(folder: Path) -> dict[str, Any]:
    """The `Evaluation.to_json()` in a model's folder. UserError if there is none or it cannot be read."""
    path = folder / METRICS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if "exact_match" not in found or "actions" not in found:
            raise ValueError("no scores in it")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: no {METRICS}; make it with: protege clone evaluate {folder}") from None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: not readable ({error}); write it again with: protege clone evaluate {folder}"
        ) from None
    return found


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
    return "\n".join([*(warnings or [_data(first)]), "", table({**found, **baselines})])


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
