"""python -m bench controls: what do preparing, loading and deciding cost, against the origin's way?

The origin's way is `bench/controls_origin.py`. Speeds are CPU times of one thread, taken in turn, and their ratios;
preparing runs in a process of its own each time, since its memory is measured too.
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

ORIGIN: Final = Path(__file__).with_name("controls_origin.py")
LENGTH: Final = 3000
MIN_PREPARE, MIN_WINDOWS, MIN_DECISION = 4.0, 6.0, 2.0
MAX_P99_MS, MAX_MILLION_S, MAX_GROWTH = 15.0, 5.0, 1.1
MILLION: Final = 1_000_000
Say = Callable[[str], None]

_OURS: Final = """
import sys, time, numpy as np
from pathlib import Path
from protege.controls.augment import Augmentation
from protege.controls.recordings import scan
from protege.controls.windows import prepare
began, before = time.process_time(), peak_kb()
prepared = prepare(scan([Path(sys.argv[1])]).files, Augmentation(), np.random.default_rng(0))
"""
_THEIRS: Final = """
import runpy, sys, time, numpy as np
from pathlib import Path
origin = runpy.run_path(sys.argv[2])
began, before = time.process_time(), peak_kb()
prepared = origin["OriginDataset"](sorted(Path(sys.argv[1]).glob("*.npz")))
"""
_PEAK: Final = """
def peak_kb():
    lines = open("/proc/self/status").read().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("VmHWM")][0]
