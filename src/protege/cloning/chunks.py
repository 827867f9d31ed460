"""The chunk files of a zarr array on disk: frames read from them directly, and those that are lost or cut, found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numcodecs.blosc as blosc  # pyright: ignore[reportMissingImports]
import numpy as np
from numpy.typing import NDArray

_HEADER: Final = 16
"""Bytes of a Blosc chunk's header: 4 to 8 are the length of what it holds, 12 to 16 its own, little-endian."""


class Frames:
    """An (N, 3, H, W) uint8 array that is read frame by frame.

    Where a chunk is one frame under Blosc alone, as the documented stores have it, its file is read and decompressed
    without zarr, whose bookkeeping costs some ten times the decompression of a small picture.
    """

    def __init__(self, array: Any, folder: Path) -> None:
        self._array, self._folder = array, folder
        self.shape: tuple[int, int, int, int] = array.shape
        codecs = [type(codec).__name__ for codec in array.compressors]
        plain = not array.filters and not getattr(array, "shards", None) and array.order == "C"
        self._direct = plain and codecs in (["Blosc"], ["BloscCodec"]) and array.chunks == (1, *array.shape[1:])

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Frames of a slice without a step."""
        return self.read(*rows.indices(self.shape[0])[:2])

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Frames [start, stop). OSError, ValueError or RuntimeError where a chunk cannot be decoded."""
        if not self._direct:
            return np.asarray(self._array[start:stop])
        frames = np.empty((stop - start, *self.shape[1:]), np.uint8)
        name = self._array.metadata.encode_chunk_key
        for number, frame in enumerate(frames, start):
            data = (self._folder / name((number, 0, 0, 0))).read_bytes()
            if int.from_bytes(data[4:8], "little") != frame.nbytes:
                raise ValueError(f"the chunk of frame {number} does not hold {frame.nbytes} bytes")
            blosc.decompress(data, frame)
        return frames


def broken(array: Any, folder: Path) -> str:
    """What is wrong with an array's chunk files; "" if nothing shows without decoding them.

    A lost chunk would be read as zeros, and a cut one fails only when training comes to it. Compressed with Blosc, a
    chunk says its own length.
    """
    blosc_alone = not getattr(array, "shards", None) and any("Blosc" in type(c).__name__ for c in array.compressors)
    lost, cut, count = [], [], 0
    for index, path in _files(array, folder):
        count += 1
        try:
            with path.open("rb") as file:
                head = file.read(_HEADER)
                length = file.seek(0, 2)
                if blosc_alone and (len(head) < _HEADER or int.from_bytes(head[12:], "little") != length):
                    cut.append(index)
        except OSError:
            lost.append(index)
    for what, chunks in (("missing (zarr would read zeros)", lost), ("truncated", cut)):
        if chunks:
            return f"{len(chunks)} of {count} chunks of {folder.name} {what}, the first at {chunks[0]}"
    return ""


def _files(array: Any, folder: Path) -> Iterator[tuple[int, Path]]:
    """(first index, file) of every chunk, or of every shard where there are any."""
    grid = getattr(array, "shards", None) or array.chunks
    counts = [-(-size // step) for size, step in zip(array.shape, grid, strict=True)]
    for index in np.ndindex(*counts):
        yield index[0], folder / array.metadata.encode_chunk_key(index)
