"""`protege clone`."""

import logging
from pathlib import Path

import click

from protege.commands.types import examples
from protege.play.paths import shown


@click.group(
    "clone",
    epilog=examples(
        "protege export dataset/raw_playthrough --to zarr --out dataset/episodes.zarr",
        "protege clone train --config configs/pure_cnn.yaml",
    ),
)
def command() -> None:
    """Behaviour cloning from pixels in JAX: train policies on zarr episodes, score and compare them."""


@command.command(
    "train",
    epilog=examples(
        "protege clone train --config configs/pure_cnn.yaml",
        "protege clone train --config configs/gru.yaml dataset.path=dataset/episodes.zarr training.batch_size=64",
        "python -m BC_training --config configs/pure_cnn.yaml          the same",
    ),
)
@click.option("--config", type=click.Path(path_type=Path), default=Path("configs/pure_cnn.yaml"), show_default=True)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def train(config: Path, overrides: tuple[str, ...]) -> int:
    """Train a policy on zarr episodes. A second run goes on where the first was stopped.

    Every value of the config can be changed here, as KEY=VALUE.
    """
    from protege.cloning.config import load
    from protege.cloning.train import train

    logging.getLogger("protege").setLevel(logging.INFO)
    trained = train(load(config, overrides))
    click.echo(f"model: {shown(trained.folder)}")
    return 130 if trained.interrupted else 0
