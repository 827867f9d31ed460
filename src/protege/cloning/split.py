"""Which episodes are trained on, which choose the best weights, and which are only ever reported on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from protege.cloning.store import Dataset, Episode
from protege.errors import UserError

RATIOS: Final = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class Splits:
    """Episodes of each part, none of them empty and no episode in two."""

    train: tuple[Episode, ...]
    validation: tuple[Episode, ...]
    test: tuple[Episode, ...]


def split(
    dataset: Dataset, ratios: Sequence[float] = RATIOS, seed: int = 42, before: Mapping[str, str] | None = None
) -> Splits:
    """The usable episodes of a data set, shuffled by `seed` and shared out by `ratios` (train, validation, test).

    Each part gets at least one episode. before: the parts of episodes that an earlier run had, by what is in them; they
    stay, whatever comes to them. UserError for ratios that do not add up to 1, or fewer than three episodes.
    """
    if len(ratios) != 3 or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise UserError(f"the split's ratios are {list(ratios)}; expected three above 0 that add up to 1")
    count = len(dataset.episodes)
    if count < 3:
        raise UserError(
            f"{dataset.path}: {count} usable episode{'s' if count > 1 else ''}; expected at least 3, one each to "
            "train, to validate and to test; record more"
        )
    order = np.random.default_rng(seed).permutation(count)
    held_out = [max(1, round(count * ratio)) for ratio in ratios[1:]]
    while sum(held_out) > count - 1:
        held_out[held_out.index(max(held_out))] -= 1
    known = [before.get(episode.identity) if before else None for episode in dataset.episodes]
    parts = {name: [i for i in order if known[i] == name] for name in ("train", "validation", "test")}
    new = [i for i in order if known[i] not in parts]
    for name, size in (("test", held_out[1]), ("validation", held_out[0])):
        left = max(0, len(new) - max(0, size - len(parts[name])))
        parts[name] += new[left:]
        new = new[:left]
    parts["train"] += new
    if not parts["train"]:
        raise UserError(
            f"{dataset.path}: all of its episodes were held back by the run before; record more, or start over with "
            "training.resume=never"
        )
    return Splits(*(tuple(dataset.episodes[i] for i in sorted(chosen)) for chosen in parts.values()))
