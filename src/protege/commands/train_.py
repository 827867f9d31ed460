"""`protege train`."""

import logging
from pathlib import Path

import click

from protege.commands.types import examples
from protege.core.paths import shown

DEFAULTS = Path("configs/vision_lora.yaml")


@click.command(
    "train",
    epilog=examples(
        "protege train                                             one GPU, the 8B model in 4 bits",
        "protege train model.base=models/tiny-qwen3-vl model.four_bit=false training.gradient_checkpointing=false",
        "protege train training.learning_rate=1e-4 data.balance=true",
        "protege train data.history.frames=2                       with two earlier frames beside the newest",
        "accelerate launch train_vision_agent.py                   several GPUs",
    ),
)
@click.option("--config", type=click.Path(path_type=Path), help="Default: configs/vision_lora.yaml.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def command(config: Path | None, overrides: tuple[str, ...]) -> int:
    """Fine-tune Qwen3-VL on labeled recordings with LoRA. A second run goes on where the first was stopped.

    Every value of the config can be changed here, as KEY=VALUE.
    """
    from protege.settings import load_config
    from protege.training.config import VisionConfig
    from protege.training.run import train

    logging.getLogger("protege").setLevel(logging.INFO)
    # The file only says what VisionConfig says itself, unless it was edited; so outside a checkout it is not missed
    config = config or (DEFAULTS if DEFAULTS.is_file() else None)
    trained = train(load_config(VisionConfig, config, overrides))
    click.echo(f"model: {shown(trained.output)}")
    return 130 if trained.interrupted else 0
