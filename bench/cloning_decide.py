"""python -m bench cloning, deciding: what a decision costs beside an unjitted apply, the origin's and our own.

All are called by turns, in processes of their own on one core, each as its users have it: ours keeps freed memory.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.apart import Turn, by_turns
from bench.cloning_data import KEYS, Say, origin, write_store
from protege.core.card import ModelCard
from protege.core.frame import Frame
from protege.evaluation.figures import Figure

MIN_SPEEDUP: Final = 5.0
WARM_UP: Final = 10


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
        found += _of(times(model, count), height)
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


def times(model: Path, count: int) -> dict[str, list[float]]:
    """Milliseconds of decisions by turns: ours (CPU) and wall (by the clock), the origin's, and our own unjitted."""
    card = ModelCard.load(model)
    contestants = (
        (our_decision, (str(model),)),
        (origin_decision, (len(KEYS), *card.frame_size)),
        (own_decision, (str(model),)),
    )
    return by_turns(contestants, count)


def our_decision(model: str) -> Turn:
    """CPU and wall milliseconds of one decision of a policy."""
    from protege.cloning.policy import load

    policy = load(model)
    policy.warm_up()
    width, height = policy.card.frame_size
    frames = (Frame(_picture(width, height), number * 100_000_000) for number in itertools.count())

    def turn() -> dict[str, float]:
        frame, at = next(frames), time.perf_counter()
        cpu = _cpu_ms(lambda: policy.predict(frame, ""))
        return {"ours": cpu, "wall": 1000 * (time.perf_counter() - at)}

    return _settled(turn)


def origin_decision(actions: int, width: int, height: int) -> Turn:
    """CPU milliseconds of the origin's unjitted apply, with weights of the same shapes."""
    theirs = origin()
    state, rgb = theirs.create_state(actions, (1, height, width, 3)), _picture(width, height)
    return _settled(lambda: {"origin": _cpu_ms(lambda: theirs.decide(state, rgb))})


def own_decision(model: str) -> Turn:
    """CPU milliseconds of our model's function without jit."""
    from protege.cloning.policy import CloningPolicy

    policy = CloningPolicy(model)
    width, height = policy.card.frame_size
    function: Any = policy.loaded._apply
    arrays = {
        "frames": _picture(width, height).transpose(2, 0, 1)[None, None],
        "previous": np.zeros((1, 1, len(policy.loaded.keys)), np.float32),
        "goal": np.full(1, -1, np.int32),
    }
    return _settled(lambda: {"own": _cpu_ms(lambda: np.asarray(function.func.__wrapped__(*function.args, arrays)))})


def _picture(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _settled(turn: Turn) -> Turn:
    """After the first calls, which compile and settle memory."""
    for _ in range(WARM_UP):
        turn()
    return turn


def _cpu_ms(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return 1000 * (time.process_time() - began)
