"""A folder that appears whole or not at all: it is written under a hidden name beside its place and renamed last."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protege.errors import UserError


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yields the path to write to, `.<name>.part`; it becomes `folder` when the block ends well, else it is removed.

    A kill leaves only the hidden folder, which nothing reads and the next attempt clears away.
    """
    if folder.exists():
        raise UserError(
            f"{folder}: already there; delete it with: protege sessions delete {folder}, or write elsewhere"
        )
    part = folder.parent / f".{folder.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
