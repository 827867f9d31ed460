"""`protege tiny-base`."""

from pathlib import Path

import click

from protege.commands.types import SEED, examples
from protege.core.paths import shown


@click.command(
    "tiny-base",
    epilog=examples(
        "protege tiny-base models/tiny-qwen3-vl                 the one that comes with protege, trained on the arena",
        "protege tiny-base models/tiny-random --random          real classes, random weights",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--random", is_flag=True, help="With random weights.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the random weights.")
def command(folder: Path, random: bool, seed: int) -> int:
    """Make a small real Qwen3-VL (3.8 million parameters) for machines without a GPU. Needs no network."""
    from protege.vlm.tiny import build_tiny, copy_base

    made = build_tiny(folder, seed=seed) if random else copy_base(folder)
    click.echo(f"model: {shown(made)}")
    return 0
