"""The data collator: decodes pictures in the workers, and sends them to the trainer as bytes.

Tokens and pixel values equal those of the stock processor and TRL's collator.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from protege.core import Plan
from protege.core.history import History
from protege.training.augment import augment
from protege.training.config import AugmentOptions
from protege.training.data import LabeledData
from protege.vlm.inputs import Tokens
from protege.vlm.pictures import Pictures
from protege.vlm.pixels import fit, read_picture

IGNORED: Final = -100
"""The label of tokens without a loss, as everywhere in transformers."""
DROPOUT: Final = 1
"""Sets the draws of history dropout apart from those of augmentation, which are the same with and without it."""
Batch = dict[str, Any]
"""As torch's loaders, accelerate and models pass it: tensors by name, and under "files" names of pictures."""


@dataclass
class Collator:
    """Makes a batch from sample keys (see `Draws`; below N a key is a sample's position).

    actions_only: loss on the tokens that spell actions, else on the whole answer.
    history: the earlier frames that are shown besides, None for none; dropout: probability that a sample shows none.
    """

    data: LabeledData
    tokens: Tokens
    pixels: Pictures
    frame_size: tuple[int, int] | None = None
    actions_only: bool = False
    paraphrases: bool = False
    changes: AugmentOptions = field(default_factory=AugmentOptions)
    seed: int = 0
    history: History | None = None
    dropout: float = 0.0

    def scoring(self) -> "Collator":
        """The same without anything random, as samples are scored."""
        return replace(self, paraphrases=False, changes=AugmentOptions(), dropout=0.0)

    def __call__(self, rows: Sequence[Mapping[str, int] | int]) -> Batch:
        keys = [row if isinstance(row, int) else int(row["image"]) for row in rows]
        return self.batch(keys)

    def batch(self, keys: Sequence[int]) -> Batch:
        """The batch of B samples.

        patches: (P, D) uint8, see `Pictures`; input_ids, attention_mask, mm_token_type_ids, labels: (B, L);
        image_grid_thw: (G, 3) of the G pictures of all samples; files: the B picture files, for messages.
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
            "image_grid_thw": torch.tensor([grid for part in parts for grid in part.grids]),
            "files": [str(self.data.path(key % len(self.data))) for key in keys],
        }

    def sample(self, key: int) -> "Encoded":
        """Decode and tokenise one sample. Its augmentation depends on the key alone: a resumed run repeats it."""
        row = key % len(self.data)
        example = self.data[row]
        goal, plan = example.goal, example.plan
        paths = (*self._earlier(row, key), example.path)
        rgbs = [fit(read_picture(path), self.frame_size) for path in paths]
        if self.paraphrases or self.changes.any:
            rng = np.random.default_rng((self.seed, key))
            if self.paraphrases:
                ways = (goal, *self.data.paraphrases[self.data.goal[row]])
                goal = ways[rng.integers(len(ways))]
            if self.changes.any:
                # All frames of a sample change alike, or the change between them would be seen and not the game's
                changed = [
                    augment(rgb, plan, goal, self.changes, copy.deepcopy(rng), self.data.shape.space) for rgb in rgbs
                ]
                rgbs, plan = [rgb for rgb, _ in changed], changed[-1][1]
        return self.encode(rgbs, goal, plan)

    def _earlier(self, row: int, key: int) -> list[Path]:
        if self.history is None:
            return []
        if self.dropout and np.random.default_rng((self.seed, key, DROPOUT)).random() < self.dropout:
            return []
        return self.data.earlier(row, self.history)

    def encode(self, rgbs: Sequence[NDArray[np.uint8]], goal: str, plan: Plan) -> "Encoded":
        """Frames, the newest last, with their question and answer."""
        *earlier, newest = rgbs
        if self.history is not None:
            size = self.history.size(newest.shape[1], newest.shape[0])
            rgbs = [*(fit(rgb, size) for rgb in earlier), newest]
        grids = tuple(self.pixels.grid(rgb.shape[1], rgb.shape[0]) for rgb in rgbs)
        question = self.tokens.prompt(goal, *map(self.pixels.tokens, grids))
        answer, action = self.tokens.answer(plan)
        learned = np.where(action, answer, IGNORED) if self.actions_only else answer
        return Encoded(
            np.concatenate([question, answer]),
            np.concatenate([np.full(len(question), IGNORED), learned]),
            np.concatenate([self.pixels.patches(rgb) for rgb in rgbs]),
            grids,
        )


@dataclass(frozen=True)
class Encoded:
    """One tokenised sample. ids, labels: (L,); patches: (P, D) uint8 of all its frames; grids: of each frame's patches
    (time, rows, columns).
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    patches: NDArray[np.uint8]
    grids: tuple[tuple[int, int, int], ...]


def model_inputs(batch: Batch, pixels: Pictures, out: torch.Tensor | None = None) -> Batch:
    """The batch as the model takes it: bytes become floats, on the device they are on (in `out`, if given)."""
    named = {name: value for name, value in batch.items() if name not in ("patches", "files")}
    return pixels.inputs(named, pixels.pixel_values(batch["patches"], out))


class Expander:
    """`model_inputs` into one buffer that is used again: what it returns holds until the next call.

    Allocating and clearing hundreds of megabytes for every batch costs more than filling them.
    """

    def __init__(self, pixels: Pictures) -> None:
        self.pixels = pixels
        self._memory = torch.empty(0)

    def __call__(self, batch: Batch) -> Batch:
        patches = batch["patches"]
        if patches.device.type != "cpu":  # torch itself keeps and reuses a GPU's memory
            return model_inputs(batch, self.pixels)
        shape = (len(patches), patches.shape[1] * self.pixels.temporal)
        if self._memory.numel() < shape[0] * shape[1]:
            self._memory = torch.empty(shape[0] * shape[1])
        return model_inputs(batch, self.pixels, self._memory[: shape[0] * shape[1]].view(shape))
