"""The split into training, validation and test episodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from protege.cloning.store import Dataset, Episode
from protege.errors import UserError

RATIOS: Final = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class Splits:
    """The episodes of each part; none is in two, and `test` may be empty."""

    train: tuple[Episode, ...]
    validation: tuple[Episode, ...]
    test: tuple[Episode, ...]


def split(
    dataset: Dataset, ratios: Sequence[float] = RATIOS, seed: int = 42, before: Mapping[str, str] | None = None
) -> Splits:
    """Shuffle the usable episodes by `seed` and share them out by `ratios` (train, validation, test).

    Each part gets at least one episode, but for test where its ratio is 0 or there are only two episodes.

    before: by an episode's identity, its part in an earlier run, which it keeps

    UserError for ratios that do not add up to 1, or a single episode.
    """
    if len(ratios) != 3 or min(ratios[:2]) <= 0 or ratios[2] < 0 or abs(sum(ratios) - 1) > 1e-6:
        raise UserError(
            f"the split's ratios are {list(ratios)}; expected three that add up to 1, those to train and to validate "
            "above 0"
        )
    count = len(dataset.episodes)
    if count < 2:
        raise UserError(
            f"{dataset.path}: {count} usable episode; expected 2 or more, one to train and one to validate; record more"
        )
    order = np.random.default_rng(seed).permutation(count)
    held_out = [max(1, round(count * ratio)) if ratio else 0 for ratio in ratios[1:]]
    if count == 2:
        held_out = [1, 0]
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
