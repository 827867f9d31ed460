"""Which recordings are held out for scores: one rule for whoever trains on them and whoever exports them."""

import random
from collections.abc import Collection, Mapping


def hold_out(
    samples: Mapping[str, int],
    share: float,
    seed: int,
    *,
    trained: Collection[str] = (),
    held: Collection[str] = (),
) -> set[str]:
    """Whole groups in an order that the seed decides, until they hold `share` (0 to 1) of all samples.

    samples: how many each group (a recording, or a segment) has. A group that would make it more than half, or more
    than `share` if that is more, is passed over; so of two groups or more at least one is held out and one is not.
    The same groups and seed give the same answer, whatever their order.
    trained, held: groups that an earlier run was trained on, and held out. Both stay where they are, so that a model
    that goes on with more data is never scored on what it has seen.
    """
    order = sorted(samples)
    random.Random(seed).shuffle(order)
    total = sum(samples.values())
    held_out = {name for name in order if name in held}
    count = sum(samples[name] for name in held_out)
    for name in order:
        if count >= share * total:
            break
        if name not in held_out and name not in trained and count + samples[name] <= max(share, 0.5) * total:
            held_out.add(name)
            count += samples[name]
    return held_out
