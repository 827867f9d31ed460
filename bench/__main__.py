"""python -m bench NAME: measure speed and quality of the toolkit itself; docs/benchmarks.md has the newest results."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from protege.cli import run
from protege.commands.types import Count, Number, examples
from protege.evaluation.figures import Figure, as_json, as_table


@click.group("bench", epilog=examples("python -m bench record", "python -m bench record --seconds 10 --kills 3 --json"))
def command() -> None:
    """Measure speed and quality of the toolkit on this machine. Run it in the root of a clone.

    Every benchmark prints a table of its figures and their targets, or with --json one object. The results we
    publish, each with its command, machine and date, stand in docs/benchmarks.md.
    """


AS_JSON = click.option("--json", "json_", is_flag=True, help="Print one JSON object instead of a table.")


@command.command("record", epilog=examples("python -m bench record", "python -m bench record --seconds 10 --kills 3"))
@click.option(
    "--seconds", type=Number(0, min_open=True), default=60.0, show_default=True, help="Length of each measurement."
)
@click.option("--kills", type=Count(0), default=20, show_default=True, help="How many recorders are killed.")
@AS_JSON
def record(seconds: float, kills: int, json_: bool) -> None:
    """Are the labels what was pressed? What does recording cost, and what does a kill lose?"""
    from bench import record

    _show(record.run(seconds, kills, _say), json_)


@command.command(
    "mouse", epilog=examples("python -m bench mouse", "python -m bench mouse --part won --demonstrations 600 --json")
)
@click.option("--part", "parts", multiple=True, help="Only these. Default: all of them.")
@click.option("--seconds", type=Number(1), default=60.0, show_default=True, help="Length of each measurement.")
@click.option("--model", help="One that was trained with a mouse, to decode. Default: the tiny base.")
@click.option("--chunks", type=Count(1), default=200, show_default=True, help="To decode.")
@click.option("--demonstrations", type=Count(10), default=1200, show_default=True, help="Episodes to learn from.")
@click.option("--epochs", type=Count(1), default=5, show_default=True, help="Of training on them.")
@click.option("--episodes", type=Count(1), default=200, show_default=True, help="Rooms to play.")
@AS_JSON
def mouse(
    parts: tuple[str, ...],
    seconds: float,
    model: str | None,
    chunks: int,
    demonstrations: int,
    epochs: int,
    episodes: int,
    json_: bool,
) -> None:
    """The mouse: is every count recorded, played and replayed, what does it cost, how is it decoded, and does a policy
    that looks with it play as well as one with keys?
    """
    from bench import mouse

    _show(mouse.run(mouse.MouseBench(parts, seconds, model, chunks, demonstrations, epochs, episodes), _say), json_)


@command.command("label", epilog=examples("python -m bench label", "python -m bench label --hours 0.1 --requests 50"))
@click.option("--hours", type=Number(0, min_open=True), default=1.0, show_default=True, help="Of play to label.")
@click.option("--origin-hours", type=Number(0), help="Of them in the origin's way too. Default: all.")
@click.option("--requests", type=Count(), default=400, show_default=True, help="To the loopback server.")
@AS_JSON
def label(hours: float, origin_hours: float | None, requests: int, json_: bool) -> None:
    """How long does an hour of play take to label, how much memory, and how does it grow?"""
    from bench import label

    _show(label.run(hours, origin_hours, requests, _say), json_)


@command.command(
    "studio", epilog=examples("python -m bench studio", "python -m bench studio --segments 200 --hours 0.1")
)
@click.option("--segments", type=Count(1), default=2000, show_default=True, help="On the page of labels.")
@click.option("--hours", type=Number(0, min_open=True), default=1.0, show_default=True, help="Of the recording.")
@click.option("--seeks", type=Count(1), default=100, show_default=True, help="At random places of it.")
@AS_JSON
def studio(segments: int, hours: float, seeks: int, json_: bool) -> None:
    """How fast are the studio's pages, how few keys does a segment take, and are hostile requests refused?"""
    from bench import studio

    _show(studio.run(segments, hours, seeks, _say), json_)


