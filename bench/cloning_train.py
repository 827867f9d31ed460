"""python -m bench cloning, training: a step end to end, beside PyTorch and the origin, and the time to the first one.

Everything runs in processes of their own on one core, each as its users have it: ours keeps freed memory, which the
others do not.
"""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.apart import Turn, apart, by_turns
from bench.cloning_data import KEYS, Say, origin, own_peak_mb, pictures, write_store
from protege.evaluation.figures import Figure

MIN_EFFICIENCY, MIN_RATIO, MAX_SECOND = 0.95, 1.0, 0.5
SIZES: Final = (((144, 256), 16), ((288, 512), 4))
"""Pictures and the batch that a step of about a second takes of them."""
PER_TURN, WARM_UP = 2, 4
"""Steps a turn; turns before the first that counts, after which memory is where it stays."""


def figures(folder: Path, turns: int = 5, say: Say = lambda text: None) -> list[Figure]:
    """Figures of training steps at both sizes (medians of `turns` turns each), and of two starts."""
    found: list[Figure] = []
    for (height, width), batch in SIZES:
        say(f"training steps of {batch} frames of {height}x{width}: resident, end to end, PyTorch, origin, by turns")
        store = write_store(folder / f"steps_{height}.zarr", (height, width), 12 * batch, 4 * batch)
        contestants = (
            (our_turn, (str(store), str(folder / f"steps_{height}"), batch)),
            (torch_turn, (height, width, batch)),
            (origin_turn, (str(store), batch)),
        )
        seconds = by_turns(contestants, turns)
        found += _of_steps(seconds, batch, height, width)
    say("starts to the first step: with an empty and with a filled cache of compiled steps, and the origin's")
    return [*found, *starts(folder)]


def _of_steps(seconds: dict[str, list[float]], batch: int, height: int, width: int) -> list[Figure]:
    resident, whole, torch, theirs = (np.array(seconds[name]) for name in ("resident", "end_to_end", "torch", "origin"))
    efficiency = float(np.median(resident / whole))
    ratio = float(np.median(torch / resident))
    rate = batch / float(np.median(whole))
    suffix = "" if height == 144 else f"_{height}"
    text = f"{efficiency:.3f} of a resident batch; {rate:.1f} samples a CPU second at {height}x{width}"
    spread = f"{(torch / resident).min():.2f} to {(torch / resident).max():.2f}"
    beside = f"{ratio:.2f}x PyTorch's speed ({spread}) at {height}x{width}, one thread each"
    speedup = float(np.median(theirs / whole))
    spread = f"{(theirs / whole).min():.2f} to {(theirs / whole).max():.2f}"
    loop = f"{speedup:.2f}x the origin's loop ({spread}), {batch / np.median(theirs):.1f} samples a CPU second"
    good, fast = efficiency >= MIN_EFFICIENCY, ratio >= MIN_RATIO
    if not suffix:
        return [
            Figure("step_efficiency", efficiency, text, f">= {MIN_EFFICIENCY}", good),
            Figure("ratio_to_pytorch", ratio, beside, f">= {MIN_RATIO:g}", fast),
            Figure("loop_speedup", speedup, loop),
        ]
    return [
        Figure("step_efficiency_288", efficiency, text, f">= {MIN_EFFICIENCY}", good),
        Figure("ratio_to_pytorch_288", ratio, beside, f">= {MIN_RATIO:g}", fast),
        Figure("loop_speedup_288", speedup, loop),
    ]


def starts(folder: Path, size: tuple[int, int] = (144, 256), batch: int = 16) -> list[Figure]:
    """From the start of a process to the end of its first step (imports, data, weights, compiling), ours and theirs."""
    store = str(write_store(folder / "start.zarr", size, 12 * batch, 4 * batch))
    made = [apart(start, store, str(folder / "start"), batch) for _ in range(3)]
    theirs = [apart(start_origin, store, batch) for _ in range(2)]
    first, second = made[0]["cpu"], min(row["cpu"] for row in made[1:])
    slow = min(row["cpu"] for row in theirs)
    share = second / first
    text = f"{second:.1f} CPU s, {share:.2f} of the first; {made[1]['imported']:.1f} of them imports"
    slow_text = f"{slow:.1f} CPU s every time; {theirs[0]['imported']:.1f} of them imports"
    peak, peak_origin = made[0]["peak_mb"], theirs[0]["peak_mb"]
    return [
        Figure("start_s_first", first, f"{first:.1f} CPU s to the first step, nothing compiled before"),
        Figure("start_s_second", second, text, f"<= {MAX_SECOND} of the first", share <= MAX_SECOND),
        Figure("start_s_origin", slow, f"the origin: {slow_text}"),
        Figure("start_mb", peak, f"{peak:.0f} MB at most until the first step of {batch}, nothing compiled before"),
        Figure("start_mb_origin", peak_origin, f"the origin: {peak_origin:.0f} MB"),
    ]


def _config(store: str, folder: str, batch: int, *more: str) -> Any:
    from protege.cloning.config import load

    fixed = [f"dataset.path={store}", f"training.checkpoint_dir={folder}/model", f"training.batch_size={batch}"]
    return load(None, [*fixed, f"system.compile_cache={folder}/compiled", "training.num_epochs=1000", *more])


