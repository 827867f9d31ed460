"""`protege bench`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from protege.bench.report import Figure, as_json, as_table
from protege.commands.types import Number, examples


@click.group("bench", epilog=examples("protege bench record", "protege bench record --seconds 10 --kills 3 --json"))
def command() -> None:
    """Measure speed and quality on this machine.

    Every benchmark prints a table of its figures and their targets, or with --json one object. The results we
    publish, each with its command, machine and date, stand in docs/benchmarks.md.
    """


AS_JSON = click.option("--json", "json_", is_flag=True, help="Print one JSON object instead of a table.")


@command.command("record", epilog=examples("protege bench record", "protege bench record --seconds 10 --kills 3"))
@click.option("--seconds", type=Number(), default=60.0, show_default=True, help="Length of each measurement.")
@click.option("--kills", type=int, default=20, show_default=True, help="How many recorders are killed.")
@AS_JSON
def record(seconds: float, kills: int, json_: bool) -> None:
    """Are the labels what was pressed? What does recording cost, and what does a kill lose?"""
    from protege.bench import record

    _show(record.run(seconds, kills, _say), json_)


@command.command("label", epilog=examples("protege bench label", "protege bench label --hours 0.1 --requests 50"))
@click.option("--hours", type=Number(), default=1.0, show_default=True, help="Of play to label.")
@click.option("--origin-hours", type=Number(), help="Of them in the origin's way too. Default: all.")
@click.option("--requests", type=int, default=400, show_default=True, help="To the loopback server.")
@AS_JSON
def label(hours: float, origin_hours: float | None, requests: int, json_: bool) -> None:
    """How long does an hour of play take to label, how much memory, and how does it grow?"""
    from protege.bench import label

    _show(label.run(hours, origin_hours, requests, _say), json_)


@command.command(
    "arena",
    epilog=examples(
        "protege bench arena --model models/gameplay_agent_lora --episodes 100",
        "protege bench arena --model random --episodes 50 --page arena.html",
    ),
)
@click.option("--model", required=True, help="Folder, server, or random, repeat, majority, expert.")
@click.option("--episodes", type=click.IntRange(1), default=100, show_default=True, help="Rooms to play.")
@click.option("--task", help="Only goals of this kind (go_to, open_door, climb_stairs, check_posters, or all).")
@click.option("--seed", type=int, default=10_000, show_default=True, help="The first room; 10,000 or later.")
@click.option(
    "--swaps", type=click.IntRange(0), default=50, show_default=True, help="Episodes with another object asked."
)
@click.option("--live", type=click.IntRange(0), default=0, show_default=True, help="Episodes through the real window.")
@click.option("--execute", type=click.IntRange(1, 7), default=1, show_default=True, help="Slots before re-planning.")
@click.option("--temperature", type=Number(), default=0.0, show_default=True)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Arenas at once.")
@click.option("--ray", is_flag=True, help="Spread the episodes over a Ray cluster.")
@click.option("--page", type=click.Path(path_type=Path), help="Write film strips and maps here.")
@AS_JSON
def arena(
    model: str,
    task: str | None,
    execute: int,
    temperature: float,
    json_: bool,
    **options: Any,
) -> None:
    """How often does a policy reach its goal, by playing, in rooms that nothing was trained on?"""
    from protege.arena.tasks import Task
    from protege.bench import arena
    from protege.bench.arena_episodes import Player

    kinds = {str(kind): kind for kind in Task}
    if task not in (None, "all", *kinds):
        raise click.UsageError(f"--task {task}: expected one of {', '.join(kinds)}, all")
    wanted = Task.GO_TO if task is None else kinds.get(task)
    player = Player(model, execute=execute, temperature=temperature)
    _show(arena.run(arena.ArenaBench(player, task=wanted, **options), _say), json_)


@command.command(
    "decode",
    epilog=examples(
        "protege bench decode", "protege bench decode --chunks 50 --big-chunks 0", "protege bench decode --live"
    ),
)
@click.option("--model", type=click.Path(path_type=Path), help="Default: the tiny base of protege.")
@click.option("--chunks", type=click.IntRange(1), default=500, show_default=True, help="Frames of arena play.")
@click.option("--big-chunks", type=click.IntRange(0), default=4, show_default=True, help="Of the 0.5-billion shape.")
@click.option(
    "--live", "live_", is_flag=True, help="Instead: from a change on the screen to the key, through a window."
)
@click.option("--changes", type=click.IntRange(1), default=40, show_default=True, help="Of the picture, with --live.")
@AS_JSON
def decode(model: Path | None, chunks: int, big_chunks: int, live_: bool, changes: int, json_: bool) -> None:
    """Forward passes and milliseconds a plan, against generating it token by token."""
    from protege.bench import decode, live

    _show(live.reaction(model, changes, _say) if live_ else decode.run(model, chunks, big_chunks, _say), json_)


@command.command("live", epilog=examples("protege bench live", "protege bench live --seconds 10 --kills 2"))
@click.option("--seconds", type=Number(1), default=60.0, show_default=True, help="Of play with a fast policy.")
@click.option("--kills", type=click.IntRange(0), default=5, show_default=True, help="How many agents are killed.")
@AS_JSON
def live(seconds: float, kills: int, json_: bool) -> None:
    """Are slots on time, is a key ever let go between two equal slots, and what does a killed agent leave held?"""
    from protege.bench import live

    _show(live.run(seconds, kills, _say), json_)


@command.command(
    "train", epilog=examples("protege bench train", "protege bench train --episodes 20 --steps 20 --many 2000")
)
@click.option("--base", type=click.Path(path_type=Path), help="Default: the tiny base that comes with protege.")
@click.option("--episodes", type=click.IntRange(1), default=200, show_default=True, help="Arena episodes to train on.")
@click.option("--held-out", type=click.IntRange(1), default=40, show_default=True, help="Arena episodes to score.")
@click.option("--steps", type=click.IntRange(1), default=900, show_default=True, help="Of fine-tuning.")
@click.option("--few", type=click.IntRange(1), default=1_000, show_default=True, help="Samples, for the memory.")
@click.option("--many", type=click.IntRange(1), default=20_000, show_default=True, help="Samples, for the memory.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep recordings, data and models here.")
@AS_JSON
def train(json_: bool, **options: Any) -> None:
    """Does it learn, is the loader fast, and does memory stay flat?"""
    from protege.bench import train

    _show(train.run(train.TrainBench(**options), _say), json_)


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
@click.option("--episodes", type=click.IntRange(1), default=20, show_default=True, help="Of the model, and of random.")
@click.option("--goal", help="What the model is told. Default: the scenario's own task.")
@click.option("--execute", type=click.IntRange(1, 7), default=1, show_default=True, help="Slots before re-planning.")
@click.option("--temperature", type=Number(), default=0.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first episode.")
@click.option("--trained-on", type=click.IntRange(3), default=100, show_default=True, help="Episodes, for cloned.")
@AS_JSON
def vizdoom(json_: bool, **options: Any) -> None:
    """How much reward does a policy get in ViZDoom's public scenarios, beside random keys?"""
    from protege.bench import vizdoom

    _show(vizdoom.run(vizdoom.VizdoomBench(**options), _say), json_)


