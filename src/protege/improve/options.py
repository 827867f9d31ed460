"""What `protege improve` is asked for, checked before anything is played."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.arena.rooms import EVAL_SEED_START
from protege.arena.tasks import find_goal
from protege.core.actions import NO_KEYS, Action
from protege.errors import UserError
from protege.evaluation.episodes import Job

ARENA: Final = "arena"
WINDOW: Final = "window"
GAMES: Final = (ARENA, WINDOW)
EXPERT: Final = "expert"
ME: Final = "me"
PEOPLE: Final = {EXPERT: ARENA, ME: WINDOW}
"""Who corrects, and in which game: the expert knows the arena's rooms, a person needs a window and a keyboard."""
FIRST_SEED: Final = 7_000


@dataclass(frozen=True)
class ImproveOptions:
    """A loop of corrections.

    out: the folder of everything it makes.
    model: the folder of the fine-tuned model to begin with; it stays as it is.
    data: the labeled segments, or for a policy from pixels the zarr store, that it was trained on, to which corrections
    are added; None for what its config names.
    game: "arena" (headless) or "window" (the one that has the focus); None for the person's.
    person: "expert" or "me".
    goals: names or sentences of the arena's goals, for a window any; none in the arena: each room's own.
    rounds: how often at most.
    minutes: of play in each round, by the game's clock.
    episodes: rooms of the arena to score in, from room 10,000 on; of a window: held-out samples.
    seed: the first room to correct in, 5,000 to 9,999.
    window: part of the game's title.
    never: keys that are not pressed in it, whatever the model says.
    overrides: changes to the model's training configuration, as KEY=VALUE.
    """

    out: Path
    model: Path
    data: Path | None = None
    game: str | None = None
    person: str = EXPERT
    goals: tuple[str, ...] = ()
    rounds: int = 3
    minutes: float = 5.0
    episodes: int = 100
    seed: int = FIRST_SEED
    window: str | None = None
    never: Action = NO_KEYS
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.person not in PEOPLE:
            raise UserError(f"--person {self.person}: expected expert or me")
        if self.game not in (None, *GAMES):
            raise UserError(f"--game {self.game}: expected arena or window")
        if self.place != PEOPLE[self.person]:
            raise UserError(
                f"--person {self.person} plays in --game {PEOPLE[self.person]}, not {self.game}; "
                "to correct in the arena yourself, open it with: protege arena play"
            )
        if self.rounds < 1 or self.episodes < 1 or self.minutes <= 0:
            raise UserError("expected at least one of --rounds and --episodes, and --minutes above 0")
        if not 5_000 <= self.seed < EVAL_SEED_START:
            raise UserError(
                f"--seed {self.seed}: rooms to correct in are 5,000 to 9,999; rooms from {EVAL_SEED_START:,} on are "
                "those that models are scored in"
            )
        if self.place == WINDOW and not self.goals:
            raise UserError('--person me: say what the agent is to do: --goal "Go to the lantern"')
        if self.place == ARENA:
            self.asked()

    @property
    def place(self) -> str:
        """The game that is played."""
        return self.game or PEOPLE.get(self.person, ARENA)

    def asked(self) -> list[str | None]:
        """Names of the arena's goals to ask for by turns, [None] for each room's own."""
        return [find_goal(goal).name for goal in self.goals] or [None]

    def rooms(self, first: int, count: int) -> list[Job]:
        """Rooms of the arena from a seed on, with the goals asked for by turns."""
        goals = self.asked()
        return [Job(first + n, goals[n % len(goals)]) for n in range(count)]

    def identity(self) -> dict[str, object]:
        """What must stay the same where a loop goes on."""
        return {
            "model": str(self.model.absolute()),
            "data": None if self.data is None else str(self.data.absolute()),
            "person": self.person,
            "goals": list(self.goals),
            "minutes": float(self.minutes),
            "episodes": self.episodes,
            "seed": self.seed,
            "overrides": list(self.overrides),
        }
