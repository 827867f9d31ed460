"""`protege report`."""

from pathlib import Path

import click

from protege.commands.types import examples
from protege.core.paths import labeled_segments, raw_playthrough, shown


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
        folder = next((path for path in (labeled_segments(), raw_playthrough()) if path.is_dir()), raw_playthrough())
    report = write_report(folder, out)
    for line in report.lines():
        click.echo(line)
    click.echo(f"page: {shown(report.page)}")
    return 0
