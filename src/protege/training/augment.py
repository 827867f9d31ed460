"""Augmentation of training pictures: changes after which their answer is still right."""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from protege.core import KEYBOARD_12, ActionSpace, Plan
from protege.core.directions import mirrored
from protege.training.config import AugmentOptions

SIDES: Final = re.compile(r"\b(left|right|west|east|clockwise)\b", re.IGNORECASE)


def augment(
    rgb: NDArray[np.uint8],
    plan: Plan,
    goal: str,
    options: AugmentOptions,
    rng: np.random.Generator,
    space: ActionSpace = KEYBOARD_12,
) -> tuple[NDArray[np.uint8], Plan]:
    """Change a picture (H, W, 3) at random; return it with the plan that is right for it.

    Everything random is drawn first, so that the same `rng` state gives the same change whichever options are on.
    """
    light, radius, flip = rng.uniform(-1, 1), rng.uniform(0, 1), rng.uniform()
    dx, dy = rng.integers(-options.shift, options.shift + 1, 2)
    if options.brightness:
        lit = rgb.astype(np.float32) * (1 + light * options.brightness)
        rgb = lit.clip(0, 255).astype(np.uint8)
    if options.blur:
        rgb = np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(radius * options.blur)))
    if dx or dy:
        rgb = shifted(rgb, int(dx), int(dy))
    if flip < options.flip and not SIDES.search(goal):
        steps = [mirrored(step, space) for step in plan.steps]
        if None not in steps:
            rgb, plan = np.ascontiguousarray(rgb[:, ::-1]), Plan(tuple(step for step in steps if step is not None))
    return rgb, plan


def shifted(rgb: NDArray[np.uint8], dx: int, dy: int) -> NDArray[np.uint8]:
    """The picture moved right by dx and down by dy pixels; its edge is repeated."""
    rows = np.clip(np.arange(rgb.shape[0]) - dy, 0, rgb.shape[0] - 1)
    columns = np.clip(np.arange(rgb.shape[1]) - dx, 0, rgb.shape[1] - 1)
    return rgb[rows[:, None], columns]
