"""Numbers of several models side by side, as text."""

from collections.abc import Mapping
from typing import Final

from protege.core.files import Json
from protege.learn import tables

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


def table(results: Mapping[str, Mapping[str, Json]]) -> str:
    """A column a model, a line a number, then a line for the F1 of each action. results: name to
    `Evaluation.to_json()` or `Scores.to_json()`; what is missing or cannot be told is "-".
    """
    rows = tables.rows(results, LINES)
    actions = [found for scores in results.values() if isinstance(found := scores.get("actions"), Mapping)]
    for key in dict.fromkeys(key for found in actions for key in found):
        absent = not any(tables.at(found, (key, "support")) for found in actions)
        cells = (tables.number(tables.at(scores, ("actions", key, "f1"))) for scores in results.values())
        rows.append([f"F1 {key}" + (" (absent)" if absent else ""), *cells])
    return tables.aligned(rows)
