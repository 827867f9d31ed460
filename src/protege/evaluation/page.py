"""The page of an arena benchmark: figures, film strips of the best and worst episodes, and a map of every path."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from protege.arena.rooms import Layout, layout
from protege.arena.tasks import GOALS
from protege.evaluation.episodes import Result
from protege.evaluation.figures import Figure, describe, machine

MAP_PIXELS: Final = 220
_At = Callable[[float, float], tuple[float, float]]
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left;border-bottom:1px solid #ddd}
.missed{color:#b00}.strip{display:flex;gap:3px;overflow-x:auto;align-items:flex-start}.strip img{height:110px}
.maps{display:flex;flex-wrap:wrap;gap:12px}figure{margin:0}figcaption{font-size:12px;max-width:220px}
"""


def write_page(
    path: Path,
    title: str,
    figures: Sequence[Figure],
    results: Sequence[Result],
    others: dict[str, list[Result]],
    films: Sequence[Result],
) -> Path:
    """One HTML file that needs nothing beside it."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)} in the arena</title>",
        f"<style>{_STYLE}</style><h1>{escape(title)} in the arena</h1>",
        f"<p>Measured on {escape(describe(machine()))}.</p>",
        figures_table(figures),
        bars({"this policy": _rate(results), **{name: _rate(theirs) for name, theirs in others.items()}}),
        "<h2>The quickest successes and the longest failures</h2>",
        *map(strip, films),
        "<h2>Paths</h2><p>Seen from above: the start is a dot, the thing asked for is filled, the path is green "
        "where the goal was reached and red where it was not.</p><div class=maps>",
        *(path_map(result) for result in results[:24]),
        "</div></html>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def figures_table(figures: Sequence[Figure]) -> str:
    rows = []
    for figure in figures:
        met = {True: "met", False: "missed", None: ""}[figure.good]
        cells = (figure.key, figure.text, figure.target)
        rows.append(
            "<tr>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + f"<td class={met or 'none'}>{met}</td></tr>"
        )
    return f"<table><tr><th>figure</th><th>value</th><th>target</th><th></th></tr>{''.join(rows)}</table>"


def bars(rates: dict[str, float]) -> str:
    """Success rates side by side, as a drawing."""
    rows = []
    for number, (name, value) in enumerate(rates.items()):
        y = 8 + 26 * number
        width, fill = 400 * value, "#2a7" if number == 0 else "#999"
        rows.append(
            f'<text x="0" y="{y + 14}">{escape(name)}</text>'
            f'<rect x="110" y="{y}" width="{width:.1f}" height="18" fill="{fill}"/>'
            f'<text x="{116 + width:.1f}" y="{y + 14}">{value:.0%}</text>'
        )
    return f'<svg width="600" height="{26 * len(rates) + 16}" font-size="14">{"".join(rows)}</svg>'


def strip(result: Result) -> str:
    """The pictures of one episode in a row, two a second, beside its map."""
    pictures = "".join(
        f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">' for jpeg in result.film
    )
    return (
        f"<h3>{escape(GOALS[result.goal].sentence)}: {result.end.replace('_', ' ')} after {result.seconds:.1f} s "
        f"(seed {result.seed})</h3><div class=strip>{path_map(result, 110)}{pictures}</div>"
    )


def path_map(result: Result, pixels: int = MAP_PIXELS) -> str:
    """The rooms from above with the path that was taken."""
    made = layout(result.seed, GOALS[result.goal] if result.swapped_from is None else None)
    west = min(room.rect[0] for room in made.rooms)
    south = min(room.rect[1] for room in made.rooms)
    east = max(room.rect[2] for room in made.rooms)
    north = max(room.rect[3] for room in made.rooms)
    scale = pixels / max(east - west, north - south)

    def at(x: float, y: float) -> tuple[float, float]:
        return (x - west) * scale + 2, (north - y) * scale + 2

    color = "#2a7" if result.success else "#c33"
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in result.path))
    start = at(made.start.x, made.start.y)
    shapes = [*_rooms(made, at, scale), *_things(made, at)]
    shapes.append(f'<polyline points="{steps}" fill="none" stroke="{color}" stroke-width="2"/>')
    shapes.append(f'<circle cx="{start[0]:.1f}" cy="{start[1]:.1f}" r="4" fill="#06c"/>')
    width, height = (east - west) * scale + 4, (north - south) * scale + 4
    drawing = f'<svg width="{width:.0f}" height="{height:.0f}">{"".join(shapes)}</svg>'
    return f"<figure>{drawing}<figcaption>{result.seed}: {escape(result.goal)}, {result.end}</figcaption></figure>"


def _rooms(made: Layout, at: _At, scale: float) -> list[str]:
    shapes = []
    for room in made.rooms:
        west, south, east, north = room.rect
        x, y = at(west, north)
        size = f'width="{(east - west) * scale:.1f}" height="{(north - south) * scale:.1f}"'
        shapes.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="#f4f4f4" stroke="#666"/>')
    return shapes


def _things(made: Layout, at: _At) -> list[str]:
    shapes = []
    for placed in made.objects:
        x, y = at(*placed.at)
        asked = placed.kind == made.goal.kind
        fill = "#e90" if asked else "none"
        shapes.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="#555">'
            f"<title>{escape(placed.kind.name)}</title></circle>"
        )
    if made.target is None:
        x, y = at(*made.aim)
        shapes.append(f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="#e90"/>')
    return shapes


def _rate(results: Sequence[Result]) -> float:
    return sum(result.success for result in results) / len(results) if results else 0.0
