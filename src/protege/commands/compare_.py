"""`protege compare`."""

from pathlib import Path

import click

from protege.commands.types import examples
from protege.core.text import printable


@click.command(
    "compare",
    epilog=examples(
        "protege compare models/first models/second                         by what training wrote",
        "protege compare models/first models/second --on dataset/labeled_segments",
    ),
)
@click.argument("models", nargs=-1, required=True)
@click.option("--on", "folder", type=click.Path(path_type=Path), help="Score all of them anew on this data.")
def command(models: tuple[str, ...], folder: Path | None) -> int:
    """Put models side by side."""
    from protege.commands.score_ import scoring
    from protege.training.judge import compare

    with scoring() as progress:
        table = compare(models, folder, progress=progress)
    click.echo(printable(table))
    return 0