@command.command(
    "decode",
    epilog=examples(
        "python -m bench decode", "python -m bench decode --chunks 50 --big-chunks 0", "python -m bench decode --live"
    ),
)
@click.option("--model", type=click.Path(path_type=Path), help="Default: the tiny base of protege.")
@click.option("--chunks", type=Count(1), default=500, show_default=True, help="Frames of arena play.")
@click.option("--big-chunks", type=Count(0), default=4, show_default=True, help="Of the 0.5-billion shape.")
@click.option(
    "--live", "live_", is_flag=True, help="Instead: from a change on the screen to the key, through a window."
)
@click.option("--changes", type=Count(1), default=40, show_default=True, help="Of the picture, with --live.")
@AS_JSON
def decode(model: Path | None, chunks: int, big_chunks: int, live_: bool, changes: int, json_: bool) -> None:
    """Forward passes and milliseconds a plan, against generating it token by token."""
    from bench import decode, live

    _show(live.reaction(model, changes, _say) if live_ else decode.run(model, chunks, big_chunks, _say), json_)


@command.command("families", epilog=examples("python -m bench families --json"))
@click.option("--chunks", type=Count(1), default=20, show_default=True, help="Pictures for each family.")
@AS_JSON
def families(chunks: int, json_: bool) -> None:
    """Does decoding answer the same as constrained generation, for every family of models?"""
    from bench import families

    _show(families.run(chunks, _say), json_)


@command.command("live", epilog=examples("python -m bench live", "python -m bench live --seconds 10 --kills 2"))
@click.option("--seconds", type=Number(1), default=60.0, show_default=True, help="Of play with a fast policy.")
@click.option("--kills", type=Count(0), default=5, show_default=True, help="How many agents are killed.")
@AS_JSON
def live(seconds: float, kills: int, json_: bool) -> None:
    """Are slots on time, is a key ever let go between two equal slots, and what does a killed agent leave held?"""
    from bench import live

    _show(live.run(seconds, kills, _say), json_)


@command.command(
    "train", epilog=examples("python -m bench train", "python -m bench train --episodes 20 --steps 20 --many 2000")
)
@click.option("--base", type=click.Path(path_type=Path), help="Default: the tiny base that comes with protege.")
@click.option("--episodes", type=Count(1), default=200, show_default=True, help="Arena episodes to train on.")
@click.option("--held-out", type=Count(1), default=40, show_default=True, help="Arena episodes to score.")
@click.option("--steps", type=Count(1), default=900, show_default=True, help="Of fine-tuning.")
@click.option("--few", type=Count(1), default=1_000, show_default=True, help="Samples, for the memory.")
@click.option("--many", type=Count(1), default=20_000, show_default=True, help="Samples, for the memory.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep recordings, data and models here.")
@AS_JSON
def train(json_: bool, **options: Any) -> None:
    """Does it learn, is the loader fast, and does memory stay flat?"""
    from bench import train

    _show(train.run(train.TrainBench(**options), _say), json_)


@command.command(
    "cloning",
    epilog=examples(
        "python -m bench cloning --json",
        "python -m bench cloning --part data --part decide",
        "python -m bench cloning --part play --goal-model models/cloning/arena --rooms 100",
    ),
)
@click.option("--part", "parts", multiple=True, help="data, train, decide or play. Default: all of them.")
@click.option("--frames", type=Count(1), default=1_200, show_default=True, help="For the loader's comparison.")
@click.option("--few", type=Count(1), default=2_000, show_default=True, help="Frames, for the memory.")
@click.option("--many", type=Count(1), default=20_000, show_default=True, help="Frames, for the memory.")
@click.option("--turns", type=Count(1), default=5, show_default=True, help="Of training steps.")
@click.option("--decisions", type=Count(1), default=300, show_default=True, help="To time.")
@click.option("--episodes", type=Count(3), default=300, show_default=True, help="Of the expert to train on.")
@click.option("--rooms", type=Count(1), default=100, show_default=True, help="To play.")
@click.option("--goal-model", type=click.Path(path_type=Path), help="Trained already: the one that is told its goal.")
@click.option("--plain-model", type=click.Path(path_type=Path), help="Trained already: the documented network.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep data and models here.")
@AS_JSON
def cloning(json_: bool, parts: tuple[str, ...], **options: Any) -> None:
    """Behaviour cloning: how fast are loading, training and deciding, and does a cloned policy play?"""
    from bench import cloning

    _show(cloning.run(cloning.CloningBench(parts or cloning.PARTS, **options), _say), json_)


