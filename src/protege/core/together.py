"""Replaces files of one folder together, such as a model's weights, card and scores: all of them or none.

They are written into a hidden folder inside it, which is renamed when it is whole and then emptied into the folder. A
kill in between leaves that second folder: the next writer finishes it, and until then readers refuse the mixture.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protege.core.files import is_component, move, read_json, write_json
from protege.errors import UserError

PART: Final = ".part"
READY: Final = ".ready"
_GONE: Final = ".gone.json"


@contextmanager
def together(folder: Path, also: Collection[str] = ()) -> Iterator[Path]:
    """Yields an empty folder to write files into; when the block ends well they take their places in `folder`.

    also: names of files that go where the block writes none. For the holder of the folder's lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settle(folder)
    part = folder / PART
    part.mkdir()
    try:
        yield part
        write_json(part / _GONE, [name for name in also if not (part / name).exists()])
        # The moment that decides: before it nothing has happened, after it `settle` does the rest.
        part.replace(folder / READY)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    settle(folder)


def settle(folder: Path) -> None:
    """Finish or forget what a killed writer left. For the holder of the folder's lock."""
    if (folder / PART).is_dir():
        shutil.rmtree(folder / PART)
    ready = folder / READY
    if not ready.is_dir():
        return
    gone = read_json(ready / _GONE) if (ready / _GONE).is_file() else []
    for name in gone if isinstance(gone, list) else []:
        if is_component(name):
            (folder / name).unlink(missing_ok=True)
    # Every step may be done twice, because a kill may come after any of them.
    for path in sorted(ready.iterdir()):
        if path.name != _GONE:
            move(path, folder / path.name)
    shutil.rmtree(ready)


def require_settled(folder: Path) -> None:
    """UserError where the files of a folder are of two models."""
    if (folder / READY).is_dir():
        raise UserError(
            f"{folder}: half of its files are of an older model, since what wrote them was stopped in between; "
            "start the same command again, which puts the others in their places"
        )
