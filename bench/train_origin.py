"""The way our origin loaded training data, told again to measure ourselves against: every picture decoded into a list.

Usage: python bench/train_origin.py LABELED COUNT
"""

import json
import sys
from pathlib import Path

from PIL import Image


def main(folder: Path, count: int) -> list[dict[str, object]]:
    """The first `count` samples, each with its picture in memory."""
    samples: list[dict[str, object]] = []
    for file in sorted(folder.glob("*/samples.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            if len(samples) == count:
                return samples
            sample = json.loads(line)
            name = sample["messages"][0]["content"][0]["image"]
            samples.append({**sample, "picture": Image.open(file.parent / name).convert("RGB")})
    return samples


if __name__ == "__main__":
    print(f"{len(main(Path(sys.argv[1]), int(sys.argv[2]))):,} samples in memory")
