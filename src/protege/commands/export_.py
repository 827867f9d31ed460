"""`protege export`."""

from pathlib import Path
from typing import Any

import click

from protege.commands.types import examples
from protege.play.paths import labeled_segments, shown


@click.command(
    "export",
    epilog=examples(
        "protege export --to jsonl --out lanterns/",
        "protege export --to llamafactory --out lanterns/ --validation 0.2",
        "protege export dataset/labeled_segments --to hf --out lanterns/",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--to",
    type=click.Choice(["jsonl", "hf", "llamafactory", "swift"]),
    default="jsonl",
    show_default=True,
    help="Whose format.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--validation", type=click.FloatRange(0, 0.9), default=0.1, show_default=True, help="Share held out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice of sessions held out.")
@click.option("--allow-split-by-segment", is_flag=True, help="Hold out segments where there is only one session.")
def command(folder: Path | None, to: Any, out: Path, validation: float, seed: int, allow_split_by_segment: bool) -> int:
    """Write training data as one self-contained folder in another tool's format."""
    from protege.labeling.export import ExportOptions, export_folder

    options = ExportOptions(to, validation, seed, allow_split_by_segment)
    counts = export_folder(folder or labeled_segments(), out, options)
    click.echo(f"{shown(out)}: " + ", ".join(f"{count:,} {split}" for split, count in counts.items()))
    return 0
