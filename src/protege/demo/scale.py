"""How much the demo does."""

from dataclasses import dataclass
from typing import Final

from protege.errors import UserError


@dataclass(frozen=True)
class Scale:
    """window_s: seconds recorded in the window; episodes: recorded headless; steps: of fine-tuning, `batch` samples
    each; cloned: episodes recorded for the policy from pixels; epochs: of its training; played: episodes of each policy
    and of each baseline; live: episodes through the window.
    """

    window_s: float = 20.0
    episodes: int = 400
    steps: int = 800
    batch: int = 16
    cloned: int = 300
    epochs: int = 10
    played: int = 50
    live: int = 3

    def __post_init__(self) -> None:
        counts = (self.episodes, self.steps, self.batch, self.epochs, self.played, self.live)
        if self.window_s <= 0 or min(counts) < 1 or self.cloned < 3:
            raise UserError(f"the demo does at least one of everything, and clones from 3 episodes on; got {self}")


FULL: Final = Scale()
QUICK: Final = Scale(window_s=5.0, episodes=60, steps=100, cloned=100, epochs=8, played=30, live=1)
