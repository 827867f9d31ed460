"""The way our origin loaded zarr episodes, told again to measure ourselves against.

For every sample the store's groups and arrays are opened anew, one frame and one row are read, and the frame becomes
float32 on the host; a batch is a Python list that is stacked. Usage: python bench/cloning_origin.py STORE
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr


class OriginDataset:
    """Samples by number, over all frames of all episodes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        root: Any = zarr.open_group(path, mode="r")
        self.index = [(name, i) for name in sorted(root.group_keys()) for i in range(root[name]["actions"].shape[0])]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> dict[str, Any]:
        name, i = self.index[number]
        episode: Any = zarr.open_group(self.path, mode="r")[name]
        frame = episode["frames"][i].astype(np.float32) / 255.0
        return {"frames": frame, "actions": episode["actions"][i].astype(np.float32)}


def batches(dataset: OriginDataset, size: int = 32, seed: int = 0) -> Iterator[dict[str, Any]]:
    """One shuffled epoch; the last batch is as small as it comes."""
    order = np.arange(len(dataset))
    np.random.default_rng(seed).shuffle(order)
    for start in range(0, len(order), size):
        items = [dataset[int(i)] for i in order[start : start + size]]
        yield {name: np.stack([item[name] for item in items]) for name in items[0]}


def epoch(path: Path, size: int = 32) -> int:
    """Go through all samples once; returns how many there were."""
    return sum(len(batch["frames"]) for batch in batches(OriginDataset(path), size))


if __name__ == "__main__":
    print(epoch(Path(sys.argv[1])))
