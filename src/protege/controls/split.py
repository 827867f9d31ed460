"""The train/validation/test split by recording, each session type by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from protege.controls.recordings import Source
from protege.errors import UserError

HELD_BACK: Final = ("validation", "test")


@dataclass(frozen=True)
class Split:
    """Recordings, each in one part. alone: types with too few recordings for both validation and test."""

    train: tuple[Source, ...]
    validation: tuple[Source, ...]
    test: tuple[Source, ...]
    alone: tuple[str, ...] = ()


def names(sources: Sequence[Source]) -> dict[str, Source]:
    """Recordings by the names that a split is stored by: file names, with folders where two are called alike."""
    found: dict[str, Source] = {}
    for source in sorted(sources, key=lambda s: str(s.path)):
        name = source.path.name
        for part in reversed(source.path.parts[:-1]):
            if name not in found:
                break
            name = f"{part}/{name}"
        found[name] = source
    return found


def split(
    sources: Sequence[Source],
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 42,
    before: Mapping[str, str] | None = None,
) -> Split:
    """Split whole recordings, each type by itself. The same recordings and seed give the same split.

    before: the parts of recordings by `names`, from a run that this one goes on from; they stay as they are.

    Of a type with three recordings or more, every part gets at least one; of two, one is trained on and the other held
    back; a single one is trained on. UserError says what to record when a part would stay empty.
    """
    if min(validation, test) <= 0 or validation + test >= 1:
        raise UserError(
            f"data.validation and data.test are {validation:g} and {test:g}; expected parts above 0 that leave some"
        )
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Source]] = {"train": [], "validation": [], "test": []}
    alone = []
    types = sorted({source.session_type for source in sources})
    known = {source.path: (before or {}).get(name) for name, source in names(sources).items()}
    for kind in types:
        # Sorted first: the order in which a file system lists them must not decide.
        group = sorted((s for s in sources if s.session_type == kind), key=lambda s: str(s.path))
        shuffled = [group[i] for i in rng.permutation(len(group))]
        if len(group) < 3:
            alone.append(kind)
        old = {name: [s for s in shuffled if known[s.path] == name] for name in parts}
        shuffled = [s for s in shuffled if known[s.path] not in parts]
        for name in parts:
            parts[name] += old[name]
        for name, size in _held_back(len(group), {"validation": validation, "test": test}, parts).items():
            more = max(0, size - len(old[name]))
            parts[name] += shuffled[:more]
            shuffled = shuffled[more:]
        parts["train"] += shuffled
    if empty := [name for name in HELD_BACK if not parts[name]]:
        counts = ", ".join(f"{sum(s.session_type == kind for s in sources)} {kind}" for kind in types)
        raise UserError(
            f"recordings ({counts or 'none'}): nothing is left for {' and '.join(empty)}; expected at least three of "
            f"one type; record {_more(sources, types)}"
        )
    return Split(tuple(parts["train"]), tuple(parts["validation"]), tuple(parts["test"]), tuple(alone))


def _held_back(count: int, shares: dict[str, float], parts: dict[str, list[Source]]) -> dict[str, int]:
    """Number of a type's recordings in each part that is not trained on."""
    if count == 1:
        return {}
    if count == 2:
        return {min(HELD_BACK, key=lambda name: len(parts[name])): 1}
    sizes = {name: max(1, round(count * share)) for name, share in shares.items()}
    while sum(sizes.values()) >= count:
        sizes[max(sizes, key=lambda name: sizes[name])] -= 1
    return sizes


def _more(sources: Sequence[Source], types: Sequence[str]) -> str:
    if not types:
        return "some"
    most = max(types, key=lambda kind: sum(s.session_type == kind for s in sources))
    return f"{3 - sum(s.session_type == most for s in sources)} more of type {most!r}"
