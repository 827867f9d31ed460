"""Plays the expert's episodes for whoever keeps pictures and keys as they come, such as a zarr store."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protege.arena.engine import Engine, drawn_size
from protege.arena.expert import Expert
from protege.arena.record import rooms_of, session_name, steps
from protege.arena.rooms import layout
from protege.arena.state import DECISION_HZ, ArenaState, Judge
from protege.arena.tasks import Goal, Rooms
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action, ActionSpace
from protege.errors import UserError

_OPTIONS: Final = {"noise": "--noise", "corrected": "--corrected"}
"""What episodes of one store have alike beside their size, and where it is asked for."""


class Store(Protocol):
    """Keeps episodes by name, each whole or not at all."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of what is kept of a picture."""
        ...

    def about(self, episode: str) -> Mapping[str, object] | None:
        """What is known of an episode, None where it is not there."""
        ...

    def add(
        self, episode: str, steps: Iterable[tuple[NDArray[np.uint8], Action]], goal: str, about: Mapping[str, object]
    ) -> int:
        """Keep (H, W, 3) pictures and the actions that answer them; returns how many."""
        ...


@dataclass(frozen=True)
class Recorded:
    """Episodes that are new, their frames, and how many of them reached their goal."""

    new: int
    frames: int
    won: int


class Corrected(Expert):
    """An expert that slips; `meant` is what one who sees the same and does not slip holds."""

    def __init__(self, noise: float, seed: int, space: ActionSpace = KEYBOARD_12) -> None:
        super().__init__(noise, seed, space)
        self._right = Expert(seed=seed, space=space)
        self.meant: Action = NO_KEYS

    def act(self, state: ArenaState) -> Action:
        self.meant = self._right.act(state)
        return super().act(state)


def record_steps(
    store: Store,
    episodes: int,
    seed: int,
    noise: float = 0.05,
    goal: Goal | None = None,
    task: Rooms = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    corrected: bool = False,
    space: ActionSpace = KEYBOARD_12,
) -> Recorded:
    """Record the same episodes as `record_episodes` into a store, drawn as small as the store's pictures allow.

    corrected: the keys that the expert should have held where it slips, not those it held (Laskey et al. 2017, DART).
    Episodes that are there are kept, so a second run goes on where the first was stopped; UserError before anything is
    recorded if one of them has another noise, or keys of the other kind.
    """
    rooms = rooms_of(episodes, seed, task, goal)
    names = {number: session_name(number, asked) for number, asked in rooms.items()}
    wanted = {"noise": noise, "corrected": corrected}
    there = {number for number, name in names.items() if _recorded(store, name, wanted)}
    todo = [number for number in names if number not in there]
    frames = won = 0
    with Engine(drawn_size(store.size), space=space) as engine:
        for done, number in enumerate(todo, 1):
            made = layout(number, rooms[number])
            judge, expert = Judge(made), Corrected(noise, number, space)
            played = steps(engine, expert, judge)
            kept = ((picture, expert.meant if corrected else held) for picture, held in played)
            about = {"seed": number, "fps": DECISION_HZ, "task": str(made.goal.task), **wanted}
            frames += store.add(names[number], kept, made.goal.sentence, about)
            won += judge.success
            progress(done, len(todo))
    return Recorded(len(todo), frames, won)


def _recorded(store: Store, name: str, wanted: Mapping[str, object]) -> bool:
    """Whether the store has an episode; UserError if it was recorded otherwise."""
    found = store.about(name)
    if found is None:
        return False
    for key, value in wanted.items():
        if found.get(key) != value:
            raise UserError(
                f"{store.name}: {name} was recorded with {_OPTIONS[key]} {found.get(key)}, not {value}; ask for that, "
                "or name another store"
            )
    return True
