"""Asks a back end for the goals of segments: cleans and checks each answer, and asks again with the reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core import Session
from protege.core.labeled import Segment
from protege.core.session import SessionError
from protege.labeling.backends.base import Labeler, Question
from protege.labeling.contact_sheet import PICTURES, choose, contact_sheet, keys_in_words, times_s
from protege.labeling.goals import clean, complaint, unusable, words
from protege.labeling.wording import Wording

ATTEMPTS: Final = 3
"""A failing answer is asked again with the reason, twice."""

NO_KEYS_TEXT: Final = "not recorded"


@dataclass(frozen=True)
class Found:
    """A goal for one segment; why: what is wrong with it after the last attempt, or ""; seen: it was written before, so
    a person may have approved it."""

    goal: str
    why: str = ""
    seen: bool = False


@dataclass(frozen=True)
class Item:
    """A segment to ask about; actions: (T, K) of its session, or None if that has no keys."""

    session: Session
    actions: NDArray[np.bool_] | None
    segment: Segment


def ask_goals(
    items: Sequence[Item], labeler: Labeler, wording: Wording, pictures: int = PICTURES
) -> Iterator[tuple[int, Found]]:
    """(position in `items`, what was found), each as soon as it is known."""
    last: dict[int, Found] = {}
    pending = list(range(len(items)))
    for _ in range(ATTEMPTS if labeler.sees else 1):
        failed: list[int] = []
        unread: dict[int, str] = {}
        questions = _questions(pending, items, labeler, wording, pictures, last, unread)
        for answer in labeler.answers(questions):
            goal = clean(answer.text) if labeler.sees else answer.text.strip()
            why = answer.problem or (complaint(goal) if labeler.sees else unusable(goal))
            if why:
                last[answer.number] = Found(goal, why)
                failed.append(answer.number)
            else:
                yield answer.number, Found(goal)
        yield from ((i, Found("", why)) for i, why in unread.items())
        pending = sorted(failed)
        if not pending:
            return
    yield from ((i, last[i]) for i in pending)


def _questions(
    numbers: Sequence[int],
    items: Sequence[Item],
    labeler: Labeler,
    wording: Wording,
    pictures: int,
    before: dict[int, Found],
    unread: dict[int, str],
) -> Iterator[Question]:
    """The questions, each made when it is needed; segments whose pictures cannot be read go to `unread`."""
    for i in numbers:
        if not labeler.sees:
            yield Question(i, stored=items[i].segment.goal)
            continue
        try:
            yield _question(i, items[i], wording, pictures, before.get(i))
        except SessionError as error:
            unread[i] = str(error)


def _question(number: int, item: Item, wording: Wording, pictures: int, before: Found | None) -> Question:
    session, segment = item.session, item.segment
    times = times_s(session, segment, choose(segment, pictures))
    seconds = (int(session.t_ns[segment.stop - 1] - session.t_ns[segment.start]) + session.info.period_ns) / 1e9
    held = NO_KEYS_TEXT
    if item.actions is not None:
        held = keys_in_words(item.actions[segment.start : segment.stop], session.info.space, session.info.frame_hz)
    text = wording.ask(times, seconds, held)
    if before is not None and before.goal:
        text = wording.ask_again(text, before.goal, before.why)
    return Question(number, text, contact_sheet(session, segment, pictures))


def ask_paraphrases(
    goals: Sequence[str], number: int, labeler: Labeler, wording: Wording
) -> dict[str, tuple[str, ...]]:
    """Up to `number` other ways to say each goal; those that are no good instruction are dropped."""
    unique = list(dict.fromkeys(goals))
    if not number or not labeler.sees:
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
