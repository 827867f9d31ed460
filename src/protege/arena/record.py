"""Writes Sessions of the expert playing, headless, as fast as the engine allows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.arena.engine import Engine
from protege.arena.expert import Expert
from protege.arena.rooms import Layout, layout
from protege.arena.state import DECISION_HZ, MAX_DECISIONS, Judge, tics_of
from protege.arena.tasks import Goal, Rooms, Task, find_goal, memory_goal
from protege.core import quality
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action, ActionSpace
from protege.core.events import End, Held, Key, Motion
from protege.core.events import Goal as GoalEvent
from protege.core.files import Json
from protege.core.frame import encode_jpeg
from protege.core.session import RECORDING, SessionError, SessionInfo, SessionWriter, library_versions, staged_session
from protege.errors import UserError

SOURCE: Final = "arena"
PERIOD_NS: Final = 1_000_000_000 // DECISION_HZ
TAIL_DECISIONS: Final = 8
"""Frames of standing still after arrival: they show a learner what "reached" looks like."""


@dataclass(frozen=True)
class Episode:
    """One recorded episode: where it lies, how it ended, its frames; `new` is False where it was there already."""

    folder: Path
    seed: int
    success: bool
    frames: int
    new: bool


def record_episodes(
    out: Path,
    episodes: int,
    seed: int,
    size: tuple[int, int] = (640, 480),
    noise: float = 0.05,
    goal: Goal | str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    task: Rooms = None,
    space: ActionSpace = KEYBOARD_12,
) -> list[Episode]:
    """Records the seeds `seed` to `seed + episodes - 1`, each as the session `out/arena_<seed>[_<goal>]`.

    task: leave out seeds whose own goal is of another kind, so that the last seed lies further on; a memory task asks
    for its goals, by turns, in every seed.
    noise: how often the expert errs (see Expert). A session that is there already is kept, so a second run goes on
    where the first was stopped; UserError before anything is recorded if one of them is not what was asked for. A
    session appears whole or not at all. Time in a session is game time, 100 ms a frame.
    space: the keys, and the mouse, that the expert plays with; the motion events of a frame sum to what it turned.
    """
    if episodes < 1 or seed < 0:
        raise UserError(f"expected at least one episode and a seed of 0 or more, got {episodes} and {seed}")
    asked = find_goal(goal) if isinstance(goal, str) else goal
    engine = Engine(size, space=space)
    rooms = rooms_of(episodes, seed, task, asked)
    folders = {number: out / session_name(number, goal) for number, goal in rooms.items()}
    there = {
        number: _recorded(folder, layout(number, rooms[number]), size, noise, space)
        for number, folder in folders.items()
        if folder.exists()
    }
    done: list[Episode] = []
    with engine:
        for number, folder in folders.items():
            episode = there.get(number)
            if episode is None:
                episode = _record(engine, folder, layout(number, rooms[number]), Expert(noise, number, space))
            done.append(episode)
            progress(len(done), len(folders))
    return done


def rooms_of(episodes: int, seed: int, task: Rooms = None, goal: Goal | None = None) -> dict[int, Goal | None]:
    """The first `episodes` seeds from `seed` on in which a task is asked for, and the goal where it is not the seed's
    own. goal: asked for in all of them.
    """
    numbers = count(seed)
    if isinstance(task, Task):
        numbers = (n for n in numbers if layout(n).goal.task is task)
    return {n: goal or memory_goal(task, n - seed) for n in islice(numbers, episodes)}


def session_name(seed: int, goal: Goal | None = None) -> str:
    """The folder of an episode; a goal that was asked for is part of it."""
    return f"arena_{seed:05d}" + (f"_{goal.name.replace(' ', '_')}" if goal else "")


def _recorded(folder: Path, made: Layout, size: tuple[int, int], noise: float, space: ActionSpace) -> Episode:
    """The episode that lies in a folder; UserError if it is not this one."""
    try:
        info = SessionInfo.load(folder)
    except (SessionError, OSError):
        raise UserError(f"{folder}: not a session of ours, so it stays; rename it, or give another --out") from None
    about = info.extra
    if info.source != SOURCE or about.get("seed") != made.seed or info.status == RECORDING:
        state = ", cut off" if info.status == RECORDING else ""
        raise UserError(
            f"{folder}: not the arena's episode of seed {made.seed} (source {info.source}{state}); "
            "rename or delete it, or give another --out"
        )
    for what, found, wanted in (
        ("--size", "{}x{}".format(*info.frame_size), f"{size[0]}x{size[1]}"),
        ("--game", info.space.name, space.name),
        ("--noise", str(about.get("noise")), str(float(noise))),
        ("--goal", repr(about.get("goal")), repr(made.goal.sentence)),
    ):
        if found != wanted:
            raise UserError(
                f"{folder}: recorded with {what} {found}, not {wanted}; ask for that, or give another --out"
            )
    if info.space != space:
        raise UserError(f"{folder}: recorded with other keys or another mouse of {space.name}; give another --out")
    return Episode(folder, made.seed, bool(about.get("success")), info.frames, new=False)


def _record(engine: Engine, folder: Path, made: Layout, expert: Expert) -> Episode:
    info = SessionInfo(
        space=engine.space,
        frame_hz=DECISION_HZ,
        frame_size=engine.size,
        source=SOURCE,
        libraries=library_versions("vizdoom", "numpy", "pillow"),
        extra=_about(made, expert.noise),
    )
    with staged_session(folder, "protege arena record") as part:
        with SessionWriter(part, info) as writer:
            judge = _play(engine, writer, made, expert)
            writer.finish(extra=judge.report())
        quality.judge(part)
    return Episode(folder, made.seed, judge.success, judge.decisions, new=True)


def _play(engine: Engine, writer: SessionWriter, made: Layout, expert: Expert) -> Judge:
    """The expert's episode, written as it happens."""
    writer.event(Held(0, NO_KEYS))
    writer.event(GoalEvent(0, made.goal.sentence))
    judge = Judge(made)
    held: Action = NO_KEYS
    for picture, action in steps(engine, expert, judge):
        t_ns = judge.decisions * PERIOD_NS
        for motion in motions(t_ns, engine.moved):
            writer.event(motion)
        writer.frame(t_ns, encode_jpeg(picture))
        action = engine.space.only(action)
        for key in sorted(held ^ action):
            writer.event(Key(t_ns, key, key in action))
        held = action
    t_ns = judge.decisions * PERIOD_NS
    for motion in motions(t_ns, engine.moved):
        writer.event(motion)
    for key in sorted(held):
        writer.event(Key(t_ns, key, False))
    writer.event(End(t_ns, str(judge.end)))
    return judge


