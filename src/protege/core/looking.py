"""Looking with the mouse: how far the view turned during one frame, as bins that grow outward.

Mu-law bins (ITU-T G.711): fine where a hand aims, coarse where it swings round.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.core.files import Json

BUTTONS: Final = ("mouse_left", "mouse_middle", "mouse_right", "mouse_4", "mouse_5")
WHEEL: Final = ("wheel_up", "wheel_down")
"""Keys of an action space that are no keys of the keyboard. A notch of the wheel is a press of one frame."""
LETTERS: Final = "ABCDEFGHIJKLMNOPRSTUV"
"""How bins are spelled, from the middle letter K outward: yaw in capitals, pitch in small letters (" K", " k").

With the space before it each is one token of Qwen's vocabulary, and of the tiny base's, which has no " Q".
"""
MOST_BINS: Final = len(LETTERS)
COUNTS_PER_TURN: Final = 5400.0
"""Where a profile does not say: 15 counts a degree."""
YAW_BINS, PITCH_BINS = 21, 11
YAW_LIMIT_DEG, PITCH_LIMIT_DEG = 60.0, 30.0
"""Centre of the outermost bin, in degrees a frame; what is faster falls into it."""
MU: Final = 30.0


@dataclass(frozen=True)
class Axis:
    """One direction of the mouse.

    name: "yaw" or "pitch"; symbols: (B,) what a slot says for each bin; edges: (B - 1,) increasing counts between
    neighbouring bins; centres: (B,) counts that are moved for each bin. B is odd; the middle bin stands still.
    """

    name: str
    symbols: tuple[str, ...]
    edges: tuple[float, ...]
    centres: tuple[float, ...]

    def __post_init__(self) -> None:
        bins = len(self.symbols)
        if not (3 <= bins <= MOST_BINS and bins % 2 and len(self.edges) == bins - 1 and len(self.centres) == bins):
            raise ValueError(f"an axis has an odd number of bins, 3 to {MOST_BINS}, with an edge between two")
        if len(set(self.symbols)) != bins or any(not s or "+" in s or " " in s for s in self.symbols):
            raise ValueError(f"bins of an axis have names of their own, got {self.symbols}")
        if not np.all(np.diff([x for pair in zip(self.centres, self.edges, strict=False) for x in pair]) > 0):
            raise ValueError("centres and edges of an axis grow by turns: centre, edge, centre, …")
        if self.centres[bins // 2] != 0:
            raise ValueError("the middle bin of an axis stands still")

    @property
    def letters(self) -> str:
        """(B,) how the bins are spelled as capitals."""
        first = (MOST_BINS - len(self.symbols)) // 2
        return LETTERS[first : first + len(self.symbols)]

    @property
    def rest(self) -> str:
        """The symbol of the bin that stands still; an action leaves it out."""
        return self.symbols[len(self.symbols) // 2]

    def bins(self, counts: NDArray[np.number]) -> NDArray[np.intp]:
        """(T,) number of the bin of each motion; counts: (T,) summed over one frame."""
        return np.searchsorted(np.asarray(self.edges), counts, side="right")

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "symbols": list(self.symbols),
            "edges": list(self.edges),
            "centres": list(self.centres),
        }

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError on anything else."""
        symbols = fields["symbols"]
        if not isinstance(symbols, list) or len(symbols) > MOST_BINS or not all(isinstance(s, str) for s in symbols):
            raise TypeError("an axis lists the symbols of its bins")
        numbers = [tuple(float(number) for number in fields[name]) for name in ("edges", "centres")]
        if not all(np.isfinite(number) for row in numbers for number in row):
            raise ValueError("edges and centres of an axis are numbers")
        return cls(str(fields["name"]), tuple(symbols), *numbers)


