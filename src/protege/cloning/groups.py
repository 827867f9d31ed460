"""Opens the groups and arrays of a zarr store on disk, whose metadata may say anything."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import zarr

from protege.core import files
from protege.core.actions import ActionSpace
from protege.core.text import one_line, printable
from protege.errors import UserError

FPS: Final = 10.0
"""Frames per second of an episode that does not say its own."""
SPACE: Final = "action_space"
"""Attribute of a store whose actions are others than the twelve keys."""
_EPISODE: Final = re.compile(r"episode_([0-9]+)")
_ELSEWHERE: Final = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
"""The scheme of a URL; a single letter would be a drive of Windows."""
_METADATA: Final = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_MAX_METADATA: Final = 8 << 20


class NotZarr(ValueError):
    """Why zarr cannot read some metadata or chunks."""


def open_root(path: Path | str) -> zarr.Group:
    """The root group of a store. UserError where there is none, or it is not a local folder."""
    if found := _ELSEWHERE.match(str(path)):
        raise UserError(f"{path}: stores on {found[1]} are not supported; copy it into a folder on this machine")
    path = Path(path)
    if path.is_file() and (path.suffix == ".zip" or zipfile.is_zipfile(path)):
        raise UserError(f"{path}: zip stores are not supported; unpack it into a folder, e.g. with: unzip {path.name}")
    if not path.is_dir():
        raise UserError(f"{path}: no such data set; expected a zarr folder; write one with: protege export --to zarr")
    try:
        return open_group(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a zarr group ({one_line(str(error), 300)}); expected zarr.json or .zgroup"
        ) from None


def episode_folders(path: Path) -> list[tuple[int, Path]]:
    """(number, folder) of a store's episodes by number; `episode_007` is an episode, too.

    Folders are listed, since consolidated metadata do not have what was added later.
    """
    found = [(int(match[1]), entry) for entry in path.iterdir() if (match := _EPISODE.fullmatch(entry.name))]
    return sorted((number, folder) for number, folder in found if folder.is_dir())


def open_group(folder: Path) -> zarr.Group:
    """Open a group. OSError or ValueError where it is not one."""
    _require_sane(folder)
    with zarr_errors():
        return zarr.open_group(folder, mode="r", use_consolidated=False)


def open_array(folder: Path) -> zarr.Array:
    """Open an array. FileNotFoundError without one, OSError or ValueError where it is not one."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no {folder.name} array")
    _require_sane(folder)
    with zarr_errors():
        array = zarr.open_array(folder, mode="r")
        grid = array.shards or array.chunks
        if any(size < 0 for size in array.shape) or any(step < 1 for step in (*grid, *array.chunks)):
            raise NotZarr(f"{folder.name} is {array.shape} in chunks of {array.chunks}")
        return array


@contextmanager
def zarr_errors() -> Iterator[None]:
    """Raises NotZarr for whatever zarr and its codecs raise on damaged files, which may be any error."""
    try:
        yield
    except (OSError, NotZarr):
        raise
    except Exception as error:
        raise NotZarr(f"{type(error).__name__}: {one_line(str(error), 200)}") from error


def _require_sane(folder: Path) -> None:
    """OSError or ValueError where a metadata file is a pipe, too large or no JSON object; zarr would read any."""
    for name in _METADATA:
        try:
            fields = files.read_json(folder / name, _MAX_METADATA, finite=False)
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise NotZarr(f"{folder.name}/{name}: {error}") from None
        if not isinstance(fields, dict):
            raise NotZarr(f"{folder.name}/{name}: expected a JSON object")


def space(path: Path, about: Mapping[str, object]) -> ActionSpace | None:
    """The action space that a store says, None where it says none. UserError where that is not one."""
    if SPACE not in about:
        return None
    try:
        return ActionSpace.from_json(about[SPACE])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: the attribute {SPACE} is no action space ({one_line(repr(error), 100)}); write the store again"
        ) from None


def names(path: Path, about: Mapping[str, object], attribute: str) -> tuple[str, ...]:
    """An attribute that is a list of names, () where it is missing. UserError where it is something else."""
    found = about.get(attribute)
    if found is None:
        return ()
    if not isinstance(found, list):
        kind = {str: "a text", bool: "true or false", int: "a number", float: "a number", dict: "a group"}
        raise UserError(
            f"{path}: the attribute {attribute} is {kind.get(type(found), 'something else')} "
            f"({one_line(repr(found), 60)}); expected a list of names such as {_example(found)}"
        )
    for name in found:
        if not isinstance(name, str) or not name or printable(name) != name:
            raise UserError(
                f"{path}: the attribute {attribute} holds {one_line(repr(name), 60)}, expected names: text that can be "
                "printed"
            )
    return tuple(found)


def _example(found: object) -> str:
    return str(list(found[:2])) if isinstance(found, str) and printable(found) == found and found else "['w', 'a']"
