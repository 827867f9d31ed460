"""The hold-out split by recording: one rule for training and for export."""

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
    """Choose whole groups at random until they hold `share` (0 to 1) of all samples.

    samples: how many each group (a recording, or a segment) has. The same groups and seed give the same answer,
    whatever their order. A group that would make it more than half, or more than `share` if that is more, is skipped;
    so of two groups or more at least one is held out and one is not.
    trained, held: groups that an earlier run trained on, and held out. Both stay where they are, so that a model that
    goes on with more data is never scored on what it has seen.
    """
    order = sorted(samples)  # the caller's order, which a file system may change, must not matter
    random.Random(seed).shuffle(order)
    total = sum(samples.values())
    held_out = {name for name in order if name in held}
    count = sum(samples[name] for name in held_out)
    for name in order:
        if count >= share * total:
            break
        # Skipped, not the end: after a group that is too large a smaller one may still fit.
        if name not in held_out and name not in trained and count + samples[name] <= max(share, 0.5) * total:
            held_out.add(name)
            count += samples[name]
    return held_out