@command.command(
    "controls", epilog=examples("python -m bench controls", "python -m bench controls --rounds 1 --no-learn --json")
)
@click.option("--rounds", type=Count(1), default=3, show_default=True, help="Of each measurement.")
@click.option("--frames", type=Count(60_000), default=240_000, show_default=True, help="At most, to prepare.")
@click.option("--decisions", type=Count(1), default=300, show_default=True, help="To time, each round.")
@click.option("--learn/--no-learn", default=True, show_default=True, help="Train on recordings of a known rule too.")
@AS_JSON
def controls(rounds: int, frames: int, decisions: int, learn: bool, json_: bool) -> None:
    """The control transformer: what do preparing, loading and deciding cost, and does it learn a known rule?"""
    from bench import controls

    sizes = (*(size for size in (60_000, 120_000) if size < frames), frames)
    _show(controls.run(controls.ControlsBench(sizes, rounds, decisions=decisions, learn=learn), _say), json_)


@command.command(
    "improve",
    epilog=examples(
        "python -m bench improve --json",
        "python -m bench improve --policy pixels --demonstrations 430 --json",
        "python -m bench improve --seeds 1 --rounds 1 --demonstrations 20 --steps 20 --minutes 0.5 --episodes 10",
    ),
)
@click.option("--policy", type=click.Choice(["vlm", "pixels"]), default="vlm", show_default=True)
@click.option("--seeds", type=Count(1, 3), default=3, show_default=True, help="How often all of it is done.")
@click.option("--rounds", type=Count(1), default=3, show_default=True, help="Of corrections.")
@click.option("--demonstrations", type=Count(3, 500), default=200, show_default=True, help="Episodes to begin with.")
@click.option("--steps", type=Count(1), default=400, show_default=True, help="Of training, at first and a round.")
@click.option("--epochs", type=Count(1), default=5, show_default=True, help="Of training, for pixels.")
@click.option("--minutes", type=Number(0, min_open=True), default=5.0, show_default=True, help="Of play a round.")
@click.option("--episodes", type=Count(1), default=200, show_default=True, help="Rooms to score each model in.")
@click.option("--choose", type=Count(1), default=60, show_default=True, help="Rooms by which a round's model is kept.")
@click.option("--goal", "goals", multiple=True, help="Only these goals. Default: what each room asks for.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything here, and go on from it.")
@AS_JSON
def improve(json_: bool, **options: Any) -> None:
    """Do corrections help more than as many frames of plain demonstrations?"""
    from bench import improve

    _show(improve.run(improve.ImproveBench(**options), _say), json_)


@command.command(
    "ablations",
    epilog=examples(
        "python -m bench ablations --policy pixels --seeds 3 --json",
        "python -m bench ablations --variant balance --variant flip --folder /tmp/ablations",
    ),
)
@click.option("--policy", type=click.Choice(["vlm", "pixels"]), default="vlm", show_default=True)
@click.option("--variant", "variants", multiple=True, help="Only these, beside the default.")
@click.option("--seeds", type=Count(1), default=1, show_default=True, help="Of training.")
@click.option("--demonstrations", type=Count(3), default=430, show_default=True, help="Episodes to learn from.")
@click.option("--steps", type=Count(1), default=400, show_default=True, help="Of training, for vlm.")
@click.option("--epochs", type=Count(1), default=10, show_default=True, help="Of training, for pixels.")
@click.option("--episodes", type=Count(1), default=400, show_default=True, help="Rooms to play.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything here, and go on from it.")
@AS_JSON
def ablations(json_: bool, **options: Any) -> None:
    """Which choices of training play better than the present default?"""
    from bench import ablations

    _show(ablations.run(ablations.AblationsBench(**options), _say), json_)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show(figures: list[Figure], json_: bool) -> None:
    render: Callable[[list[Figure]], str] = as_json if json_ else as_table
    click.echo(render(figures))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], command, name="python -m bench"))
