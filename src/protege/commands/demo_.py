"""`protege demo`."""

from pathlib import Path

import click

from protege.commands.types import examples
from protege.play.paths import labeled_segments, raw_playthrough, shown


@click.command("demo", epilog=examples("protege demo", "protege demo --quick"))
@click.option("--quick", is_flag=True, help="Record for 5 seconds instead of 20.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for sessions. Default: dataset/raw_playthrough.")
def command(quick: bool, out: Path | None) -> int:
    """See it work: record the built-in game, played by a script through real key events, and make training data of it.

    It needs no game, no GPU and no screen: without one it starts Xvfb. Keep your hands off the keyboard meanwhile.
    """
    from protege import demo
    from protege.play import quality

    made = demo.record(out or raw_playthrough(), 5.0 if quick else 20.0, lambda text: click.echo(text, err=True))
    labeled = labeled_segments() if out is None else out.parent / "labeled_segments"
    result, report = demo.label_and_report(made.session, labeled)
    click.echo(quality.table(made.quality))
    click.echo(f"goals played    {made.goals}")
    click.echo(f"recording       {shown(made.session)}")
    click.echo(f"training data   {shown(labeled)}: {result.segments} segments, {result.samples} samples")
    click.echo(f"report          {shown(report.page)}")
    return 0 if made.quality.good else 1
