"""Breaks one file of a case by its kind, or puts something else in its place."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fuzz.binary_files import archive, mcap, picture, weights
from tests.fuzz.text_files import json_file, lines_file, raw, text_file, yaml_file

KINDS: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    **dict.fromkeys((".json", ".zattrs", ".zgroup", ".zarray", ".zmetadata"), json_file),
    **dict.fromkeys((".jsonl",), lines_file),
    **dict.fromkeys((".jpg", ".png"), picture),
    **dict.fromkeys((".yaml",), yaml_file),
    **{".npz": archive, ".mcap": mcap, ".safetensors": weights, ".pt": weights, ".txt": text_file},
}


def mutate(path: Path, rng: random.Random) -> str:
    """Break one file of a case (never in place: it may be a link to the original); returns what was done to it."""
    if rng.random() < 0.12:
        return instead(path, rng)
    data = path.read_bytes()
    kind = KINDS.get(path.suffix or path.name, raw)
    try:
        changed = kind(data, rng)
    except Exception:  # broken once already, so that its own format's reader gives up
        kind, changed = raw, raw(data, rng)
    changed = changed.replace(b"{case}", str(path_of_case(path)).encode())
    replace(path, changed)
    return f"{kind.__name__} {path.name}"


def path_of_case(path: Path) -> Path:
    """The case's folder: the one that holds `work`."""
    return next(folder for folder in path.parents if (folder / "precious").is_dir())


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def instead(path: Path, rng: random.Random) -> str:
    """Something else in a file's place."""
    path.unlink()
    case = path_of_case(path)
    kind = rng.choice(("missing", "fifo", "zero", "outside", "folder", "loop", "empty", "dangling", "socket-like"))
    if kind == "fifo" and path.name == "features.jsonl":
        kind = "missing"  # a pipe is what is asked for there, and waits for its writer
    if kind == "fifo":
        os.mkfifo(path)
    elif kind in ("zero", "outside", "loop", "dangling", "socket-like"):
        target = {
            "zero": "/dev/zero",
            "outside": case / "precious" / "keep.txt",
            "loop": path,
            "dangling": case / "none",
        }
        path.symlink_to(target.get(kind, "/dev/stdin"))
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    return f"{kind} in place of {path.name}"


def instead_of_folder(path: Path, rng: random.Random) -> str:
    """A folder of the input that is a link elsewhere, a file, or not there."""
    shutil.rmtree(path)
    kind = rng.choice(("missing", "file", "outside", "loop"))
    if kind == "file":
        path.write_text("a file\n")
    elif kind in ("outside", "loop"):
        path.symlink_to(path_of_case(path) / "precious" if kind == "outside" else path)
    return f"{kind} in place of the folder {path.name}"
