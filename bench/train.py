"""python -m bench train: does fine-tuning learn, does the model heed its goal, and what do loading and memory cost?

The tiny base that comes with protege, on a CPU, on recordings of the arena. Training sees seeds from 5,000 to 9,999,
the scores are of episodes from 10,000 on, and the base itself has seen seeds below 5,000 only.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.errors import ProtegeError, UserError
from protege.evaluation.figures import Figure
from protege.training.data import LabeledData

TRAIN_SEED, HELD_OUT_SEED = 5_000, 10_000
PLAYED: Final = (320, 240)
LOADED: Final = (640, 480)
OVERFIT: Final = 64
MIN_OVERFIT, MIN_SPEEDUP, MAX_DIFFERENCE, MAX_GROWTH = 0.99, 3.0, 1e-5, 1.1
ORIGIN: Final = Path(__file__).with_name("train_origin.py")
Say = Callable[[str], None]

_MEMORY: Final = """
import sys
from pathlib import Path
from protege.training.config import VisionConfig
from protege.training.data import LabeledData
from protege.training.run import make_collator
from protege.vlm.load import load_processor
import torch
data = LabeledData.open(Path(sys.argv[1]))
collator = make_collator(VisionConfig(), load_processor(sys.argv[2]), data)
loader = torch.utils.data.DataLoader(range(len(data)), batch_size=8, collate_fn=collator)
seen = sum(len(batch["files"]) for batch in loader)
assert seen == len(data), seen
"""
_ORIGIN: Final = """
import runpy, sys
from pathlib import Path
samples = runpy.run_path(sys.argv[3])["main"](Path(sys.argv[1]), 10**9)
"""
_PEAK: Final = """
lines = Path("/proc/self/status").read_text().splitlines()
print([int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")][0])
"""
"""VmHWM, since ru_maxrss of a child begins with the memory of the parent it was forked from."""


@dataclass(frozen=True)
class TrainBench:
    """base: None for the one that comes with protege; episodes: to train on; held_out: to score; steps: of
    fine-tuning; overfit_steps: on 64 samples; few, many: samples of which the peak memory is compared; folder: where
    recordings, data and models are kept (None: a temporary one).
    """

    base: Path | None = None
    episodes: int = 200
    held_out: int = 40
    steps: int = 900
    overfit_steps: int = 300
    loaded: int = 96
    few: int = 1_000
    many: int = 20_000
    folder: Path | None = None

    def __post_init__(self) -> None:
        for name in ("episodes", "held_out", "steps", "overfit_steps", "loaded", "few", "many"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is 1 or more, got {getattr(self, name)}")


def run(bench: TrainBench, say: Say = lambda text: None) -> list[Figure]:
    """All figures."""
    if sys.platform != "linux":
        raise UserError("python -m bench train reads the peak memory from /proc, so it runs on Linux")
    from protege.vlm.tiny import copy_base

    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = bench.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        base = bench.base or folder / "tiny-qwen3-vl"
        if not base.is_dir():
            copy_base(base)
        say(f"recording and labeling {bench.episodes} episodes to train on and {bench.held_out} to score")
        labeled = arena_data(folder / "train", TRAIN_SEED, bench.episodes)
        held_out = arena_data(folder / "held_out", HELD_OUT_SEED, bench.held_out)
        say(f"{bench.overfit_steps} steps on {OVERFIT} samples")
        figures = [overfit(base, labeled, folder / "overfit", bench.overfit_steps)]
        say(f"{bench.steps} steps on all episodes")
        figures += fine_tune(base, labeled, held_out, folder / "adapter", bench.steps)
        say("loading pictures of 640x480")
        figures += loading(base, folder / "pictures", bench.loaded)
        say(f"peak memory at {bench.few:,} and {bench.many:,} samples")
        return figures + memory(base, folder / "many", bench.few, bench.many)


def arena_data(folder: Path, seed: int, episodes: int) -> Path:
    """Labeled segments of arena episodes, with the goals that the game stored.

    The expert makes no slips: those come by chance, so no picture tells them (see `bench.train_bound`).
    """
    from protege.arena.record import record_episodes
    from protege.labeling import Given, label

    sessions = record_episodes(folder / "raw", episodes, seed, size=PLAYED, noise=0)
    result = label([episode.folder for episode in sessions], folder / "labeled", Given())
    if result.exit_code:
        raise ProtegeError("; ".join(result.lines()))
    return folder / "labeled"


def configured(base: Path, data: Path, output: Path, *overrides: str) -> Any:
    """A fine-tuning run on a CPU that shows itself in steps, not epochs."""
    from protege.core.card import ModelCard
    from protege.settings import load_config
    from protege.training.config import VisionConfig

    width, height = ModelCard.load(base).frame_size if (base / "card.json").is_file() else (160, 128)
    fixed = [
        *(f"model.base={base}", f"data.folder={data}", f"output={output}", f"data.frame_size=[{width},{height}]"),
        *("model.four_bit=false", "model.device=cpu", "data.workers=0", "training.gradient_checkpointing=false"),
        *("training.batch=8", "training.accumulation=1", "training.schedule=constant_with_warmup"),
        *("training.report_to=none", "training.log_steps=20", "data.validation=0"),
    ]
    return load_config(VisionConfig, None, [*fixed, *overrides])


def overfit(base: Path, data: Path, output: Path, steps: int) -> Figure:
    """Exact chunks on the very samples that were trained on: can the adapter learn at all?"""
    from protege.training.judge import ScoreOptions, score_model
    from protege.training.run import train

    few = subset(data, output.with_name("overfit_data"), OVERFIT)
    options = ("training.learning_rate=3e-3", f"training.max_steps={steps}", "lora.dropout=0", "lora.r=32")
    train(configured(base, few, output, *options))
    exact = score_model(output, few, ScoreOptions(untuned_base=False, device="cpu")).scores.exact_chunk
    return Figure("overfit_exact", exact, f"{exact:.3f}", f">= {MIN_OVERFIT}", exact >= MIN_OVERFIT)


def subset(data: Path, out: Path, count: int) -> Path:
    """`count` samples spread over a data set, as a data set of one segment."""
    lines = [(f, line) for f in sorted(data.glob("*/samples.jsonl")) for line in f.read_text().splitlines()]
    picked = [lines[i] for i in np.linspace(0, len(lines) - 1, count).astype(int)]
    folder = out / "subset_seg000"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (file, line) in enumerate(picked):
        sample = json.loads(line)
        part = sample["messages"][0]["content"][0]
        picture, part["image"] = file.parent / part["image"], f"frame_{number:04d}.jpg"
        (folder / part["image"]).write_bytes(picture.read_bytes())
        rows.append(json.dumps(sample) + "\n")
    (folder / "samples.jsonl").write_text("".join(rows), encoding="utf-8")
    return out


def fine_tune(base: Path, data: Path, held_out: Path, output: Path, steps: int) -> list[Figure]:
    """Scores of held-out episodes beside every baseline's, and whether another goal changes the answer."""
    from protege.training.judge import ScoreOptions, score_model
    from protege.training.run import train

    options = ("training.learning_rate=1e-3", "training.schedule=linear", f"training.max_steps={steps}", "lora.r=32")
    train(configured(base, data, output, *options))
    found = score_model(output, held_out, ScoreOptions(samples=2000, device="cpu")).scores
    shown = ("first_action_accuracy", "macro_f1", "change_accuracy", "exact_chunk")
    beside = {name: {key: getattr(other, key) for key in shown} for name, other in found.baselines.items()}
    figures = [Figure("episodes", len(list((data.parent / "raw").iterdir())), "recorded to train on")]
    for name in shown:
        value, best = getattr(found, name), max(row[name] for row in beside.values())
        figures.append(Figure(name, value, f"{value:.3f}", f"> {best:.3f}, the best baseline", value > best))
    text = ", ".join(f"{n} {'/'.join(f'{value:.3f}' for value in row.values())}" for n, row in beside.items())
    figures.append(Figure("baselines", beside, text))
    if (swap := found.goal_swap) is not None:
        low, high = swap.interval
        figures.append(Figure("goal_swap_effect", swap.effect, f"{swap.effect:.3f} nats a slot", "> 0", low > 0))
        figures.append(Figure("goal_swap_ci", [low, high], f"{low:.3f} to {high:.3f} (95 %)"))
        figures.append(Figure("goal_swap_changed", swap.changed, f"{swap.changed:.0%} of first actions"))
    return figures


def pictures(folder: Path, count: int, size: tuple[int, int], different: int = 64) -> Path:
    """Labeled segments with real arena pictures of a size; after `different` of them files repeat as hard links."""
    from protege.arena.engine import Engine
    from protege.arena.rooms import layout
    from protege.core import KEYBOARD_12, Plan, encode_jpeg
    from protege.core.chat import Sample

    segment_size = 500
    first: list[Path] = []
    turn = frozenset({"right"})
    with Engine(size) as engine:
        engine.load(layout(TRAIN_SEED))
        for start in range(0, count, segment_size):
            segment = folder / f"pictures_seg{start // segment_size:03d}"
            segment.mkdir(parents=True, exist_ok=True)
            rows = []
            for number in range(min(segment_size, count - start)):
                file = segment / f"frame_{number:04d}.jpg"
                if len(first) < different:
                    engine.step(turn, 3)
                    file.write_bytes(encode_jpeg(engine.picture()))
                    first.append(file)
                elif not file.exists():
                    file.hardlink_to(first[(start + number) % different])
                sample = Sample(file.name, "Go to the lantern", Plan((turn,) * 7))
                rows.append(json.dumps(sample.to_json(KEYBOARD_12)) + "\n")
            (segment / "samples.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def loading(base: Path, folder: Path, count: int) -> list[Figure]:
    """Samples a second from one worker to tensors the model takes, ours against TRL's collator and the processor."""
    from protege.training.collate import Expander
    from protege.training.config import VisionConfig
    from protege.training.run import known_warnings, make_collator
    from protege.training.trainer import SampleKeys
    from protege.vlm.load import load_processor

    data = LabeledData.open(pictures(folder, count, LOADED))
    processor = load_processor(base)
    ours = make_collator(VisionConfig(), processor, data)
    expand = Expander(ours.pixels)  # what the trainer does with a batch
    theirs = stock(data, processor)
    a, b = expand(ours.batch([0, 1, 2, 3])), theirs[1]([theirs[0][i] for i in range(4)])
    for name in ("input_ids", "labels", "attention_mask", "mm_token_type_ids", "image_grid_thw"):
        if not bool((a[name] == b[name]).all()):
            raise ProtegeError(f"our collator's {name} differ from the stock path's")
    largest = float((a["pixel_values"] - b["pixel_values"]).abs().max())
    rates: dict[str, list[float]] = {"ours": [], "stock": []}
    with known_warnings():
        for _ in range(3):  # by turns: other work on the machine then slows both
            rates["ours"].append(per_second(SampleKeys.of(count), ours, expand, count))
            rates["stock"].append(per_second(*theirs, lambda batch: batch, count))
    mine, other = (float(np.median(rates[name])) for name in ("ours", "stock"))
    speedup = mine / other
    return [
        Figure("loader_per_s", mine, f"{mine:.0f} samples/s; the stock path {other:.0f}"),
        Figure("loader_speedup", speedup, f"{speedup:.1f}x", f">= {MIN_SPEEDUP:g}", speedup >= MIN_SPEEDUP),
        Figure("max_pixel_difference", largest, f"{largest:.1e}", f"<= {MAX_DIFFERENCE:g}", largest <= MAX_DIFFERENCE),
    ]


def stock(data: LabeledData, processor: Any) -> tuple[Any, Any]:
    """The same samples as TRL documents them: a data set with pictures, and its collator."""
    import datasets
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from protege.core.chat import prompt, reply

    rows = []
    for i in range(len(data)):
        example = data[i]
        question = [{"type": "image", "text": None}, {"type": "text", "text": prompt(example.goal)}]
        answer = [{"type": "text", "text": reply(example.plan, data.shape.space)}]
        rows.append(
            {
                "images": [str(example.path)],
                "prompt": [{"role": "user", "content": question}],
                "completion": [{"role": "assistant", "content": answer}],
            }
        )
    made = datasets.Dataset.from_list(rows).cast_column("images", datasets.List(datasets.Image()))
    return made, DataCollatorForVisionLanguageModeling(processor=processor, completion_only_loss=True)


def per_second(rows: Any, collate: Any, expand: Callable[[Any], Any], count: int) -> float:
    """Samples a second from one worker, its start left out."""
    import torch

    loader = torch.utils.data.DataLoader(rows, batch_size=8, num_workers=1, collate_fn=collate, prefetch_factor=1)
    batches = iter(loader)
    expand(next(batches))
    began, seen = time.perf_counter(), 0
    for batch in batches:
        seen += len(expand(batch)["input_ids"])
    return seen / (time.perf_counter() - began)


def memory(base: Path, folder: Path, few: int, many: int) -> list[Figure]:
    """Peak memory of a process that goes through all samples once; pictures of 160x120, since the origin keeps them."""
    size = (160, 120)
    small, large = pictures(folder / "few", few, size), pictures(folder / "many", many, size)
    peaks = [peak_mb(_MEMORY, str(data), str(base)) for data in (small, large)]
    origin = peak_mb(_ORIGIN, str(large), str(base), str(ORIGIN))
    growth = peaks[1] / peaks[0]
    return [
        Figure("peak_mb_1k", peaks[0], f"{peaks[0]:.0f} MB at {few:,} samples"),
        Figure("peak_mb_20k", peaks[1], f"{peaks[1]:.0f} MB at {many:,}", f"<= {MAX_GROWTH}x", growth <= MAX_GROWTH),
        Figure("peak_mb_20k_origin", origin, f"{origin:.0f} MB"),
    ]


def peak_mb(code: str, *arguments: str) -> float:
    """Runs code in a process of its own; returns its peak memory."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code + _PEAK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ProtegeError(f"the memory run failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout.split()[-1])
