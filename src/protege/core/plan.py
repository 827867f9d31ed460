"""What a policy intends: the next H actions, one per frame period."""

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from protege.core.actions import Action
from protege.core.frame import Frame

HORIZON: Final = 7
"""Actions a policy predicts from one frame (0.7 s at 10 Hz), as in the source documents."""

FRAME_HZ: Final = 10.0
"""Slots a second of a policy whose model does not say."""


@dataclass(frozen=True)
class Plan:
    """steps: H actions, the first for the frame the plan was made from."""

    steps: tuple[Action, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a plan has at least one step")

    @property
    def done(self) -> bool:
        """Whether the goal is reached: every step holds no key."""
        return not any(self.steps)


class Policy(Protocol):
    """Decides what to press from a picture and a goal."""

    def predict(self, frame: Frame, goal: str) -> Plan: ...

    def warm_up(self) -> None:
        """Do whatever makes the first decision as fast as the next ones."""
        ...


@runtime_checkable
class Sampling(Protocol):
    """A policy that can be made to try other actions; temperature: 0 always takes the best one."""

    temperature: float


@runtime_checkable
class Selective(Protocol):
    """A policy that was trained on some goals only."""

    def knows(self, goal: str) -> bool: ...


@runtime_checkable
class Sure(Protocol):
    """A policy that knows how likely its plans are."""

    def probabilities(self) -> tuple[float, ...]:
        """(H,) of each step of its newest plan, 0 to 1, given the steps before it; () before the first."""
        ...
