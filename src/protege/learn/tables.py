"""Scores of several models side by side, as a table of text."""

from collections.abc import Mapping, Sequence

from protege.core.files import Json


def rows(results: Mapping[str, Mapping[str, Json]], lines: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """A heading of model names, then a row a label with each model's number.

    results: by model its scores as JSON; lines: by label the path of keys to its number.
    """
    body = [[label, *(number(at(found, path)) for found in results.values())] for label, path in lines.items()]
    return [["", *results], *body]


def at(found: Json, path: Sequence[str]) -> Json:
    """The value at a path of keys, None where there is none."""
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def number(value: Json) -> str:
    """Three decimals, whole numbers with separators, and a dash for what is no number."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else "-"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