"""
"""VmHWM, since ru_maxrss of a child begins with the memory of the parent it was forked from."""
_PRINT: Final = """
import json
print(json.dumps({"cpu_s": time.process_time() - began, "mb": (peak_kb() - before) / 1024, "windows": len(prepared)}))
"""


@dataclass(frozen=True)
class ControlsBench:
    """frames: how many are prepared, smallest first; rounds: of each measurement; windows: loaded in a round;
    decisions: made in a round; million: windows whose statistics are taken; learn: whether figure 5 is made too;
    layers: of the model that decides.
    """

    frames: tuple[int, ...] = (60_000, 120_000, 240_000)
    rounds: int = 3
    windows: int = 12_800
    decisions: int = 300
    million: int = MILLION
    learn: bool = True
    layers: int = 6

    def __post_init__(self) -> None:
        if min(self.frames) < LENGTH or list(self.frames) != sorted(self.frames):
            raise UserError(f"frames are {self.frames}; expected {LENGTH} or more each, smallest first")


def run(bench: ControlsBench, say: Say = lambda text: None) -> list[Figure]:
    """All figures. UserError where the peak memory cannot be read."""
    if sys.platform != "linux":
        raise UserError("python -m bench controls reads the peak memory from /proc, so it runs on Linux")
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = Path(name)
        figures = preparing(bench, folder, say)
        say("loading windows")
        figures.append(loading(bench, folder / str(bench.frames[0])))
        say("deciding")
        figures += deciding(bench, folder)
    say(f"statistics of {bench.million:,} windows")
    figures.append(million(bench.million))
    if bench.learn:
        from bench.controls_learning import Learning, learning

        figures += learning(Learning(), say)
    return figures


def preparing(bench: ControlsBench, folder: Path, say: Say) -> list[Figure]:
    """CPU time and memory of making windows from files, augmented, in both ways."""
    from protege.controls.recordings import write
    from protege.controls.synth import SynthOptions, synthesize

    cpu: dict[tuple[str, int], float] = {}
    mb: dict[tuple[str, int], float] = {}
    first = folder / "all"
    for number in range(max(bench.frames) // LENGTH):
        write(synthesize(number, "mixed", SynthOptions(frames=LENGTH)), first / f"{number:04d}.npz")
    for frames in bench.frames:
        part = folder / str(frames)
        part.mkdir()
        for path in sorted(first.glob("*.npz"))[: frames // LENGTH]:
            (part / path.name).hardlink_to(path)
        measured: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
        for _ in range(bench.rounds):
            for way, code in (("ours", _OURS), ("theirs", _THEIRS)):
                measured[way].append(_measure(code, str(part), str(ORIGIN)))
        for way, results in measured.items():
            cpu[way, frames] = float(np.median([result["cpu_s"] for result in results]))
            mb[way, frames] = float(np.median([result["mb"] for result in results]))
        say(f"{frames:,} frames: " + ", ".join(f"{way} {cpu[way, frames]:.2f} s" for way in measured))
    return _prepare_figures(bench.frames, cpu, mb)


def _prepare_figures(
    frames: tuple[int, ...], cpu: dict[tuple[str, int], float], mb: dict[tuple[str, int], float]
) -> list[Figure]:
    small, large = frames[0], frames[-1]
    growth = (cpu["ours", large] / cpu["ours", small]) / (large / small)
    steady = Figure("prepare_growth", growth, f"{growth:.2f} x linear", f"<= {MAX_GROWTH}", growth <= MAX_GROWTH)
    speedups = {n: cpu["theirs", n] / cpu["ours", n] for n in frames}
    memory = mb["theirs", large] / mb["ours", large]
    shown = ", ".join(f"{value:.1f} at {n // 1000}k" for n, value in speedups.items())
    sizes = f"{memory:.2f} ({mb['theirs', large]:.0f} and {mb['ours', large]:.0f} MB at {large // 1000}k)"
    worst = min(speedups.values())
    return [
        Figure("prepare_speedup", worst, f"x {shown} frames", f">= {MIN_PREPARE:g}", worst >= MIN_PREPARE),
        Figure("prepare_memory_ratio", memory, sizes, "> 1", memory > 1),
        steady,
    ]


def _measure(code: str, *arguments: str) -> dict[str, float]:
    """Runs one preparation in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _PEAK + code + _PRINT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ProtegeError(f"a preparation failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def loading(bench: ControlsBench, folder: Path, batch: int = 64) -> Figure:
    """Windows a second into batches of tensors, with history dropout, on one thread."""
    import torch

    from protege.controls.recordings import scan
    from protege.controls.windows import prepare

    torch.set_num_threads(1)
    origin = _origin()
    theirs = origin["OriginDataset"](sorted(folder.glob("*.npz")), augmented=False)
    ours = prepare(scan([folder]).files)
    rng = np.random.default_rng(0)
    speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(2 * bench.rounds + 1):
        began = time.process_time()
        for _ in range(bench.windows // batch):
            made = ours.batch(rng.integers(0, len(ours), batch), rng)
            for array in vars(made).values():
                torch.from_numpy(array)
        speeds["ours"].append(bench.windows / (time.process_time() - began))
        began, some = time.process_time(), max(batch, bench.windows // 8)
        for _ in range(some // batch):
            origin["collate"]([theirs[i] for i in rng.integers(0, len(theirs), batch)])
        speeds["theirs"].append(some // batch * batch / (time.process_time() - began))
    medians = {way: float(np.median(values)) for way, values in speeds.items()}
    ratio = medians["ours"] / medians["theirs"]
    text = f"x {ratio:.1f} ({medians['ours']:,.0f} and {medians['theirs']:,.0f} a second)"
    return Figure("windows_speedup", ratio, text, f">= {MIN_WINDOWS:g}", ratio >= MIN_WINDOWS)


def deciding(bench: ControlsBench, folder: Path) -> list[Figure]:
    """One decision at a time, from a pushed frame to what is held, with a model of full size and random weights."""
    import torch

    from protege.controls.config import Architecture
    from protege.controls.files import ModelFiles, PolicyConfig, load_model, weights_card, write_model
    from protege.controls.model import ControlTransformer
    from protege.controls.onnx import export
    from protege.controls.policy import load
    from protege.controls.synth import SynthOptions, synthesize

    torch.set_num_threads(1)
    torch.manual_seed(0)
    files = ModelFiles.named(folder / "model")
    shape = Architecture(num_layers=bench.layers)
    write_model(files, ControlTransformer(shape).state_dict(), PolicyConfig(shape), weights_card({}, 30))
    model, _ = load_model(files.weights)
    export(model, files.onnx)
    policy = load(files.weights)
    played = synthesize(0, "mixed", SynthOptions(frames=bench.decisions + 30))

    def ours(t: int) -> Any:
        return policy.step(played.frames[t], played.game_state[t], t / 30)

    alone = _decisions(ours, len(played))
    figures = [_speedup(bench, alone, model, ours, played)]
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        walls = [wall for _ in range(bench.rounds) for wall, _ in _decisions(ours, len(played))]
    finally:
        busy.kill()
        busy.wait()
    p99 = 1000 * float(np.percentile(walls, 99))
    median = 1000 * float(np.median(walls))
    text = f"{p99:.1f} ms (median {median:.1f}) beside a busy process"
    return [*figures, Figure("decision_p99_ms_busy", p99, text, f"< {MAX_P99_MS:g}", p99 < MAX_P99_MS)]


def _speedup(bench: ControlsBench, warm: Any, model: Any, ours: Callable[[int], Any], played: Any) -> Figure:
    del warm  # the first round only warms up
    origin = _origin()["OriginPolicy"](model)

    def theirs(t: int) -> Any:
        return origin.decide(played.frames[t], played.game_state[t])

    cpu: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(bench.rounds):
        for way, decide in (("ours", ours), ("theirs", theirs)):
            cpu[way] += [seconds for _, seconds in _decisions(decide, len(played))]
    ms = {way: (1000 * np.median(values), 1000 * np.percentile(values, 99)) for way, values in cpu.items()}
    ratio = float(ms["theirs"][0] / ms["ours"][0])
    shown = ", ".join(f"{way} {median:.1f}/{p99:.1f}" for way, (median, p99) in ms.items())
    text = f"x {ratio:.1f} (ms of CPU, median/p99: {shown})"
    return Figure("decision_speedup", ratio, text, f">= {MIN_DECISION:g}", ratio >= MIN_DECISION)


def _decisions(decide: Callable[[int], Any], count: int, skip: int = 30) -> list[tuple[float, float]]:
    """(wall, CPU) seconds of each decision; the first `skip` fill the window and are left out."""
    times = []
    for t in range(count):
        wall, cpu = time.perf_counter(), time.process_time()
        decide(t)
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return times[skip:]


def million(windows: int) -> Figure:
    """Statistics of all rows, and the masks of all windows, of `windows` windows."""
    from protege.controls.synth import SynthOptions, synthesize
    from protege.controls.tables import SCREEN
    from protege.controls.windows import FIRST_TARGET, Statistics, prepare, targets_of

    piece = synthesize(0, "inventory", SynthOptions(frames=max(40, min(windows // 10, 10_000))))
    count = -(-windows // (len(piece) - FIRST_TARGET))
    prepared = prepare([piece] * count)
    now = np.tile(piece.game_state[:, SCREEN] > 0, count)
    before = np.concatenate(([False], now[:-1]))
    began = time.process_time()
    Statistics.of(prepared.known_rows)
    targets_of(prepared.frame_targets.controls, before, now, "norm")
    modes = prepared.targets()
    seconds = time.process_time() - began
    assert len(modes) >= windows
    text = f"{seconds:.2f} s of CPU for {len(modes):,} windows"
    return Figure("million_windows_s", seconds, text, f"< {MAX_MILLION_S:g}", seconds < MAX_MILLION_S)


def _origin() -> dict[str, Any]:
    import runpy

    return runpy.run_path(str(ORIGIN))
