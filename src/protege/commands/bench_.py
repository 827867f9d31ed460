"""`protege bench`: how well a policy plays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from protege.commands.choose import arena_game_option, ask_arena
from protege.commands.types import SEED, Count, Number, examples
from protege.evaluation.figures import Figure, as_json, as_table

ELSEWHERE: Final = ("record", "label", "decode", "live", "train", "cloning", "controls", "improve", "studio")
"""Benchmarks of the toolkit itself; they stand beside the package, not in it."""


class Benchmarks(click.Group):
    """Says where a benchmark went that is not in the package."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ELSEWHERE:
            raise click.UsageError(
                f"{cmd_name} measures the toolkit itself; in a clone of the project run: python -m bench {cmd_name}"
            )
        return super().get_command(ctx, cmd_name)


@click.group("bench", cls=Benchmarks, epilog=examples("protege bench arena --model models/gameplay_agent_lora"))
def command() -> None:
    """How well does a policy play?

    Each prints a table of its figures and their targets, or with --json one object. The results we publish, each
    with its command, machine and date, stand in docs/benchmarks.md.
    """


AS_JSON = click.option("--json", "json_", is_flag=True, help="Print one JSON object instead of a table.")
DECODING = click.option(
    "--decoding",
    type=click.Choice(["auto", "greedy"]),
    default="auto",
    show_default=True,
    help="auto: as the model's card says; greedy: the likeliest action of every slot.",
)


@command.command(
    "arena",
    epilog=examples(
        "protege bench arena --model models/gameplay_agent_lora --episodes 100",
        "protege bench arena --model random --episodes 50 --page arena.html",
    ),
)
@click.option("--model", required=True, help="Folder, server, or random, repeat, majority, expert.")
@click.option("--episodes", type=Count(1), default=100, show_default=True, help="Rooms to play.")
@click.option(
    "--task",
    default="all",
    show_default=True,
    help="Only goals of this kind: go_to, open_door, climb_stairs, check_posters. Kept apart from all: both_torches, "
    "go_back, other_door, which one picture cannot decide, and memory: these three by turns.",
)
@click.option("--seed", type=SEED, default=10_000, show_default=True, help="The first room; 10,000 or later.")
@click.option("--swaps", type=Count(0), default=50, show_default=True, help="Episodes with another object asked.")
@click.option("--live", type=Count(0), default=0, show_default=True, help="Episodes through the real window.")
@click.option("--execute", type=Count(1, 7), default=1, show_default=True, help="Slots before re-planning.")
@click.option("--temperature", type=Number(0), default=0.0, show_default=True)
@DECODING
@arena_game_option
@click.option("--processes", type=Count(1), default=1, show_default=True, help="Arenas at once.")
@click.option("--ray", is_flag=True, help="Spread the episodes over a Ray cluster.")
@click.option("--page", type=click.Path(path_type=Path), help="Write film strips and maps here.")
@AS_JSON
def arena(
    model: str,
    task: str,
    execute: int,
    temperature: float,
    decoding: str,
    game: str | None,
    json_: bool,
    **options: Any,
) -> None:
    """How often does a policy reach its goal, by playing, in rooms that nothing was trained on?"""
    from protege.arena.tasks import TASKS
    from protege.evaluation import arena
    from protege.evaluation.episodes import Player

    if task not in ("all", *TASKS):
        raise click.UsageError(f"--task {task}: expected one of {', '.join(TASKS)}, all")
    space = None if game is None else ask_arena(game)
    player = Player(model, execute=execute, temperature=temperature, decoding=decoding, game=space)
    _show(arena.run(arena.ArenaBench(player, task=TASKS.get(task), **options), _say), json_)


@command.command(
    "vizdoom",
    epilog=examples(
        "protege bench vizdoom --model models/gameplay_agent_lora --scenario deadly_corridor",
        "protege bench vizdoom --model cloned --scenario health_gathering",
        "protege bench vizdoom --all --policies pixels --folder models/vizdoom",
    ),
)
@click.option("--model", help="Folder, server, or random, scripted, repeat, majority, cloned.")
@click.option("--all", "all_", is_flag=True, help="Train and score the pixel policy and the tiny VLM in 5 scenarios.")
@click.option("--scenario", help="One of ViZDoom's, e.g. my_way_home.  [default: deadly_corridor]")
@click.option("--episodes", type=Count(1), help="Of everybody who plays.  [default: 20; 50 with --all]")
@click.option("--goal", help="What the model is told. Default: the scenario's own task.")
@click.option("--execute", type=Count(1, 7), default=1, show_default=True, help="Slots before re-planning.")
@click.option("--temperature", type=Number(0), default=0.0, show_default=True)
@DECODING
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the first episode.")
@click.option("--trained-on", type=Count(3), default=100, show_default=True, help="Episodes, for cloned and --all.")
@click.option("--policies", help="With --all: pixels, vlm or pixels,vlm.  [default: pixels,vlm]")
@click.option("--folder", type=click.Path(path_type=Path), help="With --all: keep what is made, and go on there.")
@AS_JSON
def vizdoom(
    json_: bool,
    all_: bool,
    model: str | None,
    scenario: str | None,
    goal: str | None,
    policies: str | None,
    folder: Path | None,
    temperature: float,
    decoding: str,
    episodes: int | None,
    **options: Any,
) -> None:
    """How much reward does a policy get in ViZDoom's public scenarios, beside random keys?

    With --all: in basic, deadly_corridor, health_gathering, defend_the_center and my_way_home, how much of the way from
    random keys to a scripted player do the pixel policy and the tiny VLM go, trained on episodes of that player?
    """
    from protege.agent.vision import VisionOptions

    vision = VisionOptions(temperature=temperature, decoding=decoding)
    if all_:
        _refuse("--all plays five scenarios with its own models", model=model, scenario=scenario, goal=goal)
        from protege.evaluation import vizdoom_all

        names = tuple((policies or ",".join(vizdoom_all.POLICIES)).split(","))
        every = vizdoom_all.VizdoomAll(names, folder, episodes=episodes or 50, vision=vision, **options)
        _show(vizdoom_all.run(every, _say), json_)
        return
    _refuse("without --all there is one model", policies=policies, folder=folder)
    if model is None:
        raise click.UsageError("give --model MODEL, or --all")
    from protege.evaluation import vizdoom

    one = {"scenario": scenario or "deadly_corridor", "episodes": episodes or 20, "goal": goal, "vision": vision}
    _show(vizdoom.run(vizdoom.VizdoomBench(model, **one, **options), _say), json_)


def _refuse(why: str, **given: object) -> None:
    """Usage errors for options that would do nothing."""
    for name, value in given.items():
        if value is not None:
            raise click.UsageError(f"--{name} {value}: {why}; leave it out")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show(figures: list[Figure], json_: bool) -> None:
    render: Callable[[list[Figure]], str] = as_json if json_ else as_table
    click.echo(render(figures))
