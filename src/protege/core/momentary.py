"""Momentary keys: pressed for an instant and seldom, such as "use" or "jump".

From one picture nobody can tell in which slot such a press falls, so a model spreads its probability over several slots
and in none of them is it the likeliest action.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from protege.core.actions import ActionSpace

NEAR: Final = 2
"""Slots before and after a press within which it counts as predicted: about a person's reaction time at 10 Hz."""
LONGEST: Final = NEAR
"""Most slots that the median press lasts. A press of L slots that may begin up to NEAR slots early or late covers a
slot with probability L / (2 NEAR + 1) at best: 2 in 5 is below one half, so "none" wins; 3 in 5 is above it.
"""
RAREST: Final = 0.05
"""Largest share of the slots: above one in twenty a press of two slots comes every four seconds at 10 Hz, which is
learned as a habit. In recordings of the built-in game's doors "enter" has 0.03, and no model pressed it.
"""


@dataclass(frozen=True)
class Presses:
    """How a key is used. count: presses; median: slots of one; share: of all slots, 0 to 1."""

    count: int
    median: float
    share: float


def momentary(space: ActionSpace, lengths: Mapping[str, Mapping[int, int]], slots: int) -> dict[str, Presses]:
    """The momentary keys of some play, in the order of the space.

    Keys that move or turn are none: what one slot too few of them leaves undone is seen in the next picture.
    lengths: by key how many of its presses lasted so many slots; slots: of all of the play.
    """
    found: dict[str, Presses] = {}
    for key in space.pressable:
        held = {n: count for n, count in lengths.get(key, {}).items() if count}
        if not held or key in space.movement | space.camera:
            continue
        median = float(np.median(np.repeat(list(held), list(held.values()))))
        presses = Presses(sum(held.values()), median, sum(n * count for n, count in held.items()) / max(1, slots))
        if median <= LONGEST and presses.share <= RAREST:
            found[key] = presses
    return found
