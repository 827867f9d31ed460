"""python -m bench cloning: how fast are loading, training and deciding, and does a cloned policy play?"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.errors import UserError
from protege.evaluation.figures import Figure

PARTS: Final = ("data", "train", "decide", "play")


@dataclass(frozen=True)
class CloningBench:
    """What to measure, and how much of it.

    parts: of PARTS
    frames: samples of the loader's comparison at 144x256
    few, many: frames between which memory must not grow, in episodes of `length`
    turns: of training steps
    decisions: that are timed
    episodes: of the expert, to train on
    rooms: to play
    goal_model, plain_model: folders of trained models, None to train them
    folder: where everything is kept, None nowhere
    """

    parts: tuple[str, ...] = PARTS
    frames: int = 1_200
    few: int = 2_000
    many: int = 20_000
    length: int = 200
    turns: int = 5
    decisions: int = 300
    episodes: int = 300
    rooms: int = 100
    goal_model: Path | None = None
    plain_model: Path | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        if unknown := set(self.parts) - set(PARTS):
            raise UserError(f"no part {', '.join(sorted(unknown))}; they are {', '.join(PARTS)}")
        for name in ("frames", "few", "many", "length", "turns", "decisions", "episodes", "rooms"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is 1 or more, got {getattr(self, name)}")


def run(bench: CloningBench, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """The figures of the parts asked for."""
    if sys.platform != "linux":
        raise UserError("python -m bench cloning reads the peak memory from /proc, so it runs on Linux")
    from bench import cloning_data, cloning_decide, cloning_play, cloning_train

    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = bench.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        models = {"goal": bench.goal_model, "plain": bench.plain_model}
        measure: dict[str, Callable[[], list[Figure]]] = {
            "data": lambda: cloning_data.figures(folder, bench.frames, bench.few, bench.many, bench.length, say),
            "train": lambda: cloning_train.figures(folder, bench.turns, say),
            "decide": lambda: cloning_decide.figures(folder, bench.decisions, say),
            "play": lambda: cloning_play.closed_loop(folder, models, bench.episodes, bench.rooms, say),
        }
        for part in (name for name in PARTS if name in bench.parts):
            began = time.monotonic()
            made = measure[part]()
            for figure in made:  # each part's at once: the last one trains for long
                say(f"{figure.key}: {figure.text}")
            say(f"part {part} took {time.monotonic() - began:.0f} s")
            found += made
    return found
