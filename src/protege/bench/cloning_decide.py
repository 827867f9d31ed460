"""protege bench cloning, deciding: what a decision costs beside an unjitted apply, the origin's and our own.

All are called by turns in a process of its own on one core, so that CPU time means work.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.bench.apart import apart
from protege.bench.cloning_data import Say, origin, write_store
from protege.bench.report import Figure
from protege.play.frame import Frame

MIN_SPEEDUP: Final = 5.0


def figures(folder: Path, count: int, say: Say = lambda text: None) -> list[Figure]:
    """CPU time of one decision of the documented network, jitted, and of the same work unjitted, at both sizes."""
    from protege.cloning import config
    from protege.cloning.train import train

    found: list[Figure] = []
    for height, width in ((144, 256), (288, 512)):
        say(f"{count} decisions of pure_cnn, trained for a step, at {height}x{width}, by turns with unjitted ones")
        store, model = folder / f"decide_{height}.zarr", folder / f"decide_{height}"
        write_store(store, (height, width), 60, 20)
        fixed = (f"dataset.path={store}", f"training.checkpoint_dir={model}", "training.batch_size=4")
        train(config.load(None, [*fixed, "training.max_steps=1", "training.resume=never"]))
        found += _of(apart(times, str(model), count), height)
    return found


def _of(ms: dict[str, list[float]], height: int) -> list[Figure]:
    ours, theirs, own = (float(np.median(ms[name])) for name in ("ours", "origin", "own"))
    p99, median = float(np.percentile(ms["wall"], 99)), float(np.median(ms["wall"]))
    speedup, text = theirs / ours, f"{theirs / ours:.1f}x: {ours:.1f} CPU ms, the origin's unjitted apply {theirs:.1f}"
    own_text = f"{own / ours:.1f}x: our own function unjitted {own:.1f} CPU ms"
    p99_text = f"{p99:.1f} ms (median {median:.1f}) of {len(ms['wall'])}, wall clock"
    if height == 144:
        return [
            Figure("decision_speedup", speedup, text, f">= {MIN_SPEEDUP:g}", speedup >= MIN_SPEEDUP),
            Figure("decision_speedup_own", own / ours, own_text),
            Figure("decision_p99_ms", p99, p99_text),
        ]
    return [
        Figure("decision_speedup_288", speedup, text, f">= {MIN_SPEEDUP:g}", speedup >= MIN_SPEEDUP),
        Figure("decision_speedup_own_288", own / ours, own_text),
        Figure("decision_p99_ms_288", p99, p99_text),
    ]


def times(model: str, count: int) -> dict[str, list[float]]:
    """CPU milliseconds of decisions: a policy's, the origin's with weights of the same shapes, and our model's function
    without jit. wall: of the policy's, by the clock.
    """
    from protege.cloning.policy import CloningPolicy

    policy, theirs = CloningPolicy(model), origin()
    policy.warm_up()
    width, height = policy.card.frame_size
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    state = theirs.create_state(len(policy.loaded.keys), (1, height, width, 3))
    function: Any = policy.loaded._apply
    arrays = {
        "frames": rgb.transpose(2, 0, 1)[None, None],
        "previous": np.zeros((1, 1, len(policy.loaded.keys)), np.float32),
        "goal": np.full(1, -1, np.int32),
    }

    def own() -> None:
        np.asarray(function.func.__wrapped__(*function.args, arrays))

    unjitted: dict[str, Callable[[], Any]] = {"origin": lambda: theirs.decide(state, rgb), "own": own}
    for call in unjitted.values():
        call()
    found: dict[str, list[float]] = {"ours": [], "origin": [], "own": [], "wall": []}
    for number in range(count):
        at = time.perf_counter()
        found["ours"].append(_cpu_ms(lambda number=number: policy.predict(Frame(rgb, number * 100_000_000), "")))
        found["wall"].append(1000 * (time.perf_counter() - at))
        for name, call in unjitted.items():
            found[name].append(_cpu_ms(call))
    return found


def _cpu_ms(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return 1000 * (time.process_time() - began)
