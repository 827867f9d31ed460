"""`protege bench`: how well a policy plays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from protege.commands.types import SEED, Count, Number, examples
from protege.evaluation.figures import Figure, as_json, as_table

ELSEWHERE: Final = ("record", "label", "decode", "live", "train", "cloning", "controls", "improve")
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
@click.option(
    "--decoding",
    type=click.Choice(["auto", "greedy"]),
    default="auto",
    show_default=True,
    help="auto: as the model's card says; greedy: the likeliest action of every slot.",
)
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
    json_: bool,
    **options: Any,
) -> None:
    """How often does a policy reach its goal, by playing, in rooms that nothing was trained on?"""
    from protege.arena.tasks import TASKS
    from protege.evaluation import arena
    from protege.evaluation.episodes import Player

    if task not in ("all", *TASKS):
        raise click.UsageError(f"--task {task}: expected one of {', '.join(TASKS)}, all")
    player = Player(model, execute=execute, temperature=temperature, decoding=decoding)
    _show(arena.run(arena.ArenaBench(player, task=TASKS.get(task), **options), _say), json_)


@command.command(
    "vizdoom",
    epilog=examples(
        "protege bench vizdoom --model models/gameplay_agent_lora --scenario deadly_corridor",
        "protege bench vizdoom --model random --scenario my_way_home --episodes 10",
        "protege bench vizdoom --model cloned --scenario deadly_corridor",
    ),
)
@click.option("--model", required=True, help="Folder, server, or random, scripted, repeat, majority, cloned.")
@click.option("--scenario", default="deadly_corridor", show_default=True, help="One of ViZDoom's, e.g. my_way_home.")
@click.option("--episodes", type=Count(1), default=20, show_default=True, help="Of the model, and of random.")
@click.option("--goal", help="What the model is told. Default: the scenario's own task.")
@click.option("--execute", type=Count(1, 7), default=1, show_default=True, help="Slots before re-planning.")
@click.option("--temperature", type=Number(0), default=0.0, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the first episode.")
@click.option("--trained-on", type=Count(3), default=100, show_default=True, help="Episodes, for cloned.")
@AS_JSON
def vizdoom(json_: bool, **options: Any) -> None:
    """How much reward does a policy get in ViZDoom's public scenarios, beside random keys?"""
    from protege.evaluation import vizdoom

    _show(vizdoom.run(vizdoom.VizdoomBench(**options), _say), json_)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show(figures: list[Figure], json_: bool) -> None:
    render: Callable[[list[Figure]], str] = as_json if json_ else as_table
    click.echo(render(figures))
