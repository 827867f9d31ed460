"""Which recordings are held out for scores: one rule for whoever trains on them and whoever exports them."""

import random
from collections.abc import Mapping


def hold_out(samples: Mapping[str, int], share: float, seed: int) -> set[str]:
    """Whole groups in an order that the seed decides, until they hold `share` (0 to 1) of all samples.

    samples: how many each group (a recording, or a segment) has. A group that would make it more than half, or more
    than `share` if that is more, is passed over; so of two groups or more at least one is held out and one is not.
    The same groups and seed give the same answer, whatever their order.
    """
    order = sorted(samples)
    random.Random(seed).shuffle(order)
    total = sum(samples.values())
    held_out: set[str] = set()
    held = 0
    for name in order:
        if held >= share * total:
            break
        if held + samples[name] <= max(share, 0.5) * total:
            held_out.add(name)
            held += samples[name]
    return held_out
