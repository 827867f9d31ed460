"""Models and runs small enough to compile in a second: pictures of 24x16, a few channels."""

import logging
import signal

from protege.cloning.config import load
from protege.cloning.train import train

WIDTHS = {
    "pure_cnn": ("conv_features=[4,8]", "dense_features=[8]"),
    "state_cnn": ("conv_features=[4,8]", "dense_features=[8]", "state_features=[4]", "embedding_size=2"),
    "temporal_cnn": ("conv_features=[4,8]", "dense_features=[8]", "num_frames=2", "action_history=2", "hidden_size=8"),
    "gru": ("conv_features=[4,8]", "dense_features=[8]", "num_frames=2", "action_history=2", "hidden_size=8"),
    "causal_transformer": (
        *("conv_features=[4,8]", "dense_features=[8]", "num_frames=2", "action_history=2"),
        *("hidden_size=8", "num_heads=2", "num_layers=1"),
    ),
    "resnet_policy": ("conv_features=[4,8]", "stage_sizes=[1,1]", "dense_features=[8]"),
    "vit_policy": ("patch_size=8", "hidden_size=8", "num_heads=2", "num_layers=1"),
    "action_chunking": (
        *("conv_features=[4,8]", "hidden_size=8", "num_heads=2", "encoder_layers=1", "decoder_layers=1", "horizon=3"),
    ),
}


def config(name="pure_cnn", *overrides):
    """A tiny model of a name."""
    widths = (f"model.{text}" for text in WIDTHS[name])
    return load(None, [f"model.name={name}", *widths, "system.compile_cache=null", *overrides])


def run(data, folder, *overrides, name="pure_cnn"):
    """A run of a tiny model on a store."""
    fixed = (f"dataset.path={data}", f"training.checkpoint_dir={folder}", "training.batch_size=8")
    return config(name, *fixed, "training.num_epochs=2", "training.learning_rate=0.01", *overrides)


class CtrlC(logging.Handler):
    """Sends the signal of Ctrl-C to this process when a line that begins so is logged for the first time."""

    def __init__(self, line):
        super().__init__(logging.INFO)
        self.line = line

    def emit(self, record):
        if self.line and record.getMessage().startswith(self.line):
            self.line = ""
            signal.raise_signal(signal.SIGINT)


def interrupted(config, line):
    """Train with a Ctrl-C when the run logs a line that begins so; it stops after the step in progress.

    A step's line is logged during the next step.
    """
    log, handler = logging.getLogger("protege.cloning.train"), CtrlC(line)
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        return train(config)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
