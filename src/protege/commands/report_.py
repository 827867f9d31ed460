"""`protege report`."""

from pathlib import Path

import click

from protege.commands.types import examples
from protege.core.labeled import find_segments
from protege.core.paths import labeled_segments, raw_playthrough, shown
from protege.core.text import one_line


@click.command(
    "report",
    epilog=examples(
        "protege report                               your training data, or your recordings if there is none yet",
        "protege report dataset/raw_playthrough",
        "protege report dataset/labeled_segments --out report.html",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="The page. Default: report.html in the folder.")
def command(folder: Path | None, out: Path | None) -> int:
    """Is the data any good? One HTML page about recordings or training data, and its essence here.

    It warns in words, with numbers and a remedy: "94 % of windows are only w: the agent will walk straight".
    """
    from protege.labeling.report import write_report

    if folder is None:
        folder = labeled_segments() if find_segments(labeled_segments()) else raw_playthrough()
    report = write_report(folder, out)
    for line in report.lines():
        click.echo(one_line(line))
    click.echo(f"page: {shown(report.page)}")
    return 0
