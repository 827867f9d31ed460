"""`protege check`."""

from pathlib import Path
from typing import Any

import click

from protege.commands.score_ import scoring
from protege.commands.types import Count, examples
from protege.core.files import write_json
from protege.core.paths import labeled_segments
from protege.core.text import printable


@click.command(
    "check",
    epilog=examples(
        "protege check models/gameplay_agent_lora",
        "protege check models/gameplay_agent_lora --merged models/gameplay_agent --json check.json",
        "protege check models/gameplay_agent_lora --server http://127.0.0.1:8000/v1 --served gameplay",
    ),
)
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--server", metavar="URL", help="An OpenAI-compatible server that serves the model.")
@click.option("--served", metavar="NAME", help="The model's name there. Default: the server's first.")
@click.option("--merged", type=click.Path(path_type=Path), help="Merged weights. Default: merged in memory.")
@click.option("--samples", type=Count(1), default=200, show_default=True, help="At most so many, held out.")
@click.option("--all", "all_samples", is_flag=True, help="Also samples that the model was trained on.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write every answer to this file.")
def command(model: str, folder: Path | None, out: Path | None, **options: Any) -> int:
    """Does a model answer the same as adapter, merged, and behind a server? Exit code 1 where it does not."""
    from protege.evaluation.same import ALIKE, CheckOptions, check

    with scoring() as progress:
        found = check(model, folder or labeled_segments(), CheckOptions(**options), progress)
    figures = found.figures()
    if out is not None:
        write_json(out, found.to_json())
    for name, value in figures.items():
        click.echo(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")
    for line in found.said:
        click.echo(printable(line))
    shares = [value for name, value in figures.items() if name.startswith("agreement_")]
    return 1 if any(share < ALIKE for share in shares) else 0
