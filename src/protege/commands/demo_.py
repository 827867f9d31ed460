"""`protege demo`."""

from pathlib import Path

import click

from protege.commands.types import examples
from protege.core.paths import project_root, shown
from protege.core.text import printable


@click.command("demo", epilog=examples("protege demo", "protege demo --quick"))
@click.option("--quick", is_flag=True, help="Less of everything: minutes instead of a quarter of an hour.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for everything it makes. Default: dataset.")
def command(quick: bool, out: Path | None) -> int:
    """See it work: a script plays the built-in game, is recorded, and two small models learn to play from that.

    Record, label, train, score, train another from pixels, play, and a page that shows it all. It needs no game, no GPU
    and no screen: without one it starts Xvfb. With a screen, keep your hands off the keyboard while a window is open. A
    demo that was stopped goes on where it was.
    """
    from protege import demo

    lasts = "some minutes" if quick else "about a quarter of an hour"
    click.echo(f"this takes {lasts} on two cores; stopped with Ctrl-C, the same command goes on where it was", err=True)
    made = demo.run(
        out or project_root() / "dataset",
        demo.QUICK if quick else demo.FULL,
        lambda text: click.echo(printable(text), err=True),
    )
    click.echo(made.facts["record"]["quality"])
    for name, found in made.facts["play"]["rates"].items():
        click.echo(
            f"{printable(name):<16}{found['won']} of {found['of']} goals ({found['low']:.0%} to {found['high']:.0%})"
        )
    click.echo(f"page            {shown(made.page)}")
    return 0 if made.facts["record"]["good"] else 1
