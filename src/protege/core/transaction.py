"""Folders that appear and disappear together: all of a transaction happens or nothing, however its process ends.

New folders are made inside one hidden folder, `.NAME.….edit`. A plan written there last decides: before it, the next
transaction (or listing) throws the hidden folder away; after it, it finishes what was decided, by renaming.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protege.core.files import Json, Locked, component, free, hidden, locked, move, naming, read_json, write_text
from protege.errors import UserError

TRASH: Final = ".trash"
"""Where folders that were deleted lie, beside the others."""
_SUFFIX: Final = ".edit"
_DOOMED: Final = ".deleted"
_PLAN: Final = "plan.json"


@dataclass(frozen=True)
class Done:
    """A transaction of a killed process that was finished by a later one: what it was, and the folders it made."""

    what: Json
    added: tuple[Path, ...]


@dataclass
class Transaction:
    """What is to happen below `root`; nothing of it before the block of `transaction` ends well."""

    root: Path
    finished: Sequence[Done]
    _stage: Path
    _add: list[str] = field(default_factory=list)
    _discard: list[str] = field(default_factory=list)

    def add(self, name: str) -> Path:
        """Where to make the folder that will be `root / name`."""
        self._add.append(name)
        return component(self._stage, name, self._stage, "name")

    def discard(self, name: str) -> None:
        """`root / name` goes to the trash."""
        self._discard.append(name)

    def free(self, name: str) -> str:
        """`name`, or `name_2`, `name_3` … where it is taken."""
        return free(self.root / name, self._add).name

    def _decide(self, what: Json) -> None:
        for name in self._add:
            if name not in self._discard and os.path.lexists(self.root / name):
                raise UserError(f"{self.root / name}: made by another program meanwhile; take another name")
        plan = {"what": what, "add": self._add, "discard": self._discard}
        write_text(self._stage / _PLAN, json.dumps(plan))


@contextmanager
def transaction(root: Path, doing: str, what: Json = None) -> Iterator[Transaction]:
    """Folders under `root` that appear and go to the trash together when the block ends well.

    doing: the command, for whoever comes second (`Locked`: one transaction at a time in a root); what: JSON that tells
    transactions apart. `finished` holds what killed ones had decided: it has happened now.
    """
    with locked(root, doing):
        finished = _settle(root)
        stage = hidden(root / "new", _SUFFIX[1:])
        try:
            with naming(root, stage):
                stage.mkdir()
                edit = Transaction(root, finished, stage)
                yield edit
                edit._decide(what)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise
        # Outside of the `try`: it is decided, so what fails from here on is finished by the next transaction and not
        # undone.
        _finish(root, stage)


def settle(root: Path, doing: str = "protege sessions") -> list[Done]:
    """Finish or throw away what killed transactions left; nothing where one is under way. For whoever lists `root`."""
    if not _left(root):
        return []
    with suppress(Locked, OSError), locked(root, doing):
        return _settle(root)
    return []


def remove(folder: Path) -> None:
    """Delete a folder for good: first out of sight, so that a kill half way leaves no half folder."""
    doomed = hidden(folder, _DOOMED[1:])
    move(folder, doomed)
    shutil.rmtree(doomed)


def _left(root: Path) -> list[Path]:
    """What killed transactions and removals left in a root."""
    with suppress(OSError), os.scandir(root) as entries:
        return sorted(Path(e.path) for e in entries if e.name[0] == "." and e.name.endswith((_SUFFIX, _DOOMED)))
    return []


def _settle(root: Path) -> list[Done]:
    done: list[Done] = []
    for path in _left(root):
        if path.name.endswith(_SUFFIX) and (path / _PLAN).exists():
            done.append(_finish(root, path))
        else:
            shutil.rmtree(path)
    return done


def _finish(root: Path, stage: Path) -> Done:
    """Do what a plan says, from wherever an earlier attempt was stopped."""
    path = stage / _PLAN
    try:
        plan = read_json(path)
        what, add, discard = plan["what"], list(plan["add"]), list(plan["discard"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a plan of ours ({error}); look into {stage}, then remove it") from None
    add = [component(stage, name, path, "add") for name in add]
    discard = [component(root, name, path, "discard") for name in discard]
    if all(part.exists() for part in add):  # otherwise all that is to go is gone, and these names are the new folders'
        for old in discard:
            if old.exists():
                to_trash(old)
    for part in add:
        # Those that are gone were moved before a kill.
        if part.exists():
            move(part, free(root / part.name))
    shutil.rmtree(stage)
    return Done(what, tuple(root / part.name for part in add))


def to_trash(folder: Path) -> Path:
    """Move a folder to the trash beside it, and return where it lies now."""
    trash = folder.parent / TRASH
    trash.mkdir(exist_ok=True)
    kept = free(trash / folder.name)
    move(folder, kept)
    return kept
