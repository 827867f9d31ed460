"""The commands that are killed, and what must be there when the same command has been run again."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.fuzz.inputs import TINY_CLONE, TINY_CONTROLS, TINY_VISION
from tests.labeling.recordings import HOLD, record
from tests.recorder.foreign import origin

Line = tuple[str, ...]
Contents = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """needs: what of the inputs it reads, which stays byte-equal; line: the command; contents: folder → what of the
    outcome must be as in a run that nobody killed; doubled: folder → what stands there more often than once.
    """

    name: str
    group: str
    needs: tuple[str, ...]
    line: Line
    contents: Callable[[Path], Contents]
    doubled: Callable[[Path], list[str]] = lambda folder: []


def make_inputs(root: Path) -> None:
    """Larger than those of the fuzzer where a kill is to hit the writing."""
    held = [HOLD["w"], HOLD["wr"], HOLD["none"], HOLD["right"]] * 40
    for number in range(3):
        record(root / "long", held, f"s{number}", [(0, "Go to the lantern", 160, "success")], size=(160, 120))
    for number in range(3):
        frames = [(1000 + 100 * i, ["w", "none"]) for i in range(80)]
        origin(root / "pictures", frames, f"play{number}", (160, 120))


def files(pattern: str, *known: str) -> Callable[[Path], Contents]:
    """Every file below the folders of a pattern with its content; known: JSON files, of which only these fields."""

    def read(folder: Path) -> Contents:
        found: Contents = {}
        for top in sorted(folder.glob(pattern)):
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file():
                    name = str(path.relative_to(folder))
                    found[name] = _fields(path, known) if path.name == "session.json" else path.read_bytes()
        return found

    return read


def _fields(path: Path, known: tuple[str, ...]) -> Any:
    fields = json.loads(path.read_text())
    return {name: fields.get(name) for name in known}


SESSION_FIELDS: Final = ("status", "frames", "counts", "frame_size", "frame_hz")


def steps_once(log: str, key: str) -> Callable[[Path], list[str]]:
    """Steps, or epochs, that a training's log holds twice."""

    def read(folder: Path) -> list[str]:
        path = folder / log
        if not path.is_file():
            return []
        text = path.read_text()
        rows = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
        rows = rows.get("history", []) if isinstance(rows, dict) else rows
        kinds = Counter((row.get(key), *sorted(row)) for row in rows if row.get(key) is not None)
        return [f"{log}: {key} {kind[0]} stands {count} times" for kind, count in kinds.items() if count > 1]

    return read


def there(*names: str, counted: str = "", key: str = "") -> Callable[[Path], Contents]:
    """Which of these exist, and how far a log goes."""

    def read(folder: Path) -> Contents:
        found: Contents = {name: (folder / name).is_file() for name in names}
        if counted and (folder / counted).is_file():
            text = (folder / counted).read_text()
            rows = [json.loads(line) for line in text.splitlines()] if counted.endswith("l") else json.loads(text)
            rows = rows.get("history", []) if isinstance(rows, dict) else rows
            found["steps"] = max((row[key] for row in rows if key in row), default=0)
        return found

    return read


ADAPTER: Final = ("adapter_model.safetensors", "adapter_config.json", "card.json", "metrics.json", "README.md")
CONTROLS: Final = ("control_policy_v2.pt", "control_config_v2.json", "training_log_v2.json", "card.json")

JOBS: Final = (
    Job(
        "import",
        "light",
        ("pictures",),
        ("import", "pictures", "--out", "out", "--size", "160x120"),
        files("out/*", *SESSION_FIELDS),
    ),
    Job("export", "light", ("labeled", "long"), ("export", "labeled", "--to", "jsonl", "--out", "out"), files("out")),
    Job(
        "split",
        "light",
        ("long",),
        ("sessions", "split", "long/s0", "--at", "4", "--at", "8", "--at", "12"),
        files("long/s0_*", *SESSION_FIELDS),
    ),
    Job(
        "merge",
        "light",
        ("long",),
        ("sessions", "merge", "long/s0", "long/s1", "long/s2", "--name", "all"),
        files("long/all", *SESSION_FIELDS),
    ),
    Job(
        "label",
        "light",
        ("long",),
        ("label", "--raw", "long", "--backend", "given", "--out", "out", "--seconds", "1"),
        files("out/*"),
    ),
    Job(
        "zarr export",
        "light",
        ("long",),
        ("export", "long", "--to", "zarr", "--out", "out.zarr", "--size", "80x60", "--cut", "2"),
        files("out.zarr"),
    ),
    Job(
        "train",
        "torch",
        ("labeled", "tiny"),
        ("train", *TINY_VISION, "output=out", "training.max_steps=6", "training.save_steps=2", "training.log_steps=1"),
        there(*(f"out/{name}" for name in ADAPTER), counted="out/metrics.json", key="step"),
        steps_once("out/metrics.json", "step"),
    ),
    Job(
        "controls train",
        "torch",
        ("npz",),
        ("controls", "train", *TINY_CONTROLS, "output=out", "training.epochs=4"),
        there(*(f"out/{name}" for name in CONTROLS), counted="out/training_log_v2.json", key="epoch"),
        steps_once("out/training_log_v2.json", "epoch"),
    ),
    Job(
        "clone train",
        "jax",
        ("episodes.zarr",),
        (
            *("clone", "train", "--config", "clone.yaml", *TINY_CLONE, "training.checkpoint_dir=out"),
            *("training.num_epochs=4", "training.max_steps=0", "logging.log_every_n_steps=1"),
        ),
        there("out/card.json", "out/config.yaml", counted="out/log.jsonl", key="step"),
        steps_once("out/log.jsonl", "step"),
    ),
)
QUICK: Final = ("import", "export", "split", "label")


def copy_inputs(job: Job, inputs: Path, work: Path) -> None:
    for name in (*job.needs, "clone.yaml"):
        source = inputs / name
        if source.is_dir():
            shutil.copytree(source, work / name)
        elif source.is_file():
            shutil.copyfile(source, work / name)
