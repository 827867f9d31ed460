"""`protege bench`."""

from collections.abc import Callable

import click

from protege.bench.report import Figure, as_json, as_table
from protege.commands.types import examples


@click.group("bench", epilog=examples("protege bench record", "protege bench record --seconds 10 --kills 3 --json"))
def command() -> None:
    """Measure speed and quality on this machine.

    Every benchmark prints a table of its figures and their targets, or with --json one object. The results we
    publish, each with its command, machine and date, stand in docs/benchmarks.md.
    """


AS_JSON = click.option("--json", "json_", is_flag=True, help="Print one JSON object instead of a table.")


@command.command("record", epilog=examples("protege bench record", "protege bench record --seconds 10 --kills 3"))
@click.option("--seconds", type=float, default=60.0, show_default=True, help="Length of each measurement.")
@click.option("--kills", type=int, default=20, show_default=True, help="How many recorders are killed.")
@AS_JSON
def record(seconds: float, kills: int, json_: bool) -> None:
    """Are the labels what was pressed? What does recording cost, and what does a kill lose?"""
    from protege.bench import record

    _show(record.run(seconds, kills, _say), json_)


@command.command("label", epilog=examples("protege bench label", "protege bench label --hours 0.1 --requests 50"))
@click.option("--hours", type=float, default=1.0, show_default=True, help="Of play to label.")
@click.option("--origin-hours", type=float, help="Of them in the origin's way too. Default: all.")
@click.option("--requests", type=int, default=400, show_default=True, help="To the loopback server.")
@AS_JSON
def label(hours: float, origin_hours: float | None, requests: int, json_: bool) -> None:
    """How long does an hour of play take to label, how much memory, and how does it grow?"""
    from protege.bench import label

    _show(label.run(hours, origin_hours, requests, _say), json_)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show(figures: list[Figure], json_: bool) -> None:
    render: Callable[[list[Figure]], str] = as_json if json_ else as_table
    click.echo(render(figures))
