"""Asks a back end for the goals of segments: cleans and checks each answer, and asks again with the reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.labeling.backends.base import Labeler, Question
from protege.labeling.contact_sheet import PICTURES, choose, contact_sheet, keys_in_words, times_s
from protege.labeling.goals import clean, complaint, words
from protege.labeling.segments import Segment
from protege.labeling.wording import Wording
from protege.play import Session

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


def ask_goals(
    session: Session,
    segments: Sequence[Segment],
    actions: NDArray[np.bool_] | None,
    labeler: Labeler,
    wording: Wording,
    pictures: int = PICTURES,
) -> Iterator[tuple[int, Found]]:
    """(position in `segments`, what was found), each as soon as it is known.

    actions: (T, K) of the session, or None if it has no keys.
    """
    last: dict[int, Found] = {}
    pending = list(range(len(segments)))
    for _ in range(ATTEMPTS if labeler.sees else 1):
        questions = (
            _question(i, session, segments[i], actions, wording, pictures, last.get(i))
            if labeler.sees
            else Question(i, stored=segments[i].goal)
            for i in pending
        )
        failed: list[int] = []
        for answer in labeler.answers(questions):
            goal = clean(answer.text) if labeler.sees else answer.text.strip()
            why = answer.problem or (complaint(goal) if labeler.sees else None)
            if why:
                last[answer.number] = Found(goal, why)
                failed.append(answer.number)
            else:
                yield answer.number, Found(goal)
        pending = sorted(failed)
    for i in pending:
        yield i, last[i]


def _question(
    number: int,
    session: Session,
    segment: Segment,
    actions: NDArray[np.bool_] | None,
    wording: Wording,
    pictures: int,
    before: Found | None,
) -> Question:
    times = times_s(session, segment, choose(segment, pictures))
    seconds = (int(session.t_ns[segment.stop - 1] - session.t_ns[segment.start]) + session.info.period_ns) / 1e9
    held = NO_KEYS_TEXT
    if actions is not None:
        held = keys_in_words(actions[segment.start : segment.stop], session.info.space, session.info.frame_hz)
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