@command.command(
    "cloning",
    epilog=examples(
        "protege bench cloning --json",
        "protege bench cloning --part data --part decide",
        "protege bench cloning --part play --goal-model models/cloning/arena --rooms 100",
    ),
)
@click.option("--part", "parts", multiple=True, help="data, train, decide or play. Default: all of them.")
@click.option("--frames", type=click.IntRange(1), default=1_200, show_default=True, help="For the loader's comparison.")
@click.option("--few", type=click.IntRange(1), default=2_000, show_default=True, help="Frames, for the memory.")
@click.option("--many", type=click.IntRange(1), default=20_000, show_default=True, help="Frames, for the memory.")
@click.option("--turns", type=click.IntRange(1), default=5, show_default=True, help="Of training steps.")
@click.option("--decisions", type=click.IntRange(1), default=300, show_default=True, help="To time.")
@click.option("--episodes", type=click.IntRange(3), default=300, show_default=True, help="Of the expert to train on.")
@click.option("--rooms", type=click.IntRange(1), default=100, show_default=True, help="To play.")
@click.option("--goal-model", type=click.Path(path_type=Path), help="Trained already: the one that is told its goal.")
@click.option("--plain-model", type=click.Path(path_type=Path), help="Trained already: the documented network.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep data and models here.")
@AS_JSON
def cloning(json_: bool, parts: tuple[str, ...], **options: Any) -> None:
    """Behaviour cloning: how fast are loading, training and deciding, and does a cloned policy play?"""
    from protege.bench import cloning

    _show(cloning.run(cloning.CloningBench(parts or cloning.PARTS, **options), _say), json_)


@command.command(
    "controls", epilog=examples("protege bench controls", "protege bench controls --rounds 1 --no-learn --json")
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of each measurement.")
@click.option("--frames", type=click.IntRange(60_000), default=240_000, show_default=True, help="At most, to prepare.")
@click.option("--decisions", type=click.IntRange(1), default=300, show_default=True, help="To time, each round.")
@click.option("--learn/--no-learn", default=True, show_default=True, help="Train on recordings of a known rule too.")
@AS_JSON
def controls(rounds: int, frames: int, decisions: int, learn: bool, json_: bool) -> None:
    """The control transformer: what do preparing, loading and deciding cost, and does it learn a known rule?"""
    from protege.bench import controls

    sizes = (*(size for size in (60_000, 120_000) if size < frames), frames)
    _show(controls.run(controls.ControlsBench(sizes, rounds, decisions=decisions, learn=learn), _say), json_)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show(figures: list[Figure], json_: bool) -> None:
    render: Callable[[list[Figure]], str] = as_json if json_ else as_table
    click.echo(render(figures))