def motions(end_ns: int, moved: Sequence[tuple[int, int]]) -> Iterator[Motion]:
    """How the mouse moved in each tic of the decision that ended at `end_ns`; within its frame's time."""
    for number, (dx, dy) in enumerate(moved):
        if dx or dy:
            yield Motion(end_ns - PERIOD_NS + PERIOD_NS * number // len(moved), dx, dy)


def steps(engine: Engine, expert: Expert, judge: Judge) -> Iterator[tuple[NDArray[np.uint8], Action]]:
    """The expert's episode in the judge's layout: each (H, W, 3) picture and the action that answers it, the last
    TAIL_DECISIONS of a success standing still.
    """
    state = engine.load(judge.layout)
    tail = TAIL_DECISIONS
    while judge.end is None or (judge.success and tail > 0):
        action = expert.act(state)
        tail -= int(judge.success)
        yield engine.picture(), action
        state = engine.step(action, tics_of(judge.decisions))
        judge.observe(state, action)


def _about(made: Layout, noise: float) -> dict[str, Json]:
    return {
        "goal": made.goal.sentence,
        "goal_name": made.goal.name,
        "paraphrases": list(made.goal.paraphrases),
        "task": str(made.goal.task),
        "seed": made.seed,
        "noise": float(noise),
        "objects": [placed.kind.name for placed in made.objects],
    }


assert TAIL_DECISIONS < MAX_DECISIONS
