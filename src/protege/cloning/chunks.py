"""The chunk files of a zarr array on disk: frames read from them directly, and those that are lost or cut, found."""

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
"""Bytes that tell how much a chunk holds: 16 under Blosc, at most 18 under Zstandard."""
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LOST_BEFORE_GIVING_UP: Final = 10_000
"""Chunks that may be absent, beyond as many as are there, before no more are looked for: a claim costs no time."""
_MAX_CHUNKS: Final = 100_000_000
_MAX_CHUNK: Final = 256 << 20
"""Bytes of a decoded chunk, or shard, that are read."""


class Frames:
    """An (N, 3, H, W) uint8 array that is read frame by frame.

    Where a chunk is one frame under Blosc alone, as the documented stores have it, its file is read and decompressed
    without zarr, whose bookkeeping costs some ten times the decompression of a small picture.
    """

    def __init__(self, array: zarr.Array, folder: Path, filled: bool = False) -> None:
        """filled: chunks that are not there hold the array's fill value; otherwise reading one is an error."""
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
    """Which chunks of an array are there. count: that there should be; absent: first rows of those that are not;
    cut, odd: of those that are shorter than they say, and of those that hold another number of bytes than a chunk;
    smallest: the place in the grid of the smallest file, None where there is none.
    """

    count: int
    absent: tuple[int, ...]
    cut: tuple[int, ...]
    odd: tuple[int, ...]
    smallest: tuple[int, ...] | None

    @property
    def damage(self) -> str:
        """What is wrong with the files that are there; "" if nothing shows without decoding them."""
        for what, rows in (("truncated", self.cut), ("of another size", self.odd)):
            if rows:
                return f"{len(rows)} of {self.count} chunks of {{}} {what}, the first at {rows[0]}"
        return ""

    @property
    def most_absent(self) -> bool:
        """Whether more is absent than there."""
        return len(self.absent) > self.count - len(self.absent)


def look(array: zarr.Array, folder: Path) -> Stored:
    """Look at an array's chunk files without decoding them: lengths are in their own headers (Blosc, Zstandard).

    ValueError for chunks too large to read, for pipes and devices in the place of files, and for an array that claims
    far more chunks than are there.
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
    """Whether a chunk that was written holds nothing but the fill value: its writer leaves out none, then."""
    with zarr_errors():
        step = array.shards or array.chunks
        part = tuple(slice(at * size, (at + 1) * size) for at, size in zip(index, step, strict=True))
        return bool(np.all(np.asarray(array[part]) == array.fill_value))


def _blosc_alone(array: zarr.Array) -> bool:
    return [type(codec).__name__ for codec in array.compressors] in (["Blosc"], ["BloscCodec"])


def _wrong(array: zarr.Array, path: Path, length: int) -> str:
    """ "cut", "odd" or "": what a chunk's own header says about it."""
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
    """Bytes that a Zstandard frame holds by its header (RFC 8878, 3.1.1.1), None where it does not say."""
    if len(head) < 6:
        return None
    flag, single = head[4] >> 6, head[4] >> 5 & 1
    width = 1 << flag if flag else single
    start = 5 + (not single) + (0, 1, 2, 4)[head[4] & 3]
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0) if width else None


def _files(array: zarr.Array, folder: Path, counts: list[int]) -> Iterator[tuple[tuple[int, ...], Path]]:
    """(place in the grid, file) of every chunk, or of every shard where there are any."""
    for index in np.ndindex(*counts):
        yield index, folder / array.metadata.encode_chunk_key(index)
