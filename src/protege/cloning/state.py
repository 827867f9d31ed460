"""Features of the game's state: ratios, relative positions, distances, directions, animation indices.

Scales and vocabularies are learned from the training episodes alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.cloning.config import StateConfig
from protege.core.files import Json
from protege.errors import UserError
from protege.settings import build

COLUMNS: Final = (
    *("hero_hp", "hero_max_hp", "hero_sp", "hero_max_sp", "hero_fp", "hero_max_fp"),
    *("hero_x", "hero_y", "hero_z", "hero_angle", "hero_animation"),
    *("npc_hp", "npc_max_hp", "npc_id", "npc_x", "npc_y", "npc_z", "npc_angle", "npc_animation"),
)
"""The columns of the documented state; angles in radians, positions in one unit. A state of another width is only
scaled.
"""
ANIMATIONS: Final = ("hero_animation", "npc_animation")
UNKNOWN: Final = 0
"""Index of an animation that is in no training episode."""
_RATIOS: Final = (("hero_hp", "hero_max_hp"), ("hero_sp", "hero_max_sp"), ("hero_fp", "hero_max_fp"))


@dataclass(frozen=True)
class StateEncoder:
    """Encodes (…, S) states as (…, F) float32 features: scaled numbers, then one index per vocabulary.

    config: which features there are
    width: S
    names: of the F features
    center, scale: of the numbers
    mirrored: (F,) -1 where mirroring turns the sign of a feature, else 1
    vocabularies: the known animation numbers of each stream; their indices start at 1
    """

    config: StateConfig
    width: int
    names: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    mirrored: tuple[int, ...]
    vocabularies: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def fit(cls, state: NDArray[np.float32], config: StateConfig | None = None) -> Self:
        """Learn an encoder from (N, S) states of the training episodes. UserError without any."""
        config = config or StateConfig()
        if state.ndim != 2 or not len(state):
            raise UserError(f"state of shape {state.shape}: expected rows of training episodes; record with state")
        numbers = _numbers(state.astype(np.float64), config)
        values = np.stack([column for _, column, _ in numbers], axis=-1)
        mirrored = tuple(-1 if turned else 1 for _, _, turned in numbers)
        # Mirroring turns the sign of a feature, so its zero must stay where it is.
        center = np.where(np.array(mirrored) < 0, 0.0, values.mean(axis=0))
        spread = values.std(axis=0)
        known: tuple[tuple[int, ...], ...] = ()
        names = tuple(name for name, _, _ in numbers)
        if _documented(state) and config.animations:
            columns = [state[:, COLUMNS.index(name)].astype(np.int64) for name in ANIMATIONS]
            known = tuple(tuple(int(value) for value in np.unique(column)) for column in columns)
            names, mirrored = (*names, *ANIMATIONS), (*mirrored, 1, 1)
        scale = np.where(spread > 1e-6, spread, 1.0)
        return cls(config, state.shape[1], names, tuple(center), tuple(scale), mirrored, known)

    @property
    def vocabulary_sizes(self) -> tuple[int, ...]:
        """How many indices each of the last features has, the unknown one included."""
        return tuple(len(known) + 1 for known in self.vocabularies)

    @property
    def num_features(self) -> int:
        return len(self.names)

    def encode(self, state: NDArray[np.float32]) -> NDArray[np.float32]:
        """(…, F) float32 features of (…, S) states. UserError for another S than the encoder was made for."""
        if state.shape[-1] != self.width:
            raise UserError(f"state of {state.shape[-1]} columns; this model was trained with {self.width}")
        numbers = _numbers(state.astype(np.float64), self.config)
        values = np.stack([column for _, column, _ in numbers], axis=-1)
        parts = [(values - np.array(self.center)) / np.array(self.scale)]
        for name, known in zip(ANIMATIONS, self.vocabularies, strict=False):
            ids = state[..., COLUMNS.index(name)].astype(np.int64)
            at = np.searchsorted(known, ids)
            found = np.array(known)[np.minimum(at, len(known) - 1)] == ids
            parts.append(np.where(found, at + 1, UNKNOWN)[..., None])
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def to_json(self) -> dict[str, Json]:
        return {**vars(self), "config": dict(vars(self.config))}

    @classmethod
    def from_json(cls, fields: Mapping[str, Json]) -> Self:
        """The inverse of `to_json`."""
        return build(cls, fields, "state.")


def _documented(state: NDArray[np.floating]) -> bool:
    return state.shape[-1] == len(COLUMNS)


def _numbers(state: NDArray[np.float64], config: StateConfig) -> Sequence[tuple[str, NDArray[np.float64], bool]]:
    """Of each continuous feature: its name, (…) values, and whether mirroring turns its sign."""
    if not _documented(state):
        return [(f"state_{n}", state[..., n], False) for n in range(state.shape[-1])]
    at = {name: state[..., n] for n, name in enumerate(COLUMNS)}
    found: list[tuple[str, NDArray[np.float64], bool]] = []
    pairs = [*_RATIOS, ("npc_hp", "npc_max_hp")]
    if config.ratios:
        found += [(f"{now}_ratio", np.clip(at[now] / np.maximum(at[most], 1), 0, 1), False) for now, most in pairs]
    else:
        found += [(name, at[name], False) for pair in pairs for name in pair]
    rel_x, rel_y, rel_z = (at[f"npc_{axis}"] - at[f"hero_{axis}"] for axis in "xyz")
    if config.relative:
        found += [("relative_x", rel_x, False), ("relative_y", rel_y, True), ("relative_z", rel_z, False)]
    else:
        found += [(f"{who}_{axis}", at[f"{who}_{axis}"], axis == "y") for who in ("hero", "npc") for axis in "xyz"]
    flat = np.hypot(rel_x, rel_y)
    if config.distances:
        found += [("distance_xy", flat, False), ("distance", np.hypot(flat, rel_z), False)]
    if config.directions:
        found += _directions(at, np.arctan2(rel_y, rel_x))
    else:
        found += [(name, at[name], True) for name in ("hero_angle", "npc_angle")]
    return found


def _directions(
    at: Mapping[str, NDArray[np.float64]], toward: NDArray[np.float64]
) -> list[tuple[str, NDArray[np.float64], bool]]:
    """Unit vectors: towards the opponent, on the map and as the player sees it, and where both look."""
    angles = {
        "toward": toward,
        "bearing": toward - at["hero_angle"],
        "hero_facing": at["hero_angle"],
        "npc_facing": at["npc_angle"],
    }
    # A reflection of the map turns every angle's sign: the cosine stays, the sine turns.
    found = [(f"{name}_cos", np.cos(angle), False) for name, angle in angles.items()]
    return found + [(f"{name}_sin", np.sin(angle), True) for name, angle in angles.items()]
