"""What others may hear of a run while it goes on: recording, the status line and the stuck detector listen here."""

from dataclasses import dataclass

from protege.agent.worker import Prediction
from protege.core.actions import Action
from protege.core.events import Motion
from protege.core.frame import Frame


@dataclass(frozen=True)
class Slot:
    """One time step: its number, when it was due and when its keys were held, which ones, from which prediction (and
    which of its steps), who plays, for which goal, and why the agent holds nothing ("" when it may).
    """

    number: int
    deadline_ns: int
    t_ns: int
    action: Action
    prediction: Prediction | None
    step: int
    by: str
    goal: str | None
    waiting: str


class Listener:
    """Does nothing; a listener overrides what it wants to hear. All calls come from the loop's thread."""

    def frame(self, frame: Frame) -> None:
        """A picture was taken; there is one in every slot in which the game has the keyboard."""

    def slot(self, slot: Slot) -> None:
        """A slot has begun and its keys are held."""

    def human_key(self, t_ns: int, key: str, down: bool) -> None:
        """A person pressed or released a key of the action space in the game."""

    def motion(self, motion: Motion) -> None:
        """The mouse moved in the game, by whoever plays."""

    def control(self, t_ns: int, by: str) -> None:
        """From here on somebody else plays."""

    def focus(self, t_ns: int, focused: bool) -> None:
        """The game lost or got the keyboard."""

    def goal(self, t_ns: int, goal: str) -> None:
        """A goal begins."""

    def goal_ended(self, t_ns: int, goal: str, how: str) -> None:
        """A goal ended: "success", "changed" or "stopped"."""
