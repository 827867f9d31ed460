"""Reading arrays of an untrusted `.npz` file: no Python objects, no more memory than there is data for."""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from protege.core.files import regular_size

_NPY: Final = b"\x93NUMPY"
_DAMAGED: Final = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    RuntimeError,  # encrypted
    OverflowError,
    MemoryError,
    SyntaxError,
    RecursionError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)
"""What numpy and zipfile raise on files that are cut short, damaged or made up."""
_FREE: Final = 64 << 20
"""Bytes of an array that may be packed as tightly as can be."""
_DENSEST: Final = 100
"""Bytes that one packed byte of a larger array may stand for; recorded numbers stay below 5."""


class BadArchive(ValueError):
    """A file that is no archive of arrays, or damaged, and why."""


@dataclass(frozen=True)
class Header:
    """An array's shape and type as its header claims them. by_column: stored column after column (Fortran order)."""

    shape: tuple[int, ...]
    kind: np.dtype[np.generic]
    by_column: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.kind.itemsize


class Archive:
    """An open `.npz` file; whatever is wrong with it is a `BadArchive`."""

    def __init__(self, zipped: zipfile.ZipFile, length: int) -> None:
        self._zip, self._length = zipped, length
        self.names = frozenset(name.removesuffix(".npy") for name in zipped.namelist())

    def header(self, name: str) -> Header:
        """The array's header, without reading the array. BadArchive for Python objects."""
        with _in_words(), self._zip.open(f"{name}.npy") as member:
            found = _header(member)
        if found.kind.hasobject:
            raise BadArchive("Python objects, which are never loaded")
        if any(size < 0 for size in found.shape):
            raise BadArchive(f"{name} is {found.shape}")
        return found

    def read(self, name: str) -> NDArray[np.generic]:
        """One array, decompressed in one go into memory of its size, so it may be read only."""
        header = self.header(name)
        with _in_words():
            info = self._zip.getinfo(f"{name}.npy")
            self._require_data(name, header, info)
            with self._zip.open(info) as member:  # checks its header and leaves the file where its data begin
                if info.compress_type != zipfile.ZIP_DEFLATED or self._zip.fp is None:
                    data = member.read()
                else:
                    packed = self._zip.fp.read(info.compress_size)
                    # One byte more than promised at most: whatever unpacks to more stops here and fails the check of
                    # its length.
                    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
            # zipfile checks the sum only in its own reader, which was passed by.
            if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
                raise zipfile.BadZipFile(f"{name} is damaged")
            stream = io.BytesIO(data)
            _header(stream)
            order = "F" if header.by_column else "C"
            values = np.frombuffer(data, header.kind, math.prod(header.shape), stream.tell())
            return values.reshape(header.shape, order=order)

    def _require_data(self, name: str, header: Header, info: zipfile.ZipInfo) -> None:
        """BadArchive where an array claims more than the file can hold."""
        if info.compress_size > self._length or not header.size <= info.file_size <= header.size + (1 << 16):
            raise BadArchive(f"{name} claims {header.size:,} bytes, and the file holds {info.file_size:,} of it")
        if info.file_size > _FREE and info.file_size > _DENSEST * info.compress_size:
            raise BadArchive(f"{name} would unpack to {info.file_size:,} bytes from {info.compress_size:,}")


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The arrays of a file. FileNotFoundError, or BadArchive for what is no `.npz` file."""
    with _in_words():
        length = regular_size(path)
        file = path.open("rb")
    with file:
        with _in_words():
            if file.read(len(_NPY)) == _NPY:
                raise BadArchive("a single array (.npy), whatever its name")
            zipped = zipfile.ZipFile(file)
        yield Archive(zipped, length)


def _header(member: IO[bytes]) -> Header:
    major, _ = np.lib.format.read_magic(member)
    # numpy's readers parse the header as a literal and never run it; objects are refused by their type.
    read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, by_column, kind = read_header(member)
    return Header(shape, kind, by_column)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (BadArchive, FileNotFoundError):
        raise
    except KeyError as error:
        raise BadArchive(str(error.args[0]) if error.args else "an array is missing") from None
    except _DAMAGED as error:
        strerror = error.strerror if isinstance(error, OSError) else None
        raise BadArchive(strerror or (str(error).splitlines() or [type(error).__name__])[0][:200]) from None
