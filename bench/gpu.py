"""What this project could not measure without a GPU, one part a process; scripts/gpu_figures.py runs them all.

The 8B shape with random weights that are made on the device: times and memory are those of the real one, what it
answers means nothing. With `tiny` the same parts run on a CPU in seconds, to show that they run.
"""

import importlib
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

Found = dict[str, float | int | str]
SIZES: Final = ((640, 480), (320, 240))
STEPS, WARM_UP = 6, 2
FRAMES: Final = 6
WAYS: Final = ("naive", "constrained", "no_draft", "draft", "right_draft")
GIB: Final = 2**30


def device() -> str:
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def network(tiny: bool, kind: str, folder: Path) -> Any:
    """A Qwen3-VL with random weights on the device. kind: "bf16" or "nf4"; folder: of a processor, where it may be."""
    import torch
    from transformers import AutoModelForImageTextToText, Qwen3VLConfig

    from protege.vlm.load import load_processor
    from protege.vlm.shapes import known_shape
    from protege.vlm.tiny import build_tiny

    base = folder / "processor"
    if not base.exists():
        build_tiny(base, size="nano")
    fields = Qwen3VLConfig.from_pretrained(base).to_dict()
    if not tiny:
        shape = known_shape("Qwen3-VL-8B")
        assert shape is not None
        # The tiny tokenizer's special tokens stay: all of its numbers lie below the large vocabulary
        ours = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
        fields = {**{name: fields[name] for name in ours}, **shape}
    fields.pop("model_type", None)
    with torch.device(device()):
        made = AutoModelForImageTextToText.from_config(Qwen3VLConfig(**fields), dtype=torch.bfloat16)
    made.generation_config.eos_token_id = load_processor(base).tokenizer.eos_token_id
    made.generation_config.pad_token_id = load_processor(base).tokenizer.pad_token_id
    made.name_or_path = str(base)
    if kind == "nf4":
        quantise(made)
    return made.eval()


def quantise(made: Any) -> None:
    """NF4 in place, as bitsandbytes does when a model is loaded; vision, merger and head stay as they are."""
    import torch
    from transformers.quantizers.auto import AutoHfQuantizer

    from protege.vlm.family import FAMILIES
    from protege.vlm.load import nf4

    whole = FAMILIES["qwen3_vl"].whole
    layers: Any = importlib.import_module("bitsandbytes").nn
    for name, layer in list(made.named_modules()):
        if type(layer) is not torch.nn.Linear or name.startswith(whole):
            continue
        small = layers.Linear4bit(
            *layer.weight.T.shape, bias=layer.bias is not None, compute_dtype=torch.bfloat16, device="meta"
        )
        weight = layers.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True)
        small.weight = weight._quantize(layer.weight.device)
        small.weight.module, small.quant_state = small, small.weight.quant_state
        small.bias = layer.bias
        parent, _, last = name.rpartition(".")
        setattr(made.get_submodule(parent), last, small)
    made.is_loaded_in_4bit = made.is_quantized = True
    config = nf4(torch.bfloat16, whole)
    made.hf_quantizer, made.quantization_method = AutoHfQuantizer.from_config(config), config.quant_method


def labeled(folder: Path, size: tuple[int, int], frames: int = 16) -> Any:
    """Labeled pictures of noise."""
    from PIL import Image

    from protege.core import KEYBOARD_12, Plan
    from protege.core.chat import Sample
    from protege.training.data import LabeledData

    rng = np.random.default_rng(0)
    for number in range(2):
        part = folder / f"20261121_14250{number}_seg000"
        part.mkdir(parents=True)
        lines = []
        for i in range(frames):
            rgb = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
            Image.fromarray(rgb).resize(size).save(part / f"frame_{i:04d}.jpg", quality=90)
            steps = tuple(frozenset({str(rng.choice(["w", "left", "right"]))}) for _ in range(7))
            lines.append(Sample(f"frame_{i:04d}.jpg", "Go to the lantern", Plan(steps)).to_json(KEYBOARD_12))
        import json

        (part / "samples.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
        (part / "segment.json").write_text(json.dumps({"session": part.name[:15], "goal": "Go to the lantern"}))
    return LabeledData.open(folder)


def train(tiny: bool, kind: str, checkpointing: bool, unsloth: bool) -> Found:
    """Seconds a step, tokens a second and the most memory of training with our settings (batch 2, 640x480)."""
    import torch

    from protege.learn.interrupt import Asked
    from protege.learn.progress import silent
    from protege.training.config import VisionConfig
    from protege.training.memory import estimate
    from protege.training.run import known_warnings, make_trainer

    where, size = device(), (64, 64) if tiny else SIZES[0]
    with tempfile.TemporaryDirectory(prefix="protege-gpu-") as name, known_warnings():
        folder = Path(name)
        config = VisionConfig(output=str(folder / "run"))
        config = replace(
            config,
            model=replace(config.model, base=str(folder / "processor"), four_bit=kind == "nf4", device=where),
            data=replace(config.data, workers=0 if tiny else 2),
            training=replace(
                config.training,
                **{"max_steps": STEPS, "accumulation": 1, "gradient_checkpointing": checkpointing},
                **{"report_to": "none", "log_steps": 1},
            ),
        )
        made = _with_unsloth(tiny, config, folder) if unsloth else _plain(tiny, kind, config, folder)
        data = labeled(folder / "data", size)
        trainer = make_trainer(config, made, data, data.take(np.arange(0)), Asked(), silent)
        ends = _step_ends(trainer)
        if where != "cpu":
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
        seconds = statistics.median(np.diff(ends)[WARM_UP:].tolist())
        tokens = int(trainer.collator.batch([0])["input_ids"].shape[1]) * config.training.batch
        fields = made.model.config.to_dict()
        kept = {name: fields[name] for name in ("model_type", "text_config", "vision_config", "tie_word_embeddings")}
        expected = estimate(config, kept, where, torch.bfloat16, size).memory.total if not unsloth else 0
    found: Found = {"s_per_step": round(seconds, 4), "tokens_per_s": round(tokens / seconds, 1)}
    if where != "cpu":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / GIB, 2)
    return {**found, "estimated_gib": round(expected / GIB, 2)} if expected else found


