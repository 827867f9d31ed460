"""What a back end does: it answers questions about pictures, in any order, a few at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

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
    """text: what the model said; problem: why it cannot be used, or None; failed: the server caused the problem."""

    number: int
    text: str = ""
    problem: str | None = None
    failed: bool = False


class Labeler(Protocol):
    """A model that names goals. name: stands in every segment it labeled."""

    @property
    def name(self) -> str: ...

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """One answer for every question, in any order; takes questions only as it needs them.

        BackendError if it cannot work at all.
        """
        ...


@dataclass(frozen=True)
class Given:
    """Goals that are known, in place of a model. goal: of every segment; None for those stored in the sessions."""

    goal: str | None = None
    name: ClassVar[str] = "given"
