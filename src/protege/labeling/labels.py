"""Where a key press becomes a label.

events.jsonl → keys_per_frame   (T, K) the keys each frame holds; Session.motion: (T, 2) of the mouse
             → attach_keys      segment.json: `held` (all keys) and `slots` (what the model is to name)
             → windows          for every frame the next H slots, padded with none where the goal is reached
             → samples_text     samples.jsonl, one chat line a window
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core import HORIZON, NO_KEYS, Action, ActionSpace, Plan, Session
from protege.core.chat import Sample
from protege.core.directions import apart
from protege.core.labeled import NO_SAMPLES, LabeledSegment, Segment, Shape, frame_name

KEYLESS: Final = "the session has no keys (it was imported from a plain video)"


def keys_per_frame(session: Session, tau_ms: float = 0.0) -> NDArray[np.bool_] | None:
    """(T, K) multi-hot: the keys held for the larger part of each frame's interval; None if the session has no keys.

    tau_ms: the player's reaction time, by which keys are moved to earlier frames.
    """
    return None if session.info.extra.get("keys") is False else session.actions(tau_ms)


def attach_keys(
    session: Session,
    pieces: Sequence[LabeledSegment],
    keys: NDArray[np.bool_] | None,
    motion: NDArray[np.int64],
    shape: Shape,
) -> list[LabeledSegment]:
    """The segments with `held` and `slots` filled in, from their start as far as their windows look.

    keys: (T, K) of the session, or None if it has none: its segments then give no samples; motion: (T, 2) counts of the
    mouse; shape: of all of them.
    """
    if keys is None:
        return [replace(piece, status=NO_SAMPLES, why=KEYLESS) for piece in pieces]
    space = session.info.space
    spans = [(span.start, span.stop) for span in session.spans()]
    held = _actions(keys, space)
    named = held if shape.chords and not apart(space) else slots(keys, spans, space, chords=shape.chords)
    if space.look is not None:
        turned = space.turned(motion)
        held, named = ([a | b for a, b in zip(steps, turned, strict=True)] for steps in (held, named))
    complete: list[LabeledSegment] = []
    for piece in pieces:
        # The last window starts at stop - 1, so it sees horizon - 1 frames of the next segment, if the goal goes on.
        seen = slice(piece.start, min(piece.goal_stop, piece.stop + shape.horizon - 1))
        complete.append(replace(piece, held=tuple(held[seen]), slots=tuple(named[seen])))
    return complete


def slots(
    keys: NDArray[np.bool_], spans: Sequence[tuple[int, int]], space: ActionSpace, *, chords: bool
) -> list[Action]:
    """The action that one slot names, for each of T frames.

    keys: (T, K) multi-hot; spans: [start, stop) recorded without a break.
    """
    rows = np.array(keys)
    # span by span, because how long a key has been held is not known across a break
    for start, stop in spans:
        rows[start:stop] = without_opposites(keys[start:stop], space) if chords else one_key(keys[start:stop], space)
    return _actions(rows, space)


def _actions(rows: NDArray[np.bool_], space: ActionSpace) -> list[Action]:
    """The actions of (T, K) multi-hot rows."""
    # an hour has 36,000 frames but few different rows: decode each kind once
    kinds, kind = np.unique(rows, axis=0, return_inverse=True)
    decoded = space.decode(kinds)
    return [decoded[k] for k in kind.reshape(-1)]


def one_key(keys: NDArray[np.bool_], space: ActionSpace) -> NDArray[np.bool_]:
    """(T, K) with at most one key a frame, for models whose slots name one key.

    A newly pressed key wins over one held longer. On a tie a key that neither moves nor turns wins (jump, use: they are
    tapped, and would be lost), then movement over camera, then the order of the columns.
    """
    pressable = space.pressable
    rank = [0 if k not in space.movement | space.camera else 1 if k in space.movement else 2 for k in pressable]
    order = np.array(rank) * len(pressable) + np.arange(len(pressable))
    held = keys[:, :-1]
    weight = held_for(held) * (order.max() + 1) + order
    winner = np.where(held, weight, np.iinfo(np.int64).max).argmin(axis=1)
    single = np.zeros_like(keys)
    any_held = held.any(axis=1)
    single[np.flatnonzero(any_held), winner[any_held]] = True
    single[:, -1] = ~any_held
    return single


def without_opposites(keys: NDArray[np.bool_], space: ActionSpace) -> NDArray[np.bool_]:
    """(T, K) without keys whose opposite is held, too: the newer one stays, on a tie the first in the space's order."""
    rows, held = np.array(keys), held_for(keys[:, :-1])
    for key, others in apart(space).items():
        one = space.index(key)
        for other in map(space.index, others):
            newer = held[:, one] < held[:, other] if one > other else held[:, one] <= held[:, other]
            rows[:, other] &= ~(keys[:, one] & keys[:, other] & newer)
    return rows


def held_for(keys: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(T, K) for how many frames, this one included, each key has been held; 0 where it is not."""
    at = np.arange(len(keys))[:, None]
    released = np.maximum.accumulate(np.where(keys, -1, at), axis=0)
    return np.where(keys, at - released, 0)


def windows(
    steps: Sequence[Action], segment: Segment, horizon: int = HORIZON, *, keep_idle: bool = False
) -> list[tuple[int, Plan]]:
    """(frame, plan) of every training example of a segment; slot j of frame i is the action of frame i + j.

    steps: the session's slots. A window that reaches past the goal's end is padded with none if the goal is reached
    there, else left out: what would have come next is not known. The plan of a reached goal's last frame is all none,
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


def windows_of(labeled: LabeledSegment) -> list[tuple[int, Plan]]:
    """The `windows` of a segment with keys, frames counted from its first."""
    shape = labeled.shape
    return windows(labeled.slots, labeled.segment, shape.horizon, keep_idle=shape.keep_idle)


def samples_text(labeled: LabeledSegment) -> str:
    """The text of a segment's samples.jsonl."""
    found = [Sample(frame_name(i), labeled.goal, plan) for i, plan in windows_of(labeled)]
    return "".join(json.dumps(sample.to_json(labeled.space), ensure_ascii=False) + "\n" for sample in found)
