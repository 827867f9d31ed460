"""`protege arena`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from protege.arena.tasks import TASKS, Task
from protege.commands.choose import arena_game_option, ask_arena
from protege.commands.progress import bar
from protege.commands.types import SEED, Count, Number, Size, examples
from protege.core.paths import raw_playthrough, shown

if TYPE_CHECKING:
    from protege.arena.tasks import Rooms
    from protege.core.actions import ActionSpace


@click.group(
    "arena",
    epilog=examples(
        "protege arena play",
        "protege arena record --episodes 100 --seed 5000",
        "protege arena goals",
    ),
)
def command() -> None:
    """The built-in game: goal-conditioned rooms in a real Doom engine.

    Layouts follow from a seed. Seeds below 5,000 are what the base model was trained on, 5,000 to 9,999 are for your
    recordings, and 10,000 and up are for evaluation.
    """


GOAL = click.option("--goal", help="Ask for this goal in every episode. Default: what the seed says.")


@command.command("play", epilog=examples("protege arena play", 'protege arena play --goal "Go to the red torch"'))
@click.option("--seed", type=SEED, default=5000, show_default=True, help="The first layout.")
@click.option("--episodes", type=Count(0), default=0, help="How many layouts; 0: until you close the window.")
@click.option("--size", type=Size(), default="640x480", show_default=True, help="Size of the window.")
@click.option(
    "--seconds",
    type=Number(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Game time until an episode is over.",
)
@click.option("--log", type=click.Path(path_type=Path), help="Write the engine's own record of every tic to this file.")
@arena_game_option
@GOAL
def play(
    seed: int,
    episodes: int,
    size: tuple[int, int],
    seconds: float,
    log: Path | None,
    game: str | None,
    goal: str | None,
) -> int:
    """Play it yourself: w a s d move, the arrow keys look, enter opens doors. The goal stands in the title.

    With --game arena-mouse it is the mouse that looks.
    """
    from protege.arena.window import play_until_closed

    return play_until_closed(seed, episodes, size, seconds, goal, None if log is None else str(log), ask_arena(game))


@command.command(
    "record",
    epilog=examples(
        "protege arena record --episodes 100 --seed 5000",
        'protege arena record --episodes 20 --seed 6000 --goal "Go to the lantern" --size 320x240',
        "protege arena record --episodes 100 --game arena-mouse",
        "protege arena record --episodes 300 --zarr dataset/episodes.zarr --size 80x60 --noise 0.1 --corrected",
    ),
)
@click.option("--episodes", type=Count(1), default=20, show_default=True, help="How many layouts.")
@click.option("--seed", type=SEED, default=5000, show_default=True, help="The first layout.")
@click.option("--size", type=Size(), default="640x480", show_default=True, help="Size of the frames.")
@click.option("--noise", type=Number(0, 1), default=0.05, show_default=True, help="How often the player errs.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for sessions. Default: dataset/raw_playthrough.")
@click.option(
    "--task",
    type=click.Choice([*TASKS]),
    help="Only layouts whose own goal is of this kind; both_torches, go_back, other_door: ask for this goal, which no "
    "layout has by itself; memory: for these three by turns.",
)
@click.option(
    "--zarr", type=click.Path(path_type=Path), help="Write zarr episodes of any --size to this store instead."
)
@click.option(
    "--corrected",
    is_flag=True,
    help="With --zarr: where the player errs, write the keys it should have held, not those it held (Laskey et al. "
    "2017, DART).",
)
@arena_game_option
@GOAL
def record(
    episodes: int,
    seed: int,
    size: tuple[int, int],
    noise: float,
    out: Path | None,
    task: str | None,
    game: str | None,
    goal: str | None,
    zarr: Path | None,
    corrected: bool,
) -> None:
    """Record a scripted player without a screen, as fast as the engine allows; one session an episode.

    What is recorded already is kept: a second run goes on where the first was stopped.
    """
    from protege.arena.record import record_episodes

    kind, space = None if task is None else TASKS[task], ask_arena(game)
    if goal and not isinstance(kind, Task | None):
        raise click.UsageError(f"--goal and --task {task}: both say what to ask for; give one of them")
    if zarr is not None:
        if out is not None:
            raise click.UsageError("--zarr and --out: episodes go to one place; give one of them")
        _record_zarr(zarr, episodes, seed, size, noise, goal, kind, corrected, space)
        return
    if corrected:
        raise click.UsageError("--corrected: a session holds the keys that were pressed; give --zarr STORE with it")
    folder = out or raw_playthrough()
    with bar("episodes") as progress:
        done = record_episodes(folder, episodes, seed, size, noise, goal, progress, kind, space)
    won = sum(episode.success for episode in done)
    new = sum(episode.new for episode in done)
    frames = sum(episode.frames for episode in done)
    click.echo(f"{shown(folder)}: {len(done)} sessions ({new} new), {frames} frames, {won} reached their goal")


def _record_zarr(
    path: Path,
    episodes: int,
    seed: int,
    size: tuple[int, int],
    noise: float,
    goal: str | None,
    task: "Rooms",
    corrected: bool,
    space: "ActionSpace",
) -> None:
    from protege.arena.record_steps import record_steps
    from protege.arena.tasks import find_goal
    from protege.cloning.episodes import StepStore
    from protege.core.actions import KEYBOARD_12

    asked = find_goal(goal) if goal else None
    own = None if space is KEYBOARD_12 else space
    store = StepStore(path, space.pressable, size, source="arena", doing="protege arena record", space=own)
    with store, bar("episodes") as progress:
        found = record_steps(store, episodes, seed, noise, asked, task, progress, corrected, space)
    click.echo(
        f"{shown(path)}: {episodes} episodes ({found.new} new: {found.frames} frames, {found.won} reached their goal)"
    )


@command.command("goals", epilog=examples("protege arena goals"))
def goals() -> None:
    """List the goals, each with its paraphrases."""
    from protege.arena.tasks import GOALS, MEMORY_GOALS

    for goal in GOALS.values():
        click.echo(f"{goal.sentence}   ({'; '.join(goal.paraphrases)})")
    click.echo("\nOne picture cannot decide these (--task memory):")
    for goal in MEMORY_GOALS.values():
        click.echo(f"{goal.sentence}   ({'; '.join(goal.paraphrases)})")
