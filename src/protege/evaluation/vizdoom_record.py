"""Sessions of a scenario's scripted player: what both policies of `protege bench vizdoom --all` learn from."""

import random
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import NO_KEYS, Action
from protege.core.events import CUT, End, Goal, Held, Key
from protege.core.frame import encode_jpeg
from protege.core.session import SessionInfo, SessionWriter, library_versions, staged_session
from protege.evaluation.vizdoom_game import GOALS, ScenarioGame
from protege.evaluation.vizdoom_players import PLAYERS, Scene

TRAIN_SEED: Final = 100_000
"""Episodes to learn from begin here, those that are scored at --seed, so that none is in both."""
FINE_TICS: Final = 2
"""Of a decision: with 4 the smallest turn is 7 degrees, and a monster far away cannot be aimed at."""
DRAWN: Final = (160, 120)
SLIP: Final = 0.03
"""The chance, at every decision, that the player reacts late, holding its last keys on, or holds a wrong key."""
SLIP_DECISIONS: Final = (4, 10)
"""For how long: a policy that errs does so for a quarter of a second or more, walking past somebody who shoots."""
LONGEST: Final = 300
"""Decisions that are kept of an episode; what comes later looks the same."""
TAIL: Final = 18
"""Steps of a second, by which an episode is lengthened."""


def game(scenario: str, truth: bool = False) -> ScenarioGame:
    """The engine as everybody plays in it."""
    return ScenarioGame(scenario, FINE_TICS, DRAWN, truth)


def record(
    out: Path, scenario: str, episodes: int, step: Callable[[], None] = lambda: None, longest: int = LONGEST
) -> None:
    """Episodes as the sessions `out/SCENARIO_000` and so on; those that are there are kept. step: called after each.

    The player slips, and the session holds the keys that it should have held: so they show the way back from where a
    policy's own mistakes lead (Laskey et al. 2017, DART). Each session appears whole or not at all.
    """
    with game(scenario, truth=True) as played:
        for number in range(episodes):
            folder = out / f"{scenario}_{number:03d}"
            if not folder.exists():
                seed = TRAIN_SEED + number
                played.new(seed)
                _write(folder, played, islice(steps(played, random.Random(f"slips {seed}")), longest))
            step()


def steps(played: ScenarioGame, rng: random.Random, slip: float = SLIP) -> Iterator[tuple[NDArray[np.uint8], Action]]:
    """The rest of an episode: each (H, W, 3) picture and what the player means to hold, which is not what it holds
    where it slips.
    """
    player = PLAYERS[played.scenario]
    held: Action = NO_KEYS
    wrong: list[Action] = []
    while not played.over:
        meant = player(Scene(played.engine))
        yield played.picture(), meant
        if not wrong and rng.random() < slip:
            late = held and rng.random() < 0.5
            wrong = [held if late else frozenset((rng.choice(played.keys),))] * rng.randint(*SLIP_DECISIONS)
        held = wrong.pop() if wrong else meant
        played.press(held)


def _lengthened(
    taken: Iterator[tuple[NDArray[np.uint8], Action]],
) -> Iterator[tuple[NDArray[np.uint8], Action]]:
    """The last step again for a second: plans that would go on past the end are not trained on, though some scenarios
    end with what matters most, and what is shorter than a second is not labeled.
    """
    last = None
    for last in taken:
        yield last
    if last is not None:
        yield from repeat(last, TAIL)


def _write(folder: Path, played: ScenarioGame, taken: Iterator[tuple[NDArray[np.uint8], Action]]) -> None:
    goal = GOALS[played.scenario]
    info = SessionInfo(
        frame_hz=35 / played.tics,
        frame_size=played.size,
        source="vizdoom",
        libraries=library_versions("vizdoom", "numpy", "pillow"),
        extra={"scenario": played.scenario, "goal": goal, "noise": SLIP, "corrected": True},
    )
    with (
        staged_session(folder, "protege bench vizdoom") as part,
        SessionWriter(part, info) as writer,
    ):
        writer.event(Held(0, NO_KEYS))
        writer.event(Goal(0, goal))
        held: Action = NO_KEYS
        t_ns = 0
        for number, (picture, action) in enumerate(_lengthened(taken)):
            t_ns = number * played.tics * 1_000_000_000 // 35
            writer.frame(t_ns, encode_jpeg(picture))
            for key in sorted(held ^ action):
                writer.event(Key(t_ns, key, key in action))
            held = action
        t_ns += played.tics * 1_000_000_000 // 35
        for key in sorted(held):
            writer.event(Key(t_ns, key, False))
        writer.event(End(t_ns, CUT))  # "success" would teach to stop there
        writer.finish()
