"""How many of the expert's first actions can anybody predict who does not know what was held a moment ago?

python -m bench.train_bound [--episodes 200] [--held-out 40]

Boosted trees that are told where the goal and whatever is in the way stand, from the engine's own state, but nothing
of the past: about what a perfect eye for single pictures would know. Beside them the baseline that only repeats what
was held, for an expert without slips and for one with them.
"""

import argparse
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.train import HELD_OUT_SEED, TRAIN_SEED
from protege.arena.engine import Engine
from protege.arena.expert import Expert
from protege.arena.rooms import Layout, layout
from protege.arena.state import ArenaState, Judge, tics_of
from protege.arena.tasks import Task
from protege.core import KEYBOARD_12
from protege.evaluation.figures import Figure, as_table
from protege.labeling.labels import one_key

TASKS: Final = tuple(Task)
SLIPS: Final = (0.0, 0.03)
AFTER_DONE: Final = 8
FAR: Final = (9999.0, 0.0)


def run(episodes: int, held_out: int) -> list[Figure]:
    """First-action accuracy on held-out episodes, for each chance of a slip."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    knows, repeats = [], []
    none = KEYBOARD_12.index("none")
    task: Any = [0]  # the column that is a name, see `visible`
    for noise in SLIPS:
        with Engine((160, 120)) as engine:
            old = [play(engine, TRAIN_SEED + number, noise) for number in range(episodes)]
            new = [play(engine, HELD_OUT_SEED + number, noise) for number in range(held_out)]
        trees = HistGradientBoostingClassifier(learning_rate=0.05, max_iter=300, categorical_features=task)
        trees.fit(np.concatenate([known for known, _ in old]), np.concatenate([pressed for _, pressed in old]))
        truth = np.concatenate([pressed for _, pressed in new])
        before = np.concatenate([np.concatenate([[none], pressed[:-1]]) for _, pressed in new])
        knows.append(float((trees.predict(np.concatenate([known for known, _ in new])) == truth).mean()))
        repeats.append(float((before == truth).mean()))
    slips = " and ".join(f"{noise:.0%}" for noise in SLIPS)
    return [
        Figure("bound_first_action", knows, f"{knows[0]:.3f} and {knows[1]:.3f} at {slips} slips"),
        Figure("bound_repeat_last", repeats, f"{repeats[0]:.3f} and {repeats[1]:.3f}"),
    ]


def play(engine: Engine, seed: int, noise: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(T, F) what can be known at each decision of an episode, and (T,) the columns of what the expert pressed."""
    made = layout(seed)
    expert, judge, state = Expert(noise, seed), Judge(made), engine.load(made)
    known, pressed, after = [], [], 0
    while judge.end is None or (judge.success and after < AFTER_DONE):
        keys = expert.act(state)
        after += judge.success
        known.append(visible(made, state))
        pressed.append(keys)
        state = engine.step(keys, tics_of(judge.decisions))
        judge.observe(state, keys)
    return np.array(known), one_key(KEYBOARD_12.encode(pressed), KEYBOARD_12).argmax(1)


def visible(made: Layout, state: ArenaState) -> list[float]:
    """Task, bearing and distance of the goal, of the opening between rooms and of the two nearest objects, and the
    angle at which a door or picture on a wall is seen.
    """
    pose, goal = state.pose, made.goal.task
    wall, here = made.wall(goal), (pose.x, pose.y)
    opening, apart = FAR, False
    if made.opening is not None:
        opening = (pose.distance(made.opening.center), pose.bearing(made.opening.center))
        apart = made.rooms[0].holds(here) != made.rooms[0].holds(made.aim)
    near = sorted((pose.distance(other.at), pose.bearing(other.at)) for other in made.distractors)
    first, second = [*near, FAR, FAR][:2]
    return [
        TASKS.index(goal),
        *(pose.bearing(made.aim), pose.distance(made.aim), *opening, apart, state.door_gap),
        wall.incidence_deg(here) if wall is not None else -1.0,
        *(*first, *second),
    ]


def main(argv: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--held-out", type=int, default=40)
    args = parser.parse_args(argv)
    print(as_table(run(args.episodes, args.held_out)))


if __name__ == "__main__":
    main()
