"""A tiny model and a tiny labeled data set for all tests of this folder, and no way to the hub."""

import json

import numpy as np
import pytest
from PIL import Image

from protege.core import KEYBOARD_12, NO_KEYS, Plan
from protege.core.chat import Sample

GOALS = ("Go to the lantern", "Open the door", "Climb the stairs")
SIDES = ("left", "w", "right")


@pytest.fixture(scope="session", autouse=True)
def _offline():
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("TOKENIZERS_PARALLELISM", "false")
    yield
    patch.undo()


def label(root, segments=6, frames=12, size=(64, 64), fields=None):
    """Labeled segments in which the bright third of a picture says where to turn; two segments a session."""
    rng = np.random.default_rng(0)
    for number in range(segments):
        folder = root / f"20261121_1425{number // 2:02d}_seg{number:03d}"
        folder.mkdir(parents=True)
        goal, lines = GOALS[number % len(GOALS)], []
        for i in range(frames):
            side = int(rng.integers(3))
            rgb = np.full((size[1], size[0], 3), 30, np.uint8)
            third = size[0] // 3
            rgb[:, side * third : (side + 1) * third, 0] = 220
            Image.fromarray(rgb).save(folder / f"frame_{i:04d}.jpg", quality=90)
            steps = [frozenset({SIDES[side]})] * 3 + [frozenset("w")] * 2 + [NO_KEYS] * 2
            steps = steps if i < frames - 1 else [NO_KEYS] * 7
            lines.append(json.dumps(Sample(f"frame_{i:04d}.jpg", goal, Plan(tuple(steps))).to_json(KEYBOARD_12)))
        (folder / "samples.jsonl").write_text("\n".join(lines) + "\n")
        about = {"session": folder.name[:15], "goal": goal, "paraphrases": [goal.replace("the", "that")]}
        (folder / "segment.json").write_text(json.dumps({**about, **(fields or {})}))
    return root


@pytest.fixture(scope="session")
def labeled(tmp_path_factory):
    return label(tmp_path_factory.mktemp("labeled"))
