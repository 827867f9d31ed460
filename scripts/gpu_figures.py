"""python scripts/gpu_figures.py --out FOLDER: the figures that need a GPU, in ten minutes, without a network.

Every part runs in a process of its own, so that one that fails or does not fit leaves the others alone. Writes
gpu_figures.json and gpu_figures.txt. --tiny runs the same parts on a CPU with a tiny shape, to show that they run.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
NEEDED: Final = {
    **dict.fromkeys(("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate"), "vision"),
    **dict.fromkeys(("jax", "flax", "optax", "zarr"), "cloning"),
    "vizdoom": "arena",
    "unsloth": "unsloth (optional)",
}
"""What is measured, by the extra that brings it."""
ONE: Final = """
import json, sys
from bench.gpu import parts
print("FOUND " + json.dumps(parts()[sys.argv[1]](sys.argv[2] == "tiny")))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for gpu_figures.json and gpu_figures.txt")
    parser.add_argument("--tiny", action="store_true", help="a dry run on the CPU with a tiny shape")
    parser.add_argument("--minutes", type=float, default=9.5, help="parts that would begin after this are left out")
    parser.add_argument("--part", action="append", help="only these")
    args = parser.parse_args()
    missing = [f"{name} (extra {extra})" for name, extra in NEEDED.items() if importlib.util.find_spec(name) is None]
    if not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)):
        missing.append("jax's plugin for CUDA (pip install 'jax[cuda13]' or 'jax[cuda12]'): JAX runs on the CPU")
    print("not installed: " + (", ".join(missing) or "nothing"), flush=True)
    sys.path.insert(0, str(ROOT))
    from bench.gpu import parts

    found: dict[str, Any] = {}
    result = {"machine": _machine(), "tiny": args.tiny, "missing": missing, "figures": found}
    args.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + args.minutes * 60
    names = args.part or list(parts())
    for number, name in enumerate(names):
        left = end - time.monotonic()
        share = min(left, 2 * left / (len(names) - number))  # one part must not take the time of all others
        found[name] = _part(name, args.tiny, share) if left > 10 else {"error": "no time was left"}
        print(f"{name}: {json.dumps(found[name])}", flush=True)
        # After each part, for whoever is cut off after ten minutes
        (args.out / "gpu_figures.json").write_text(json.dumps(result, indent=1) + "\n")
        (args.out / "gpu_figures.txt").write_text(_table(result))
    print(_table(result))
    return 1 if any("error" in figures for figures in found.values()) else 0


def _part(name: str, tiny: bool, seconds: float) -> dict[str, Any]:
    """A part's figures, or under "error" why there are none."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if tiny:
        environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", ONE, name, "tiny" if tiny else "whole"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            out, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # and the loader's workers, which hold its pipes
            return {"error": f"not done after {seconds:.0f} s"}
    lines = [line for line in out.splitlines() if line.startswith("FOUND ")]
    if process.returncode or not lines:
        return {"error": " | ".join(errors.strip().splitlines()[-2:])[-400:] or f"exit code {process.returncode}"}
    return json.loads(lines[-1].removeprefix("FOUND "))


def _machine() -> dict[str, Any]:
    found: list[Any] = []
    if importlib.util.find_spec("torch"):
        import torch

        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    versions = {name: importlib.metadata.version(name) for name in NEEDED if importlib.util.find_spec(name)}
    return {
        "gpus": [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in found],
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": versions,
    }


def _table(result: dict[str, Any]) -> str:
    rows = [(part, key, str(value)) for part, figures in result["figures"].items() for key, value in figures.items()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    lines = [f"{part:<{widths[0]}}  {key:<{widths[1]}}  {value}" for part, key, value in rows]
    gpus = ", ".join(result["machine"]["gpus"]) or "no GPU"
    shape = "a tiny shape: a dry run, no figures" if result["tiny"] else "the 8B shape, random weights"
    return "\n".join([f"{gpus}; {shape}", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
