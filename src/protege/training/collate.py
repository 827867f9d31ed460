"""Makes batches in workers: decodes pictures only now, and ships them as bytes.

Token for token and value for value what the stock processor and TRL's collator make, tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from protege.core import Plan
from protege.training.augment import augment
from protege.training.config import AugmentOptions
from protege.training.data import LabeledData
from protege.vlm.inputs import Tokens
from protege.vlm.pixels import PixelSpec, fit, read_picture

IGNORED: Final = -100


@dataclass
class Collator:
    """A batch from sample keys (see `Draws`; below N a key is a sample's position).

    actions_only: loss on the tokens that spell actions, else on the whole answer.
    """

    data: LabeledData
    tokens: Tokens
    pixels: PixelSpec
    frame_size: tuple[int, int] | None = None
    actions_only: bool = False
    paraphrases: bool = False
    changes: AugmentOptions = field(default_factory=AugmentOptions)
    seed: int = 0

    def __call__(self, rows: Sequence[Any]) -> dict[str, Any]:
        keys = [int(row["image"] if isinstance(row, dict) else row) for row in rows]
        return self.batch(keys)

    def batch(self, keys: Sequence[int]) -> dict[str, Any]:
        """patches: (P, D) uint8, see `PixelSpec`; input_ids, attention_mask, mm_token_type_ids, labels: (B, L);
        image_grid_thw: (B, 3); files: the B picture files, for messages.
        """
        parts = [self.sample(key) for key in keys]
        length = max(len(part.ids) for part in parts)
        ids = np.full((len(parts), length), self.tokens.pad_id)
        labels = np.full((len(parts), length), IGNORED)
        mask = np.zeros((len(parts), length), np.int64)
        for row, part in enumerate(parts):
            ids[row, : len(part.ids)] = part.ids
            labels[row, : len(part.ids)] = part.labels
            mask[row, : len(part.ids)] = 1
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "mm_token_type_ids": torch.from_numpy((ids == self.tokens.image_id).astype(np.int64)),
            "labels": torch.from_numpy(labels),
            "patches": torch.from_numpy(np.concatenate([part.patches for part in parts])),
            "image_grid_thw": torch.tensor([part.grid for part in parts]),
            "files": [str(self.data.path(key % len(self.data))) for key in keys],
        }

    def sample(self, key: int) -> "Encoded":
        """One sample, decoded and tokenised; what is random in it depends on the key alone."""
        row = key % len(self.data)
        example = self.data[row]
        goal, plan = example.goal, example.plan
        rgb = fit(read_picture(example.path), self.frame_size)
        if self.paraphrases or self.changes.any:
            rng = np.random.default_rng((self.seed, key))
            if self.paraphrases:
                ways = (goal, *self.data.paraphrases[self.data.goal[row]])
                goal = ways[rng.integers(len(ways))]
            if self.changes.any:
                rgb, plan = augment(rgb, plan, goal, self.changes, rng)
        return self.encode(rgb, goal, plan)

    def encode(self, rgb: NDArray[np.uint8], goal: str, plan: Plan) -> "Encoded":
        """A picture with its question and answer."""
        grid = self.pixels.grid(rgb.shape[1], rgb.shape[0])
        question = self.tokens.prompt(goal, self.pixels.tokens(grid))
        answer, action = self.tokens.answer(plan)
        learned = np.where(action, answer, IGNORED) if self.actions_only else answer
        return Encoded(
            np.concatenate([question, answer]),
            np.concatenate([np.full(len(question), IGNORED), learned]),
            self.pixels.patches(rgb),
            grid,
        )


@dataclass(frozen=True)
class Encoded:
    """ids, labels: (L,); patches: (P, D) uint8; grid: (time, rows, columns) of patches."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    patches: NDArray[np.uint8]
    grid: tuple[int, int, int]


def model_inputs(batch: dict[str, Any], pixels: PixelSpec, out: Any = None) -> dict[str, Any]:
    """The batch as the model takes it: bytes become floats here, on the model's device (in `out`, if given)."""
    inputs = {name: value for name, value in batch.items() if name not in ("patches", "files")}
    inputs["pixel_values"] = pixels.pixel_values(batch["patches"], out)
    return inputs


class Expander:
    """`model_inputs` into the same memory every time: what it returns holds until it is called again."""

    def __init__(self, pixels: PixelSpec) -> None:
        self.pixels = pixels
        self._memory = torch.empty(0)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        patches = batch["patches"]
        if patches.device.type != "cpu":  # there torch itself keeps and reuses memory
            return model_inputs(batch, self.pixels)
        shape = (len(patches), patches.shape[1] * self.pixels.temporal)
        if self._memory.numel() < shape[0] * shape[1]:
            self._memory = torch.empty(shape[0] * shape[1])
        return model_inputs(batch, self.pixels, self._memory[: shape[0] * shape[1]].view(shape))
