"""The chunk files of a zarr array: reads frames from them directly, and finds those that are missing or truncated."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

import numcodecs.blosc as blosc  # pyright: ignore[reportMissingImports]
import numpy as np
import zarr
from numpy.typing import NDArray

from protege.cloning.groups import zarr_errors
from protege.core.files import regular_size

_HEADER: Final = 18
"""Bytes of a chunk's own header: 16 in Blosc, at most 18 in Zstandard."""
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LOST_BEFORE_GIVING_UP: Final = 10_000
"""More absent chunks than this, and than are there, end the search: a false size in the metadata must cost no time."""
_MAX_CHUNKS: Final = 100_000_000
_MAX_CHUNK: Final = 256 << 20
"""Maximum bytes of a decoded chunk or shard."""


class Frames:
    """An (N, 3, H, W) uint8 array, read frame by frame.

    Where a chunk is one frame compressed with Blosc, as in the documented stores, its file is decompressed without
    zarr, whose bookkeeping takes ten times as long as decompressing a small picture.
    """

    def __init__(self, array: zarr.Array, folder: Path, filled: bool = False) -> None:
        """filled: a missing chunk holds the array's fill value; otherwise reading one is an error."""
        self._array, self._folder, self._filled = array, folder, filled
        number, channels, height, width = array.shape
        self.shape = (number, channels, height, width)
        plain = not array.filters and not array.shards and array.order == "C"
        self._direct = plain and _blosc_alone(array) and array.chunks == (1, *array.shape[1:])

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Frames [start, stop). OSError, ValueError or RuntimeError where a chunk cannot be decoded."""
        if not self._direct:
            with zarr_errors():
                return np.asarray(self._array[start:stop])
        frames = np.empty((stop - start, *self.shape[1:]), np.uint8)
        name = self._array.metadata.encode_chunk_key
        for number, frame in enumerate(frames, start):
            try:
                data = (self._folder / name((number, 0, 0, 0))).read_bytes()
            except FileNotFoundError:
                if not self._filled:
                    raise
                frame[:] = self._array.fill_value
                continue
            if int.from_bytes(data[4:8], "little") != frame.nbytes:
                raise ValueError(f"the chunk of frame {number} does not hold {frame.nbytes} bytes")
            blosc.decompress(data, frame)
        return frames


@dataclass(frozen=True)
class Stored:
    """The state of an array's chunk files.

    count: how many there should be
    absent: first rows of missing ones
    cut: first rows of files that are shorter than their header says
    odd: first rows of files that decode to another size than a chunk's
    smallest: grid index of the smallest file, None without files
    """

    count: int
    absent: tuple[int, ...]
    cut: tuple[int, ...]
    odd: tuple[int, ...]
    smallest: tuple[int, ...] | None

    @property
    def damage(self) -> str:
        """What is wrong with the files that are there, "{}" for the array's name; "" if their headers are right."""
        for what, rows in (("truncated", self.cut), ("of another size", self.odd)):
            if rows:
                return f"{len(rows)} of {self.count} chunks of {{}} {what}, the first at {rows[0]}"
        return ""

    @property
    def most_absent(self) -> bool:
        """Whether more chunks are absent than there."""
        return len(self.absent) > self.count - len(self.absent)


def look(array: zarr.Array, folder: Path) -> Stored:
    """Check an array's chunk files by the lengths in their headers (Blosc, Zstandard), without decoding them.

    ValueError for chunks too large to read, for pipes and devices among the files, and for an array that claims far
    more chunks than are there.
    """
    grid = array.shards or array.chunks
    if (size := prod(grid) * array.dtype.itemsize) > _MAX_CHUNK:
        raise ValueError(f"chunks of {folder.name} hold {size / 1e6:,.0f} MB; expected at most {_MAX_CHUNK / 1e6:,.0f}")
    counts = [-(-size // step) for size, step in zip(array.shape, grid, strict=True)]
    if prod(counts) > _MAX_CHUNKS:
        raise ValueError(f"{folder.name} claims {prod(counts):,} chunks; expected at most {_MAX_CHUNKS:,}")
    found: dict[str, list[int]] = {"absent": [], "cut": [], "odd": []}
    there, smallest = 0, (_MAX_CHUNK * 2, ())
    for index, path in _files(array, folder, counts):
        try:
            length = regular_size(path)
        except (FileNotFoundError, NotADirectoryError):
            found["absent"].append(index[0])
            if len(found["absent"]) > _LOST_BEFORE_GIVING_UP + there:
                raise ValueError(
                    f"{folder.name} claims {prod(counts):,} chunks, and of the first "
                    f"{there + len(found['absent']):,} only {there:,} are there"
                ) from None
            continue
        except ValueError as error:
            raise ValueError(f"the chunk of {folder.name} at {index[0]} is {error}") from None
        there += 1
        smallest = min(smallest, (length, index))
        if what := _wrong(array, path, length):
            found[what].append(index[0])
    rows = {name: tuple(each) for name, each in found.items()}
    return Stored(prod(counts), **rows, smallest=smallest[1] if there else None)


def holds_only_fill(array: zarr.Array, index: tuple[int, ...]) -> bool:
    """Whether a stored chunk holds only the fill value, which shows that its writer stores such chunks."""
    with zarr_errors():
        step = array.shards or array.chunks
        part = tuple(slice(at * size, (at + 1) * size) for at, size in zip(index, step, strict=True))
        return bool(np.all(np.asarray(array[part]) == array.fill_value))


def _blosc_alone(array: zarr.Array) -> bool:
    return [type(codec).__name__ for codec in array.compressors] in (["Blosc"], ["BloscCodec"])


def _wrong(array: zarr.Array, path: Path, length: int) -> str:
    """ "cut", "odd" or "" by a chunk's header."""
    codecs = [type(codec).__name__ for codec in array.compressors]
    if array.shards or len(codecs) != 1 or array.filters:
        return ""
    wanted = prod(array.chunks) * array.dtype.itemsize
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if "Blosc" in codecs[0]:  # 4 to 8 is what it holds, 12 to 16 its own length, little-endian
        if len(head) < 16 or int.from_bytes(head[12:16], "little") != length:
            return "cut"
        return "" if int.from_bytes(head[4:8], "little") == wanted else "odd"
    if "Zstd" in codecs[0]:
        if head[:4] != _ZSTD:
            return "cut"
        holds = _zstd_content(head)
        return "" if holds in (None, wanted) else "odd"
    return ""


def _zstd_content(head: bytes) -> int | None:
    """Decoded size in a Zstandard frame's header (RFC 8878, 3.1.1.1), None where it is left out."""
    if len(head) < 6:
        return None
    flag, single = head[4] >> 6, head[4] >> 5 & 1
    width = 1 << flag if flag else single
    start = 5 + (not single) + (0, 1, 2, 4)[head[4] & 3]
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0) if width else None


def _files(array: zarr.Array, folder: Path, counts: list[int]) -> Iterator[tuple[tuple[int, ...], Path]]:
    """(grid index, file) of every chunk, or of every shard where the array has them."""
    for index in np.ndindex(*counts):
        yield index, folder / array.metadata.encode_chunk_key(index)
