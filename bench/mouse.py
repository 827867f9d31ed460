"""python -m bench mouse: the mouse of a game, recorded and played.

A part is a function in a file of its own (`bench/mouse_*.py`) that returns figures; add it to PARTS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench import mouse_in
from protege.errors import UserError
from protege.evaluation.figures import Figure

Say = Callable[[str], None]


@dataclass(frozen=True)
class MouseBench:
    """parts: names of PARTS; seconds: length of each measurement."""

    parts: tuple[str, ...]
    seconds: float = 60.0


PARTS: Final[Mapping[str, Callable[[MouseBench, Say], list[Figure]]]] = {
    "record": lambda bench, say: mouse_in.run(bench.seconds, say),
}


def run(bench: MouseBench, say: Say = lambda text: None) -> list[Figure]:
    """The figures of the parts, in their order. UserError for a part that does not exist."""
    if unknown := [name for name in bench.parts if name not in PARTS]:
        raise UserError(f"--part {unknown[0][:40]!r}: expected one of {', '.join(PARTS)}")
    return _joined([PARTS[name](bench, say) for name in bench.parts or PARTS])


def _joined(found: Sequence[list[Figure]]) -> list[Figure]:
    return [figure for figures in found for figure in figures]
