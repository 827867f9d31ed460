"""Finds the goals of segments: asks a model, cleans and checks each answer, and asks again with the reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core import Session
from protege.core.labeled import Segment
from protege.core.session import SessionError
from protege.labeling.backends.base import Given, Labeler, Question
from protege.labeling.contact_sheet import choose, contact_sheet, keys_in_words, times_s
from protege.labeling.goals import clean, complaint, unusable, words
from protege.labeling.wording import Wording

ATTEMPTS: Final = 3
"""A failing answer is asked again with the reason, twice."""

NO_KEYS_TEXT: Final = "not recorded"


@dataclass(frozen=True)
class Found:
    """A goal for one segment.

    why: what is wrong with it after the last attempt, or ""
    seen: it was written before, so a person may have approved it
    """

    goal: str
    why: str = ""
    seen: bool = False


@dataclass(frozen=True)
class Item:
    """A segment to ask about. keys: (T, K) multi-hot of its session, or None if that has none; motion: (T, 2) counts of
    the mouse.
    """

    session: Session
    keys: NDArray[np.bool_] | None
    motion: NDArray[np.int64]
    segment: Segment


def find_goals(
    items: Sequence[Item], labeler: Labeler | Given, wording: Wording, pictures: int
) -> Iterator[tuple[int, Found]]:
    """Yields (position in `items`, goal), each as soon as it is known.

    A model is asked again about each answer that `complaint` rejects. Given goals need only be usable: whoever gave
    them knows better.
    """
    if isinstance(labeler, Given):
        for i, item in enumerate(items):
            goal = (labeler.goal or item.segment.goal or "").strip()
            yield i, Found(goal, unusable(goal) or "")
        return
    failed: dict[int, Found] = {}
    pending = list(range(len(items)))
    for _ in range(ATTEMPTS):
        before, failed = failed, {}
        unread: dict[int, str] = {}
        for answer in labeler.answers(_questions(pending, items, wording, pictures, before, unread)):
            goal = clean(answer.text)
            if why := answer.problem or complaint(goal):
                failed[answer.number] = Found(goal, why)
            else:
                yield answer.number, Found(goal)
        yield from ((i, Found("", why)) for i, why in unread.items())
        pending = sorted(failed)
        if not pending:
            return
    yield from sorted(failed.items())


def _questions(
    numbers: Sequence[int],
    items: Sequence[Item],
    wording: Wording,
    pictures: int,
    before: dict[int, Found],
    unread: dict[int, str],
) -> Iterator[Question]:
    """Questions, each made when it is needed. Reasons of segments whose pictures cannot be read go to `unread`."""
    for i in numbers:
        try:
            yield _question(i, items[i], wording, pictures, before.get(i))
        except SessionError as error:
            unread[i] = str(error)


def _question(number: int, item: Item, wording: Wording, pictures: int, before: Found | None) -> Question:
    session, segment = item.session, item.segment
    times = times_s(session, segment, choose(segment, pictures))
    seconds = (int(session.t_ns[segment.stop - 1] - session.t_ns[segment.start]) + session.info.period_ns) / 1e9
    held = NO_KEYS_TEXT
    if item.keys is not None:
        frames = slice(segment.start, segment.stop)
        motion = item.motion[frames]
        held = keys_in_words(item.keys[frames], session.info.space, session.info.frame_hz, motion)
    text = wording.ask(times, seconds, held)
    if before is not None and before.goal:
        text = wording.ask_again(text, before.goal, before.why)
    return Question(number, text, contact_sheet(session, segment, pictures))


def ask_paraphrases(
    goals: Sequence[str], number: int, labeler: Labeler, wording: Wording
) -> dict[str, tuple[str, ...]]:
    """Up to `number` other ways to say each goal; those that are no good instruction are dropped."""
    unique = list(dict.fromkeys(goals))
    if not number:
        return {}
    questions = (Question(i, wording.ask_paraphrases(goal, number)) for i, goal in enumerate(unique))
    found: dict[str, tuple[str, ...]] = {}
    for answer in labeler.answers(questions):
        goal = unique[answer.number]
        seen = {tuple(words(goal))}
        kept: list[str] = []
        for line in answer.text.splitlines():
            said = clean(line)
            if complaint(said) is None and tuple(words(said)) not in seen:
                seen.add(tuple(words(said)))
                kept.append(said)
        found[goal] = tuple(kept[:number])
    return found