def _plain(tiny: bool, kind: str, config: Any, folder: Path) -> Any:
    from protege.training.model import Trainable, lora_config
    from protege.vlm.load import load_processor

    made = network(tiny, kind, folder)
    return Trainable(made, load_processor(folder / "processor"), lora_config(config.lora), device(), unsloth=False)


def _with_unsloth(tiny: bool, config: Any, folder: Path) -> Any:
    """unsloth loads from a folder only, and must be imported before transformers: so another process writes it."""
    import multiprocessing

    from protege.training.model import choose_loader, load_trainable

    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(tiny, folder))
    writer.start()
    writer.join()
    config = replace(config, model=replace(config.model, base=str(folder / "base"), unsloth="always"))
    choose_loader(config)
    return load_trainable(config)


def _write(tiny: bool, folder: Path) -> None:
    from protege.vlm.load import load_processor
    from protege.vlm.tiny import save_processor

    network(tiny, "bf16", folder).save_pretrained(folder / "base")
    save_processor(load_processor(folder / "processor"), folder / "base")


def _step_ends(trainer: Any) -> list[float]:
    """When each step of a training has ended, filled while it runs."""
    import torch
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    trainer.add_callback(Clock())
    return ends


def decode(tiny: bool, kind: str) -> Found:
    """Milliseconds a chunk by each way of decoding, and decisions a second, at two sizes."""
    import torch

    from bench.decode import _WAYS
    from protege.agent.decode import ChunkDecoder
    from protege.agent.vision import VisionAgent, VisionOptions, first_guess

    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="protege-gpu-") as name:
        made = network(tiny, kind, Path(name))
        for size in ((64, 64),) if tiny else SIZES:
            options = VisionOptions(device=device(), frame_size=size)
            agent = VisionAgent(Path(name) / "processor", "Go", options)
            agent.decoder = ChunkDecoder(made, agent.decoder.shape)
            ms: dict[str, list[float]] = {way: [] for way in WAYS}
            rng = np.random.default_rng(0)
            for number in range(2 if tiny else FRAMES):
                rgb = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
                inputs, draft = agent.inputs(rgb, "Go to the lantern"), first_guess(agent.card.horizon)
                for way in WAYS:
                    began = time.perf_counter()
                    with torch.inference_mode():
                        chunk, _ = _WAYS[way](agent, made, inputs, draft)
                    if torch.cuda.is_available():
                        torch.cuda.synchronize()
                    if number:  # the first compiles and fills caches
                        ms[way].append((time.perf_counter() - began) * 1e3)
                    draft = chunk if way == "draft" and chunk is not None else draft
            label = f"{size[0]}x{size[1]}"
            found |= {f"ms_{way}_{label}": round(statistics.median(times), 2) for way, times in ms.items()}
            found[f"decisions_per_s_{label}"] = round(1e3 / statistics.median(ms["draft"]), 2)
    return found


