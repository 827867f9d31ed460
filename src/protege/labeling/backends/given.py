"""The goal is known: the built-in game stored it in the session, or the user names it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protege.labeling.backends.base import Answer, Question


@dataclass(frozen=True)
class Given:
    """goal: for every segment; without it, the goal that is stored in the session."""

    goal: str | None = None
    name: str = "given"
    sees: bool = False

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        for question in questions:
            goal = self.goal or question.stored
            yield Answer(question.number, goal or "", None if goal else "no goal is stored")
