"""Turns the keys held in a segment into training examples: one window of the next actions a frame."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protege.core import HORIZON, NO_KEYS, Action, ActionSpace, Plan
from protege.core.chat import Sample
from protege.core.labeled import Segment, frame_name


def held_for(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(T, K) for how many frames, this one included, each key has been held; 0 where it is not."""
    at = np.arange(len(rows))[:, None]
    released = np.maximum.accumulate(np.where(rows, -1, at), axis=0)
    return np.where(rows, at - released, 0)


def one_key(rows: NDArray[np.bool_], space: ActionSpace) -> NDArray[np.bool_]:
    """(T, K) with at most one key a frame, for models whose slots name one key.

    A newly pressed key wins over one held longer. On a tie a key that neither moves nor turns wins (jump, use: they are
    tapped, and would be lost), then movement over camera, then the order of the columns.
    """
    pressable = space.pressable
    rank = [0 if k not in space.movement | space.camera else 1 if k in space.movement else 2 for k in pressable]
    order = np.array(rank) * len(pressable) + np.arange(len(pressable))
    held = rows[:, :-1]
    weight = held_for(held) * (order.max() + 1) + order
    winner = np.where(held, weight, np.iinfo(np.int64).max).argmin(axis=1)
    single = np.zeros_like(rows)
    any_held = held.any(axis=1)
    single[np.flatnonzero(any_held), winner[any_held]] = True
    single[:, -1] = ~any_held
    return single


def slots(
    actions: NDArray[np.bool_], spans: Sequence[tuple[int, int]], space: ActionSpace, *, chords: bool
) -> list[Action]:
    """The action that one slot names, for every frame of a session.

    actions: (T, K) multi-hot; spans: [start, stop) recorded without a break, since how long a key was held is not known
    across one.
    """
    rows = actions
    if not chords:
        rows = np.array(actions)
        for start, stop in spans:
            rows[start:stop] = one_key(actions[start:stop], space)
    kinds, kind = np.unique(rows, axis=0, return_inverse=True)
    decoded = space.decode(kinds)
    return [decoded[k] for k in kind.reshape(-1)]


def windows(
    steps: Sequence[Action], segment: Segment, horizon: int = HORIZON, *, keep_idle: bool = False
) -> list[tuple[int, Plan]]:
    """(frame, plan) of every training example of a segment; slot j of frame i is the action of frame i + j.

    steps: the session's slots. A window that reaches past the goal's end is padded with none if the goal is reached
    there, else left out: what would have come next is not known. Of a reached goal's last frame the plan is all none,
    which means done. Other windows that hold no key are left out unless `keep_idle`, so that all none means done.
    """
    found: list[tuple[int, Plan]] = []
    for i in range(segment.start, segment.stop):
        plan = list(steps[i : min(i + horizon, segment.goal_stop)])
        to_the_end = i + horizon >= segment.goal_stop
        if len(plan) < horizon:
            if not segment.reached:
                break
            plan += [NO_KEYS] * (horizon - len(plan))
        if segment.reached and i == segment.goal_stop - 1:
            plan = [NO_KEYS] * horizon
        if any(plan) or keep_idle or (segment.reached and to_the_end):
            found.append((i, Plan(tuple(plan))))
    return found


def samples(
    steps: Sequence[Action], segment: Segment, goal: str, horizon: int = HORIZON, *, keep_idle: bool = False
) -> list[Sample]:
    """The chat examples of a segment; pictures are numbered from its first frame."""
    return [
        Sample(frame_name(i - segment.start), goal, plan)
        for i, plan in windows(steps, segment, horizon, keep_idle=keep_idle)
    ]


def to_jsonl(found: Sequence[Sample], space: ActionSpace) -> str:
    """The text of samples.jsonl."""
    return "".join(json.dumps(sample.to_json(space), ensure_ascii=False) + "\n" for sample in found)
