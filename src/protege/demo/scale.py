"""How much the demo does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protege.arena.tasks import Task
from protege.errors import UserError

MIX: Final[Mapping[Task, float]] = {Task.OPEN_DOOR: 0.21, Task.CLIMB_STAIRS: 0.14, Task.CHECK_POSTERS: 0.14}
"""Shares of the recorded episodes; the rest go to one of the eleven objects. A room in twelve has a door to open."""
FIRST_GOALS: Final = ("lantern", "stairs", "door", "posters")
"""What the agent is asked for first of all, in this order."""


@dataclass(frozen=True)
class Scale:
    """window_s: seconds recorded in the window; episodes: recorded headless; steps: of fine-tuning, `batch` samples
    each; cloned: episodes recorded for the policy from pixels; epochs: of its training; played: episodes of each policy
    and of each baseline, and a fifth as many of each of FIRST_GOALS; live: episodes of each of these through the
    window.
    """

    window_s: float = 20.0
    episodes: int = 430
    steps: int = 800
    batch: int = 16
    cloned: int = 1_200
    epochs: int = 5
    played: int = 50
    live: int = 1

    def __post_init__(self) -> None:
        counts = (self.episodes, self.steps, self.batch, self.epochs, self.played, self.live)
        if self.window_s <= 0 or min(counts) < 1 or self.cloned < 3:
            raise UserError(f"the demo does at least one of everything, and clones from 3 episodes on; got {self}")

    def tasks(self, episodes: int) -> dict[Task, int]:
        """How many of so many episodes are of each task."""
        rare = {task: round(share * episodes) for task, share in MIX.items()}
        return {Task.GO_TO: episodes - sum(rare.values()), **rare}


FULL: Final = Scale()
QUICK: Final = Scale(window_s=5.0, episodes=60, steps=100, cloned=140, epochs=8, played=30, live=1)
