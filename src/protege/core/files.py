"""Files and folders on users' disks: read without believing them, written whole or not at all, by one writer at a time.

Reading: only regular files, bounded sizes, JSON that cannot exhaust the stack. Names found in a file are data:
`component` and `own_name` are the only ways from such a name to a path. Writing: beside the target under a unique
hidden name, then renamed; `locked` keeps a second command out of a folder that is being written.
"""

import errno
import json
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from protege.core.fields import brief
from protege.errors import ProtegeError, UserError

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""A value that JSON can hold."""

MAX_TEXT_BYTES: Final = 64 << 20
"""Largest JSON file that is read in one piece; our own stay far below it."""

_RETRY_S: Final = 2.0
"""How long a file that another program has open (Windows only) is tried again."""


_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *(port + n for port in ("COM", "LPT") for n in "0123456789¹²³")]
)
"""Names that Windows keeps for devices, in every folder and before every ending."""


class Locked(UserError):
    """Another command is writing this folder."""


def regular_size(path: Path) -> int:
    """Size of a regular file in bytes; a link to one counts.

    Raises FileNotFoundError if it is missing, ValueError if it is a folder, a pipe or a device: those may never end.
    """
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ValueError(f"not a regular file but {_kind(info.st_mode)}")
    return info.st_size


def _kind(mode: int) -> str:
    for is_kind, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if is_kind(mode):
            return name
    return "something else"


def read_bytes(path: Path, most: int = MAX_TEXT_BYTES) -> bytes:
    """A regular file's content. Raises OSError, or ValueError if it is not regular or larger than `most` bytes."""
    if (size := regular_size(path)) > most:
        raise ValueError(f"{size:,} bytes, expected at most {most:,}")
    return path.read_bytes()


def parse_json(text: str | bytes, finite: bool = True) -> Any:
    """`json.loads` for text that nobody vouches for.

    Raises ValueError also for what is nested too deep, for NaN and infinity, for numbers of thousands of digits, and
    for lone surrogates, which cannot be encoded. finite: False lets NaN and infinity pass, as Python writes them.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant if finite else float)
        # A surrogate can only come from an escape: UTF-8 holds none.
        escaped = b"\\u" in text if isinstance(text, bytes) else "\\u" in text
        if escaped or isinstance(text, str):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("text with a lone surrogate, which is no character") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")


def read_json(path: Path, most: int = MAX_TEXT_BYTES, finite: bool = True) -> Any:
    """A JSON file. Raises OSError if it cannot be opened, ValueError in words if it is not (safe) JSON."""
    return parse_json(read_bytes(path, most), finite)


def is_component(name: object) -> bool:
    """Whether `name` is one plain part of a path, on every system: no separator, no drive, no dots alone, no NUL, no
    device of Windows (`nul`, `com1.txt`), nothing at its end that Windows would cut off.
    """
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and name[-1] not in ". "
        and name.split(".")[0].rstrip().upper() not in _DEVICES
        and not any(c in '/\\:*?"<>|' or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name)
        and len(name.encode()) <= 255
    )


def component(folder: Path, name: object, source: Path, field: str) -> Path:
    """`folder / name` for a name that was read from the file `source`; UserError unless it is one plain component."""
    if not is_component(name):
        raise UserError(
            f"{source}: {field} is {brief(name)}, expected a plain name without a folder; "
            "this file was changed by hand or is not ours"
        )
    return folder / str(name)


def own_name(folder: Path, name: object, source: Path, field: str) -> str:
    """The name that `source` gives its own folder; UserError unless it is the folder's name on disk."""
    if name != folder.name:
        raise UserError(
            f"{source}: {field} is {brief(name)}, but its folder is {folder.name!r}; "
            "give the folder its old name back, or make it anew"
        )
    return folder.name


def hidden(path: Path, suffix: str) -> Path:
    """A unique hidden name beside `path`; everything that lists folders skips names that start with a dot."""
    # Cut, because names have 255 bytes at most on most file systems and this adds some.
    return path.with_name(f".{path.name[:80]}.{os.getpid()}-{secrets.token_hex(4)}.{suffix}")


def free(path: Path, taken: Collection[str] = ()) -> Path:
    """`path`, or beside it `name_2`, `name_3` … where something lies there already or the name is in `taken`."""
    found, number = path, 2
    # `lexists`, since a link that leads nowhere takes the name, too.
    while os.path.lexists(found) or found.name in taken:
        found, number = path.with_name(f"{path.name}_{number}"), number + 1
    return found


def leftovers(path: Path, suffix: str = "part") -> list[Path]:
    """What a killed writer of `path` left beside it. Remove it only while holding the lock of `path`."""
    name = f".{path.name[:80]}."
    if not path.parent.is_dir():
        return []
    return sorted(p for p in path.parent.iterdir() if p.name.startswith(name) and p.name.endswith(f".{suffix}"))


def move(source: Path, target: Path) -> None:
    """Rename over what is there. On Windows a file that somebody has open is tried again for two seconds."""
    until = time.perf_counter() + _RETRY_S
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.perf_counter() > until:
                raise
            time.sleep(0.02)


