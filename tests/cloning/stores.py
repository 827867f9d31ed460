"""Small zarr stores for the tests, written by our own writer or, as the origin did, by hand in format 2."""

from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc

from protege.cloning.writer import Writer

KEYS = ("w", "a", "d", "space")


def frames(count, number=0, size=(16, 12)):
    """(count, 3, height, width) pictures; every one differs from every other of other episodes, too."""
    rng = np.random.default_rng(number)
    made = rng.integers(0, 256, (count, 3, size[1], size[0]), dtype=np.uint8)
    made[:, :, 0, 0] = np.array([number, 0, 0])
    made[:, 1, 0, 0] = np.arange(count) % 256
    return made


def actions(count, number=0, width=4):
    return np.random.default_rng(1000 + number).random((count, width)) < 0.3


def store(path, lengths=(12, 9, 15, 7), state=0, goals=(), size=(16, 12)):
    """A store of our own; goals: one sentence an episode, "" for none."""
    writer = Writer(path, KEYS, attributes=[f"s{n}" for n in range(state)])
    for number, count in enumerate(lengths):
        rng = np.random.default_rng(2000 + number)
        columns = rng.normal(size=(count, state)).astype(np.float32) if state else None
        goal = np.full(count, writer.goal(goals[number]), np.int32) if goals and goals[number] else None
        writer.episode(frames(count, number, size), actions(count, number), columns, goal)
    return path


def store_2(path, lengths=(5, 6, 7), keys=KEYS, **attributes):
    """A store in zarr's format 2, with chunks as the origin's converter wrote them."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs.update({"keys": list(keys), "version": "1.0", "format": "framewise", **attributes})
    blosc = Blosc(cname="zstd", clevel=3)
    for number, count in enumerate(lengths):
        group = root.create_group(f"episode_{number}")
        pictures, held = frames(count, number), actions(count, number, len(keys))
        for name, values, chunks in (
            ("frames", pictures, (1, *pictures.shape[1:])),
            ("actions", held, (100, len(keys))),
        ):
            shape, kind, written = values.shape, values.dtype, {"write_empty_chunks": True}
            made: Any = group.create_array(  # pyright: ignore[reportCallIssue]
                name,
                shape=shape,
                dtype=kind,
                chunks=chunks,
                compressors=blosc,
                config=written,  # pyright: ignore
            )
            made[:] = values
    return path


def array(path, name) -> Any:
    """One array of a store, e.g. "episode_0/frames", for changing it."""
    return zarr.open_group(path, mode="a")[name]