@dataclass(frozen=True)
class Look:
    """The mouse of an action space. yaw, pitch: right and down are positive; counts_per_turn: counts of the mouse for
    a whole turn of the view.
    """

    yaw: Axis
    pitch: Axis
    counts_per_turn: float

    @property
    def axes(self) -> tuple[Axis, Axis]:
        return self.yaw, self.pitch

    @cached_property
    def symbols(self) -> frozenset[str]:
        return frozenset(self.yaw.symbols + self.pitch.symbols)

    def spell(self, bins: Sequence[int]) -> tuple[str, str]:
        """The text of a bin of each axis, with the space in front: (" K", " k") stands still."""
        yaw, pitch = (" " + axis.letters[b] for axis, b in zip(self.axes, bins, strict=True))
        return yaw, pitch.lower()

    def read(self, letters: Sequence[str]) -> tuple[int, int] | None:
        """The bins that `spell` wrote, without their spaces; None for anything else."""
        known = (self.yaw.letters, self.pitch.letters.lower())
        if len(letters) != 2 or any(len(one) != 1 or one not in row for one, row in zip(letters, known, strict=True)):
            return None
        return known[0].index(letters[0]), known[1].index(letters[1])

    def bins(self, action: Iterable[str]) -> tuple[int, int]:
        """The bins (yaw, pitch) of an action's symbols; the middle one of an axis without a symbol."""
        yaw, pitch = (
            next((axis.symbols.index(s) for s in action if s in axis.symbols), len(axis.symbols) // 2)
            for axis in self.axes
        )
        return yaw, pitch

    def turned(self, bins: Sequence[int]) -> frozenset[str]:
        """The symbols of a bin of each axis, without those that stand still; the inverse of `bins`."""
        return frozenset(axis.symbols[b] for axis, b in zip(self.axes, bins, strict=True)) - self.at_rest

    @property
    def at_rest(self) -> frozenset[str]:
        """The symbols that an action leaves out."""
        return frozenset(axis.rest for axis in self.axes)

    @property
    def degrees_per_count(self) -> float:
        return 360.0 / self.counts_per_turn

    def to_json(self) -> dict[str, Json]:
        return {
            "yaw": self.yaw.to_json(),
            "pitch": self.pitch.to_json(),
            "counts_per_turn": self.counts_per_turn,
        }

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError on anything else."""
        turn = float(fields["counts_per_turn"])
        if not 1 <= turn <= 1e6:
            raise ValueError(f"counts_per_turn is {turn:g}")
        return cls(Axis.from_json(fields["yaw"]), Axis.from_json(fields["pitch"]), turn)


def mu_law_axis(name: str, symbols: tuple[str, ...], limit: float, mu: float = MU) -> Axis:
    """An axis whose outermost bins are centred on -limit and limit counts, with mu-law distances between."""

    def expand(x: NDArray[np.float64]) -> tuple[float, ...]:
        counts = np.sign(x) * np.expm1(np.abs(x) * np.log1p(mu)) / mu * limit
        return tuple(float(count) for count in np.round(counts, 3))

    # Edges lie half-way in the compressed scale, where the bins are equally wide.
    steps = np.linspace(-1, 1, 2 * len(symbols) - 1)
    return Axis(name, symbols, expand(steps[1::2]), expand(steps[::2]))


def symbols(prefix: str, bins: int) -> tuple[str, ...]:
    """Names of the bins of an axis, by their distance from the middle: ("yaw-1", "yaw0", "yaw1") of three."""
    return tuple(f"{prefix}{step}" for step in range(-(bins // 2), bins // 2 + 1))


def look(counts_per_turn: float = COUNTS_PER_TURN) -> Look:
    """The mouse of a game in which so many counts are a whole turn."""
    degree = counts_per_turn / 360
    return Look(
        mu_law_axis("yaw", symbols("yaw", YAW_BINS), YAW_LIMIT_DEG * degree),
        mu_law_axis("pitch", symbols("pitch", PITCH_BINS), PITCH_LIMIT_DEG * degree),
        counts_per_turn,
    )
