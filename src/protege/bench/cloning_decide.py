"""protege bench cloning, deciding: what one decision costs, jitted and not."""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.bench.cloning_data import Say, write_store
from protege.bench.report import Figure
from protege.play.frame import Frame

MIN_DECISION: Final = 5.0


def decisions(folder: Path, count: int, say: Say = lambda text: None) -> list[Figure]:
    """CPU time of one decision of the documented network at 144x256: jitted, and the same function as it is."""
    from protege.cloning import config
    from protege.cloning.policy import CloningPolicy
    from protege.cloning.train import train

    say(f"{count} decisions of pure_cnn at 144x256")
    store, model = write_store(folder / "decide.zarr", (144, 256), 600), folder / "decide"
    fixed = (f"dataset.path={store}", f"training.checkpoint_dir={model}", "training.batch_size=4")
    train(config.load(None, [*fixed, "training.max_steps=1", "training.resume=never"]))
    return timed(CloningPolicy(model), count)


def timed(policy: Any, count: int) -> list[Figure]:
    """Decisions of a policy beside its model's function without jit, which is called after every tenth."""
    policy.warm_up()
    jitted = policy.loaded._apply
    weights, stats = jitted.args
    width, height = policy.card.frame_size
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    arrays = {
        "frames": rgb.transpose(2, 0, 1)[None, None],
        "previous": np.zeros((1, 1, len(policy.loaded.keys)), np.float32),
        "goal": np.full(1, -1, np.int32),
    }

    def unjitted() -> None:
        np.asarray(jitted.func.__wrapped__(weights, stats, arrays))

    unjitted()
    ours: list[float] = []
    plain: list[float] = []
    wall: list[float] = []
    for number in range(count):
        began, at = time.process_time(), time.perf_counter()
        policy.predict(Frame(rgb, number * 100_000_000), "")
        ours.append(1000 * (time.process_time() - began))
        wall.append(1000 * (time.perf_counter() - at))
        if number % 10 == 0:  # by turns: other work on the machine then slows both
            began = time.process_time()
            unjitted()
            plain.append(1000 * (time.process_time() - began))
    speedup, p99 = float(np.median(plain) / np.median(ours)), float(np.percentile(wall, 99))
    text = f"{speedup:.1f}x: {np.median(ours):.1f} CPU ms, unjitted {np.median(plain):.1f}"
    return [
        Figure("decision_speedup", speedup, text, f">= {MIN_DECISION:g}", speedup >= MIN_DECISION),
        Figure("decision_p99_ms", p99, f"{p99:.1f} ms (median {np.median(wall):.1f}) of {count}, wall clock"),
    ]
