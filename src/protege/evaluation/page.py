"""The page of an arena benchmark: figures, film strips of the best and worst episodes, and a map of every path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protege.arena.rooms import layout
from protege.arena.tasks import ALL_GOALS
from protege.core.files import write_text
from protege.evaluation.episodes import Result
from protege.evaluation.figures import Figure, describe, machine
from protege.learn.pages import data_uri, render

MAPS: Final = 24
"""Episodes whose paths are shown."""
MAP_PIXELS: Final = 220
STRIP_MAP_PIXELS: Final = 110
"""The longer side of a map, on its own and beside a film strip."""


def write_page(
    path: Path,
    title: str,
    figures: Sequence[Figure],
    results: Sequence[Result],
    others: dict[str, list[Result]],
    films: Sequence[Result],
) -> Path:
    """One HTML file that needs nothing beside it, written whole or not at all."""
    text = render(
        "evaluation/page.html.jinja",
        title=title,
        machine=describe(machine()),
        figures=[(figure, {True: "met", False: "missed", None: ""}[figure.good]) for figure in figures],
        rates={"this policy": _rate(results), **{name: _rate(theirs) for name, theirs in others.items()}},
        strips=[(result, ALL_GOALS[result.goal].sentence, path_map(result, STRIP_MAP_PIXELS)) for result in films],
        maps=[path_map(result, MAP_PIXELS) for result in results[:MAPS]],
        jpeg=lambda picture: data_uri(picture, "image/jpeg"),
    )
    write_text(path, text)
    return path


def path_map(result: Result, pixels: int) -> dict[str, object]:
    """The rooms of an episode from above with the path that was taken, in pixels of a drawing."""
    made = layout(result.seed, ALL_GOALS[result.goal] if result.swapped_from is None else None)
    west = min(room.rect[0] for room in made.rooms)
    south = min(room.rect[1] for room in made.rooms)
    east = max(room.rect[2] for room in made.rooms)
    north = max(room.rect[3] for room in made.rooms)
    scale = pixels / max(east - west, north - south)

    def at(x: float, y: float) -> tuple[float, float]:
        return (x - west) * scale + 2, (north - y) * scale + 2

    return {
        "result": result,
        "size": ((east - west) * scale + 4, (north - south) * scale + 4),
        "rooms": [(*at(room.rect[0], room.rect[3]), *_size(room.rect, scale)) for room in made.rooms],
        "things": [(at(*thing.at), thing.kind.name, thing.kind == made.goal.kind) for thing in made.objects],
        "aim": at(*made.aim) if made.target is None else None,
        "path": [at(*point) for point in result.path],
        "start": at(made.start.x, made.start.y),
    }


def _size(rect: tuple[float, float, float, float], scale: float) -> tuple[float, float]:
    west, south, east, north = rect
    return (east - west) * scale, (north - south) * scale


def _rate(results: Sequence[Result]) -> float:
    return sum(result.success for result in results) / len(results) if results else 0.0
