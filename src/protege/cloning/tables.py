"""Numbers of several models side by side, as text."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

LINES: Final = {
    "parameters": ("parameters",),
    "frames trained on": ("frames_trained_on",),
    "exact match": ("exact_match",),
    "macro F1": ("macro_f1",),
    "cross-entropy": ("cross_entropy",),
    "start recall": ("onsets", "start_recall"),
    "end recall": ("onsets", "end_recall"),
    "onset F1 (buffered)": ("onsets", "f1"),
    "frequency L1": ("frequency", "l1"),
    "frequency L2": ("frequency", "l2"),
    "frequency KL": ("frequency", "kl"),
}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A column a model, a line a number, then a line for the F1 of each action. results: name to
    `Evaluation.to_json()` or `Scores.to_json()`; what is missing or cannot be told is "-".
    """
    rows = [["", *results]]
    for label, path in LINES.items():
        rows.append([label, *(number(_at(found, path)) for found in results.values())])
    keys = dict.fromkeys(key for found in results.values() for key in found.get("actions", {}))
    for key in keys:
        scores = [found.get("actions", {}).get(key) for found in results.values()]
        absent = all(score is None or not score["support"] for score in scores)
        rows.append([f"F1 {key}" + (" (absent)" if absent else ""), *(number((s or {}).get("f1")) for s in scores)])
    return aligned(rows)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _at(found: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = found
    for name in path:
        value = (value or {}).get(name)
    return value
