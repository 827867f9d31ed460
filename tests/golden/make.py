"""python -m tests.golden.make FOLDER: write the golden files with the code of today.

Run it once for a format that is new. A golden file that changes means that users' files no longer fit.
"""

import json
import sys
from pathlib import Path

import numpy as np

from protege.core import KEYBOARD_12
from protege.core.card import ModelCard
from protege.labeling import Given, LabelOptions, label
from protege.settings import to_fields
from tests.labeling.recordings import HOLD, record

GOALS = [(0, "Go to the lantern", 60, "success"), (60, "Open the door", 100, "success")]
PLAY = [HOLD["w"]] * 30 + [HOLD["wr"]] * 20 + [HOLD["none"]] * 5 + [HOLD["right"]] * 45
ROOT = Path(__file__).parents[2]
SESSION_FILES = ("session.json", "events.jsonl", "frames.jsonl")


def session(folder):
    """A recording of two goals with a pause; its clock and libraries are fixed."""
    return record(folder, PLAY, name="played", goals=GOALS, pauses=(80,), extra={"task": "golden"}, start_ns=1_000)


def labels(recording, out):
    """Its labels, with chords off (the default) and on."""
    label([recording], out / "labeled", Given())
    label([recording], out / "labeled_chords", Given(), LabelOptions(chords=True, seconds=2.0, tau_ms=100.0))


def card(folder):
    fields = {"training": {"max_steps": 3}}
    ModelCard("vision", "Qwen/Qwen3-VL-8B-Instruct", KEYBOARD_12, frame_size=(320, 240), config=fields).save(folder)


def configs():
    """Every shipped configuration, resolved."""
    from protege.cloning import config as cloning
    from protege.controls.config import ControlsConfig
    from protege.settings import load_config
    from protege.training.config import VisionConfig

    kinds = {"controls": ControlsConfig, "vision_lora": VisionConfig}
    for path in sorted((Path(__file__).parent / "configs").glob("*.yaml")):
        kind = kinds.get(path.stem)
        yield path.stem, to_fields(cloning.load(path) if kind is None else load_config(kind, path))


def controls_model(folder):
    """A small control transformer in both of its layouts, with what it answers."""
    import torch

    from protege.controls.config import Architecture
    from protege.controls.files import ModelFiles, PolicyConfig, weights_card, write_model
    from protege.controls.metrics import Thresholds
    from protege.controls.model import ControlTransformer

    torch.manual_seed(0)
    shape = Architecture(d_model=8, nhead=2, num_layers=1, dim_feedforward=8)
    half, ones = np.full(671, 0.5, np.float32), np.ones(671, np.float32)
    thresholds = Thresholds((0.4,) * 12, 0.35, (0.2, 0.3, 0.4))
    config = PolicyConfig(model=shape, thresholds=thresholds, mean=half, deviation=ones, training={"epochs": 3})
    weights = ControlTransformer(shape).state_dict()
    for style in ("seed000", "seed001"):
        write_model(ModelFiles.named(folder / style, style), weights, config, weights_card({}, 30.0))


def cloning_model(folder, work):
    """A small policy from pixels, trained for two steps: its checkpoint, card and log."""
    from protege.cloning.train import train
    from tests.cloning.stores import store
    from tests.cloning.tiny import run

    data = store(work / "e.zarr", (12, 9, 15, 7), size=(24, 16), goals=("go to a", "go to b", "go to a", ""))
    train(run(data, folder, "training.max_steps=2", "model.goal=sentence"))


def main(folder):
    recording = session(folder)
    labels(recording, folder)
    card(folder)
    for name, fields in configs():
        (folder / f"{name}.config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")
    controls_model(folder / "controls")
    cloning_model(folder / "cloning", folder / "work")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