def reader(tiny: bool, kind: str) -> Found:
    """Milliseconds of a pass over picture, prompt and draft: as the agent does it, with compiled layers, captured."""
    import torch

    from bench.gpu_reader import captured, ways
    from protege.agent.reader import Reader
    from protege.agent.vision import VisionAgent, VisionOptions, first_guess
    from protege.vlm.walk import Walk

    found: Found = {}
    on_gpu = device() != "cpu"
    with tempfile.TemporaryDirectory(prefix="protege-gpu-") as name:
        made = network(tiny, kind, Path(name))
        for size in ((64, 64),) if tiny else SIZES:
            options = VisionOptions(device=device(), frame_size=size)
            agent = VisionAgent(Path(name) / "processor", "Go", options)
            shape = agent.decoder.shape
            rgb = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
            inputs = agent.inputs(rgb, "Go to the lantern")
            walk = Walk(shape, shape.choices(first_guess(agent.card.horizon)))
            draft = torch.tensor([walk.out + walk.ahead()], device=device())
            measured = ways(
                lambda s=shape, i=inputs, d=draft: (Reader(made.model, s.longest), dict(i), d),
                lambda layer: torch.compile(layer, backend="inductor" if on_gpu else "eager"),
                captured if on_gpu else None,
                torch.cuda.synchronize if on_gpu else lambda: None,
            )
            found |= {f"{key}_{size[0]}x{size[1]}": value for key, value in measured.items()}
    return found


def loader(tiny: bool) -> Found:
    """Samples a second that the loader's workers make of 640x480 pictures, with as many as there are cores."""
    import torch

    from protege.training.config import VisionConfig
    from protege.training.run import make_collator
    from protege.vlm.load import load_processor
    from protege.vlm.tiny import build_tiny

    with tempfile.TemporaryDirectory(prefix="protege-gpu-") as name:
        folder = Path(name)
        data = labeled(folder / "data", SIZES[0], 4 if tiny else 128)
        collator = make_collator(VisionConfig(), load_processor(build_tiny(folder / "base", size="nano")), data)
        workers = 1 if tiny else os.cpu_count() or 1
        rows: Any = list(range(len(data))) * (1 if tiny else 8)
        batches = iter(torch.utils.data.DataLoader(rows, batch_size=2, collate_fn=collator, num_workers=workers))
        next(batches)
        began = time.perf_counter()
        count = sum(len(batch["files"]) for batch in batches)
        return {"samples_per_s": round(count / (time.perf_counter() - began), 1), "workers": workers}


def cloning(tiny: bool, precision: str) -> Found:
    """Milliseconds of a cloning step on a resident batch, in JAX and in PyTorch on the same device."""
    import jax
    import torch

    from bench.cloning_data import pictures, write_store
    from bench.cloning_train import KEYS, our_steps, pytorch

    height, width, batch = (72, 128, 4) if tiny else (144, 256, 64)
    with tempfile.TemporaryDirectory(prefix="protege-gpu-") as name:
        store = write_store(Path(name) / "store.zarr", (height, width), 12 * batch, 4 * batch)
        ours = our_steps(str(store), name, batch, precision)
        held = np.random.default_rng(0).random((batch, len(KEYS))) < 0.2
        frames = pictures(batch, (height, width))
        theirs = pytorch(frames, held.astype(np.float32), device(), bf16=precision == "bfloat16")
        found: Found = {
            "jax_ms": _median_ms(ours, tiny),
            "torch_ms": _median_ms(theirs, tiny),
            "jax_device": jax.devices()[0].device_kind,
            "torch_device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        }
    return found


def _median_ms(step: Callable[[], object], tiny: bool) -> float:
    times = []
    for _ in range(3 if tiny else 30):
        began = time.perf_counter()
        step()
        times.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(times[1:]), 3)


def parts() -> dict[str, Callable[[bool], Found]]:
    """Every part by name, the most wanted first; unsloth's only where it is installed."""
    found: dict[str, Callable[[bool], Found]] = {}
    for kind in ("nf4", "bf16"):
        for checkpointing in (True, False):
            name = f"train_{kind}_{'checkpointed' if checkpointing else 'plain'}"
            found[name] = lambda tiny, k=kind, c=checkpointing: train(tiny, k, c, unsloth=False)
        found[f"decode_{kind}"] = lambda tiny, k=kind: decode(tiny, k)
    if importlib.util.find_spec("unsloth"):
        for checkpointing in (True, False):
            name = f"train_unsloth_nf4_{'checkpointed' if checkpointing else 'plain'}"
            found[name] = lambda tiny, c=checkpointing: train(tiny, "nf4", c, unsloth=True)
    found["loader"] = loader
    for precision in ("float32", "bfloat16"):
        found[f"cloning_{precision}"] = lambda tiny, p=precision: cloning(tiny, p)
    for kind in ("nf4", "bf16"):
        found[f"reader_{kind}"] = lambda tiny, k=kind: reader(tiny, k)
    return found
