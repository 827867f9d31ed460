"""protege bench cloning, training: a step end to end, beside PyTorch and the origin, and the time to the first one.

Everything runs in processes of their own on one core, so that libraries use one thread each and CPU time means work.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.bench.cloning_data import KEYS, Say, origin, own_peak_mb, write_store
from protege.bench.report import Figure
from protege.errors import ProtegeError

MIN_EFFICIENCY, MIN_RATIO, MAX_SECOND = 0.95, 1.0, 0.5
SIZES: Final = (((144, 256), 16), ((288, 512), 4))
"""Pictures and the batch that a step of about a second takes of them."""
PER_TURN: Final = 2

_ONE_CORE: Final = """
import os, sys, json
os.sched_setaffinity(0, {{sorted(os.sched_getaffinity(0))[-1]}})
from {0.__module__} import {0.__name__} as call
print(json.dumps(call(*map(json.loads, sys.argv[1:]))))
"""


def figures(folder: Path, turns: int = 5, say: Say = lambda text: None) -> list[Figure]:
    """Figures of training steps at both sizes (medians of `turns` turns each), and of two starts."""
    found: list[Figure] = []
    for (height, width), batch in SIZES:
        say(f"training steps of {batch} frames of {height}x{width}: resident, end to end, PyTorch, origin, by turns")
        store = write_store(folder / f"steps_{height}.zarr", (height, width), 12 * batch, 4 * batch)
        seconds = apart(steps, str(store), str(folder / f"steps_{height}"), batch, turns)
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


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a module's function on one core in a process of its own; arguments and result pass as JSON."""
    command = [sys.executable, "-c", _ONE_CORE.format(function), *map(json.dumps, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ProtegeError(f"the benchmark's process failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _config(store: str, folder: str, batch: int) -> Any:
    from protege.cloning.config import load

    fixed = [f"dataset.path={store}", f"training.checkpoint_dir={folder}/model", f"training.batch_size={batch}"]
    return load(None, [*fixed, f"system.compile_cache={folder}/compiled", "training.num_epochs=1000"])


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


def steps(store: str, folder: str, batch: int, turns: int) -> dict[str, list[float]]:
    """CPU seconds of a step, by turns: one batch that lies on the device, the real loop, PyTorch, the origin's."""
    import jax

    from protege.cloning import loader
    from protege.cloning.logs import Log
    from protege.cloning.steps import to_arrays
    from protege.cloning.train import Data, Run, use_compile_cache

    config = _config(store, folder, batch)
    use_compile_cache(config.system.compile_cache)
    model = Path(config.training.checkpoint_dir)
    model.mkdir(parents=True, exist_ok=True)
    with Log(model, config) as log:
        run = Run(config, Data.open(config), model, log)
        data = run.data
        one = next(loader.batches(data.cache, data.splits.train, data.options))
        arrays = jax.device_put(to_arrays(one, data.setting), run.devices.split)
        state = jax.block_until_ready(run.first_epoch(1))
        torch_step = pytorch(one.frames[:, 0], one.actions[:, 0])
        torch_step()
        losses = origin().train(Path(store), batch)
        next(losses)
        found: dict[str, list[float]] = {"resident": [], "end_to_end": [], "torch": [], "origin": []}
        for _ in range(turns):
            began = time.process_time()
            for _ in range(PER_TURN):
                state, _ = run.steps.train(state, arrays)
            jax.block_until_ready(state)
            found["resident"].append((time.process_time() - began) / PER_TURN)
            began, step = time.process_time(), int(state.step)
            state = jax.block_until_ready(run.epoch(state, step, step + PER_TURN))
            found["end_to_end"].append((time.process_time() - began) / (int(state.step) - step))
            began = time.process_time()
            for _ in range(PER_TURN):
                torch_step()
            found["torch"].append((time.process_time() - began) / PER_TURN)
            began = time.process_time()
            for _ in range(PER_TURN):
                next(losses)
            found["origin"].append((time.process_time() - began) / PER_TURN)
    return found


def pytorch(frames: Any, actions: Any) -> Callable[[], float]:
    """A training step of the same network, loss and optimiser in PyTorch, on a batch of uint8 (B, 3, H, W)."""
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
    model = nn.Sequential(*layers, nn.Linear(256, len(KEYS)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    shown, labels = torch.from_numpy(frames.copy()), torch.from_numpy(actions.copy())
    weight = torch.ones(len(KEYS))

    def step() -> float:
        logits = model(shown.float() / 255)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, weight)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step
