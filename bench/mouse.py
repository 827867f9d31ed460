"""python -m bench mouse: the mouse of a game, recorded and played.

A part is a function in a file of its own (`bench/mouse_*.py`) that returns figures; add it to PARTS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench import mouse_decode, mouse_in, mouse_play, mouse_won
from protege.errors import UserError
from protege.evaluation.figures import Figure

Say = Callable[[str], None]


@dataclass(frozen=True)
class MouseBench:
    """parts: names of PARTS; seconds: length of each measurement; model: that was trained with a mouse, None for the
    tiny base, whose passes with a draft say nothing; chunks: to decode; demonstrations, epochs: of the policy from
    pixels that is trained with the mouse and with keys; episodes: rooms it plays.
    """

    parts: tuple[str, ...]
    seconds: float = 60.0
    model: str | None = None
    chunks: int = 200
    demonstrations: int = 1_200
    epochs: int = 5
    episodes: int = 200


PARTS: Final[Mapping[str, Callable[[MouseBench, Say], list[Figure]]]] = {
    "record": lambda bench, say: mouse_in.run(bench.seconds, say),
    "play": lambda bench, say: mouse_play.run(bench.seconds, say),
    "decode": lambda bench, say: mouse_decode.measure(bench.model, bench.chunks, say=say),
    "won": lambda bench, say: mouse_won.run(bench.demonstrations, bench.epochs, bench.episodes, say),
    "space": lambda bench, say: [mouse_decode.default_space_unchanged()],
}


def run(bench: MouseBench, say: Say = lambda text: None) -> list[Figure]:
    """The figures of the parts, in their order. UserError for a part that does not exist."""
    if unknown := [name for name in bench.parts if name not in PARTS]:
        raise UserError(f"--part {unknown[0][:40]!r}: expected one of {', '.join(PARTS)}")
    return _joined([PARTS[name](bench, say) for name in bench.parts or PARTS])


def _joined(found: Sequence[list[Figure]]) -> list[Figure]:
    return [figure for figures in found for figure in figures]
