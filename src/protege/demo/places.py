"""Where the demo keeps what it makes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
"""What a stage found, as demo.json holds it."""


@dataclass(frozen=True)
class Places:
    """Below `root`, which has the shape of the project's `dataset` folder."""

    root: Path

    @property
    def window(self) -> Path:
        """The recording of the window, where recordings lie."""
        return self.root / "raw_playthrough" / "demo"

    @property
    def work(self) -> Path:
        """Everything else."""
        return self.root / "demo"

    @property
    def episodes(self) -> Path:
        return self.work / "episodes"

    @property
    def labeled(self) -> Path:
        return self.work / "labeled"

    @property
    def base(self) -> Path:
        return self.work / "tiny-qwen3-vl"

    @property
    def model(self) -> Path:
        return self.work / "model"

    @property
    def steps(self) -> Path:
        """What the policy from pixels learns from."""
        return self.work / "episodes.zarr"

    @property
    def cloned(self) -> Path:
        """The policy from pixels."""
        return self.work / "cloned"

    @property
    def runs(self) -> Path:
        return self.work / "runs"

    @property
    def page(self) -> Path:
        return self.work / "demo.html"