def start(store: str, folder: str, batch: int) -> dict[str, float]:
    """One run to the end of its first step; CPU seconds since the process began, and its peak memory."""
    import jax

    from protege.cloning.logs import Log
    from protege.cloning.train import Data, Run, use_compile_cache

    imported = time.process_time()
    config = _config(store, folder, batch)
    use_compile_cache(config.system.compile_cache)
    model = Path(config.training.checkpoint_dir)
    model.mkdir(parents=True, exist_ok=True)
    with Log(model, config) as log:
        run = Run(config, Data.open(config), model, log)
        state = run.first_epoch(1)
        jax.block_until_ready(state)
    return {"cpu": time.process_time(), "imported": imported, "peak_mb": own_peak_mb()}


def start_origin(store: str, batch: int) -> dict[str, float]:
    """The same of the origin's loop."""
    theirs = origin()
    imported = time.process_time()
    next(theirs.train(Path(store), batch))
    return {"cpu": time.process_time(), "imported": imported, "peak_mb": own_peak_mb()}


def our_steps(store: str, folder: str, batch: int, precision: str) -> Callable[[], object]:
    """Our step on one batch that lies on the device, compiled; a call waits for its end. precision: as in configs."""
    import jax

    from protege.cloning import loader
    from protege.cloning.logs import Log
    from protege.cloning.steps import to_arrays
    from protege.cloning.train import Data, Run

    config = _config(store, folder, batch, f"training.precision={precision}")
    model = Path(config.training.checkpoint_dir)
    model.mkdir(parents=True, exist_ok=True)
    run = Run(config, Data.open(config), model, Log(model, config))
    one = next(loader.batches(run.data.cache, run.data.splits.train, run.data.options))
    arrays = run.devices.place(to_arrays(one, run.data.setting))
    state = jax.block_until_ready(run.first_epoch(1))

    def step() -> object:
        nonlocal state
        state, _ = run.steps.train(state, arrays)
        return jax.block_until_ready(state)

    return step


def our_turn(store: str, folder: str, batch: int) -> Turn:
    """CPU seconds of our step: of one batch that lies on the device, and in the real loop."""
    import jax

    from protege.cloning import loader
    from protege.cloning.logs import Log
    from protege.cloning.memory import keep_freed_memory
    from protege.cloning.steps import to_arrays
    from protege.cloning.train import Data, Run, use_compile_cache

    config = _config(store, folder, batch)
    use_compile_cache(config.system.compile_cache)
    keep_freed_memory()
    model = Path(config.training.checkpoint_dir)
    model.mkdir(parents=True, exist_ok=True)
    run = Run(config, Data.open(config), model, Log(model, config))
    data = run.data
    one = next(loader.batches(data.cache, data.splits.train, data.options))
    arrays = run.devices.place(to_arrays(one, data.setting))
    state = jax.block_until_ready(run.first_epoch(1))

    def resident() -> int:
        nonlocal state
        for _ in range(PER_TURN):
            state, _ = run.steps.train(state, arrays)
        jax.block_until_ready(state)
        return PER_TURN

    def whole() -> int:
        nonlocal state
        step = int(state.step)
        state = jax.block_until_ready(run.epoch(state, step, step + PER_TURN))
        return int(state.step) - step  # fewer at the end of an epoch

    for _ in range(WARM_UP):
        resident()
    return lambda: {"resident": _seconds(resident), "end_to_end": _seconds(whole)}


def torch_turn(height: int, width: int, batch: int) -> Turn:
    """CPU seconds of PyTorch's step on one batch that lies in memory."""
    held = np.random.default_rng(0).random((batch, len(KEYS))) < 0.2
    step = pytorch(pictures(batch, (height, width)), held.astype(np.float32))

    def steps() -> int:
        for _ in range(PER_TURN):
            step()
        return PER_TURN

    for _ in range(WARM_UP):
        steps()
    return lambda: {"torch": _seconds(steps)}


def origin_turn(store: str, batch: int) -> Turn:
    """CPU seconds of a step of the origin's loop."""
    losses = origin().train(Path(store), batch)

    def steps() -> int:
        for _ in range(PER_TURN):
            next(losses)
        return PER_TURN

    steps()
    return lambda: {"origin": _seconds(steps)}


def _seconds(steps: Callable[[], int]) -> float:
    """CPU seconds of a step."""
    began = time.process_time()
    done = steps()
    return (time.process_time() - began) / done


def pytorch(frames: Any, actions: Any, device: str = "cpu", bf16: bool = False) -> Callable[[], float]:
    """A training step of the same network, loss and optimiser in PyTorch, on a batch of uint8 (B, 3, H, W).

    bf16: arithmetic in bfloat16, weights in float32.
    """
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    widths, layers = (3, 32, 64, 128, 256), []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(a, b, 3, stride=1 if i == 3 else 2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for a, b in ((256, 512), (512, 256)):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(), nn.Dropout(0.1)]
    model = nn.Sequential(*layers, nn.Linear(256, len(KEYS))).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    shown, labels = (torch.from_numpy(given.copy()).to(device) for given in (frames, actions))
    weight = torch.ones(len(KEYS), device=device)

    def step() -> float:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            logits = model(shown.float() / 255).float()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, weight)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step