@contextmanager
def naming(path: Path, beside: Path | None = None) -> Iterator[None]:
    """An OSError of the block that names no file (a full disk names none), or the hidden `beside`, names `path`."""
    try:
        yield
    except OSError as error:
        if error.strerror and (error.filename is None or error.filename == str(beside)):
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a hidden path to write to; it takes the place of `path` when the block ends well, else it is removed."""
    if path.exists() and not path.is_file():  # renaming over /dev/null would replace it
        raise OSError(errno.EEXIST, "not a regular file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = hidden(path, "part")
    try:
        with naming(path, beside):
            yield beside
            move(beside, path)
    # Ctrl-C as well must leave nothing behind.
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all, with a newline at its end."""
    write_text(path, json.dumps(value, indent=1) + "\n")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """An OSError of what is written to `path` (a full disk, a library's threads) as a ProtegeError that names it.

    One that names a file elsewhere passes as it is.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and not Path(os.fsdecode(error.filename)).is_relative_to(path):
            raise
        raise ProtegeError(
            f"{path}: {error.strerror or error}; what is finished is kept: make room, give the same command again"
        ) from error


@contextmanager
def staged(folder: Path, doing: str, *, replace: bool = False, already: str = "") -> Iterator[Path]:
    """Yields a hidden, empty folder to fill; it becomes `folder` when the block ends well, else it is removed.

    Holds the lock of `folder` meanwhile (`Locked` where another command has it) and clears away what a killed writer
    left. replace: a folder that is there gives way at the end and is deleted afterwards; otherwise UserError, whose
    advice is `already`.
    """
    with locked(folder, doing):
        recover(folder)
        with filled(folder, replace=replace, already=already) as part:
            yield part


@contextmanager
def filled(folder: Path, *, replace: bool = False, already: str = "") -> Iterator[Path]:
    """`staged` for a folder inside one whose lock is held, and in which `recover_inside` was called."""
    if not replace and os.path.lexists(folder):
        raise UserError(f"{folder}: already there; {already or 'write elsewhere'}")
    part = hidden(folder, "part")
    try:
        with naming(folder, part):
            part.mkdir(parents=True)
            yield part
            _put_in_place(part, folder, replace)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def discard(folder: Path) -> None:
    """Take a folder away in one step, then delete it."""
    old = hidden(folder, "gone")
    move(folder, old)
    shutil.rmtree(old)


_LEFT: Final = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}\.(part|old|gone)")


def recover_inside(folder: Path) -> None:
    """What killed writers left of the folders inside `folder`, whose lock must be held; see `staged`."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not (match := _LEFT.fullmatch(path.name)):
            continue
        name, kind = match.groups()
        if kind == "old" and not os.path.lexists(folder / name):
            move(path, folder / name)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def recover(folder: Path) -> None:
    """What a kill left of an earlier attempt: half a folder goes, and one that was just giving way comes back.

    For the holder of a lock that keeps other writers away.
    """
    for old in leftovers(folder, "old"):
        if os.path.lexists(folder):
            shutil.rmtree(old)
        else:
            move(old, folder)
    for part in leftovers(folder):
        shutil.rmtree(part)


def _put_in_place(part: Path, folder: Path, replace: bool) -> None:
    if not os.path.lexists(folder):
        move(part, folder)
        return
    if not replace:  # rename(2) would silently replace an empty folder that somebody made in between
        raise UserError(f"{folder}: made by another program meanwhile; write elsewhere")
    # No system renames a folder over one that is not empty. Between the two moves there is none: `recover` ends that.
    old = hidden(folder, "old")
    move(folder, old)
    try:
        move(part, folder)
    except OSError:
        move(old, folder)
        raise
    shutil.rmtree(old)


@contextmanager
def locked(folder: Path, doing: str) -> Iterator[None]:
    """Holds the lock of a folder that is about to be written; doing: the command, for whoever comes second.

    The lock is a hidden file beside the folder (`.name.lock`), so that it works before the folder exists; the system
    lets go of it when its process ends, however it ends. Raises `Locked` (exit code 2) if another process holds it.
    """
    place = folder.resolve()
    path = place.with_name(f".{place.name}.lock")
    # The innermost first, which is the order in which they can be removed again.
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _take(path, folder)
    try:
        file.seek(0)
        file.truncate()
        who = {"pid": os.getpid(), "doing": doing, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        file.write(json.dumps(who).encode())
        file.flush()
        yield
    finally:
        if sys.platform != "win32":  # an open file cannot be removed there; an unlocked one harms nobody
            path.unlink(missing_ok=True)
        file.close()
        for parent in made:  # those that are empty: nothing was written after all
            with suppress(OSError):
                parent.rmdir()


def _take(path: Path, folder: Path) -> IO[bytes]:
    while True:
        # Made if need be and never emptied here: while somebody holds it, its words say who.
        file = path.open("a+b")
        try:
            lock_file(file)
        except OSError:
            file.close()
            raise Locked(f"{folder}: {_holder(path)} is writing here; wait for it, or stop it") from None
        try:
            same = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            same = False
        if same:  # otherwise its holder removed it between our opening and locking it
            return file
        file.close()


def _holder(path: Path) -> str:
    try:
        fields = read_json(path, 4096)
        return f"{fields['doing']} (process {fields['pid']}, since {fields['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another command"


_LOCKED_BYTE: Final = 1 << 30
"""Windows locks bytes, not files, and a locked byte cannot be read by others: one far behind the content is taken."""


def lock_file(file: IO[bytes]) -> None:
    """Take the exclusive lock of an open file until it is closed; OSError if somebody else has it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
