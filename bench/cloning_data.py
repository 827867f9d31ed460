"""python -m bench cloning, the loader: samples a second from a compressed zarr store, and how memory grows with it."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.errors import ProtegeError
from protege.evaluation.figures import Figure

ORIGIN: Final = Path(__file__).with_name("cloning_origin.py")
MIN_FIRST, MIN_LATER, MAX_GROWTH = 4.0, 20.0, 1.1
EPISODE: Final = 200
KEYS: Final = ("move_left", "lock_on", "dodge_roll/dash", "move_right", "attack", "move_back", "move_forward")
"""The documented seven actions."""
Say = Callable[[str], None]

_MEMORY: Final = """
import sys
from pathlib import Path
from bench.cloning_data import own_peak_mb
from protege.cloning import cache, loader, store
data = store.Dataset.open(sys.argv[1])
built = cache.build(data, Path(sys.argv[2]))
for _ in range(2):
    seen = sum(int(batch.valid.sum()) for batch in loader.batches(built, data.episodes))
    assert seen == len(built.frames), seen
print(own_peak_mb())
"""


def figures(
    folder: Path, frames: int, few: int, many: int, length: int = EPISODE, say: Say = lambda text: None
) -> list[Figure]:
    """Both sizes' speed-ups (`frames` samples at 144x256, a quarter at 288x512) and the growth from few to many."""
    found: list[Figure] = []
    for height, width, count in ((144, 256, frames), (288, 512, frames // 4)):
        say(f"loading {count} frames of {height}x{width}, by turns with the origin's loader")
        store = write_store(folder / f"{height}.zarr", (height, width), count)
        rates = measure(store, folder / f"{height}.cache")
        first, later = rates["first"] / rates["origin"], rates["later"] / rates["origin"]
        text = f"{rates['first']:,.0f} samples a CPU second beside {rates['origin']:,.0f} at {height}x{width}"
        later_text = f"{rates['later']:,.0f} samples a CPU second at {height}x{width}"
        if height == 144:
            found += [
                Figure("loader_speedup_first", first, f"{first:.1f}x: {text}", f">= {MIN_FIRST:g}", first >= MIN_FIRST),
                Figure("loader_speedup_later", later, f"{later:.0f}x: {later_text}", ">= 20", later >= MIN_LATER),
            ]
        else:
            good = first >= MIN_FIRST
            found += [
                Figure("loader_speedup_first_288", first, f"{first:.1f}x: {text}", f">= {MIN_FIRST:g}", good),
                Figure("loader_speedup_later_288", later, f"{later:.0f}x: {later_text}", ">= 20", later >= MIN_LATER),
            ]
    say(f"peak memory at {few:,} and {many:,} frames of 144x256")
    return [*found, *memory(folder, few, many, length)]


def pictures(count: int, size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """(count, 3, height, width) moving blocks under noise, which compress to about 1.2."""
    height, width = size
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 224, (3, height // 8, width // 8), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    frames = np.empty((count, 3, height, width), np.uint8)
    for i in range(count):
        frames[i] = np.roll(blocks, 3 * i, axis=2) + rng.integers(0, 32, blocks.shape, dtype=np.uint8)
    return frames


def origin() -> Any:
    """The module that tells the origin's loader, loop and decision again. ProtegeError where it is not installed."""
    if not ORIGIN.is_file():
        raise ProtegeError(f"{ORIGIN}: not in this installation; run the benchmark in the repository")
    spec = importlib.util.spec_from_file_location(ORIGIN.stem, ORIGIN)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[ORIGIN.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_store(path: Path, size: tuple[int, int], count: int, length: int = EPISODE) -> Path:
    """A store as the origin's converter writes it: zarr format 2, a chunk a frame, Blosc zstd level 3.

    count: frames, in episodes of `length`.
    """
    import zarr
    from numcodecs import Blosc

    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs.update({"keys": list(KEYS), "version": "1.0", "format": "framewise"})
    codec: Any = Blosc(cname="zstd", clevel=3)
    for number, start in enumerate(range(0, count, length)):
        here = min(length, count - start)
        frames = pictures(here, size, number)
        actions = np.random.default_rng(number).random((here, len(KEYS))) < 0.2
        group = root.create_group(f"episode_{number}")
        for name, values, rows in (("frames", frames, 1), ("actions", actions, 100)):
            written: Any = {"write_empty_chunks": True}
            made: Any = group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=(rows, *values.shape[1:]),
                compressors=codec,
                config=written,
            )
            made[:] = values
    return path


def measure(store: Path, cache_folder: Path, turns: int = 3) -> dict[str, float]:
    """Samples a CPU second: our first epoch with everything before it, a later one, and the origin's; medians."""
    from protege.cloning import cache, loader
    from protege.cloning.store import Dataset

    theirs = origin()
    rates: dict[str, list[float]] = {"first": [], "later": [], "origin": []}

    def epoch(built: Any, data: Dataset, number: int) -> int:
        return sum(int(batch.valid.sum()) for batch in loader.batches(built, data.episodes, epoch=number))

    for _ in range(turns):
        shutil.rmtree(cache_folder, ignore_errors=True)
        began = time.process_time()
        data = Dataset.open(store)
        built = cache.build(data, cache_folder)
        seen = epoch(built, data, 0)
        rates["first"].append(seen / (time.process_time() - began))
        began = time.process_time()
        assert epoch(built, data, 1) == seen
        rates["later"].append(seen / (time.process_time() - began))
        began = time.process_time()
        assert theirs.epoch(store) == seen
        rates["origin"].append(seen / (time.process_time() - began))
    return {name: float(np.median(values)) for name, values in rates.items()}


def memory(folder: Path, few: int, many: int, length: int = EPISODE) -> list[Figure]:
    """Peak memory of a process that opens a store of so many frames, builds its cache and goes through it twice.

    length: frames of an episode.
    """
    peaks = []
    first = write_store(folder / "seed.zarr", (144, 256), length, length)
    for count in (few, many):
        store = folder / f"{count}.zarr"
        repeat(first, store, count // length)
        peaks.append(peak_mb(str(store), str(folder / f"{count}.cache")))
        shutil.rmtree(folder / f"{count}.cache")
    growth = peaks[1] / peaks[0]
    text = f"{peaks[0]:.0f} MB at {few:,} frames, {peaks[1]:.0f} MB at {many:,}"
    return [Figure("memory_growth", growth, text, f"<= {MAX_GROWTH}x", growth <= MAX_GROWTH)]


def repeat(first: Path, store: Path, episodes: int) -> None:
    """A store of many episodes with the files of one, as hard links."""
    shutil.copytree(first, store, ignore=shutil.ignore_patterns("episode_*"), dirs_exist_ok=True)
    for number in range(episodes):
        shutil.copytree(first / "episode_0", store / f"episode_{number}", copy_function=os.link, dirs_exist_ok=False)


def peak_mb(*arguments: str) -> float:
    """The peak memory of a process of its own."""
    done = subprocess.run([sys.executable, "-c", _MEMORY, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProtegeError(f"the memory run failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout.split()[-1])


def own_peak_mb() -> float:
    """The peak of all memory of this process so far, mapped files included."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
