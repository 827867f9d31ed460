"""What a back end is: something that answers questions about pictures, in any order, a few at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from protege.errors import ProtegeError


class BackendError(ProtegeError):
    """The model or its server cannot be used at all; what was answered before is kept."""


@dataclass(frozen=True)
class Question:
    """number: returned with the answer; picture: a contact sheet as JPEG bytes."""

    number: int
    text: str = ""
    picture: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """text: what the model said; problem: why that cannot be used, or None; failed: the server is to blame for it."""

    number: int
    text: str = ""
    problem: str | None = None
    failed: bool = False


class Labeler(Protocol):
    """A model that looks at segments. name: stands in every segment it labeled."""

    @property
    def name(self) -> str: ...

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """One answer for every question, in any order; takes questions only as it needs them.

        BackendError if it cannot work at all.
        """
        ...


@dataclass(frozen=True)
class Given:
    """No model: the goal is known. goal: of every segment; None for those that the built-in game stored."""

    goal: str | None = None
    name: str = "given"
