"""Keeps a model's answers on disk while a session is being labeled, so that a kill costs none of them."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from protege.core.files import parse_json, read_bytes
from protege.core.labeled import Segment
from protege.errors import UserError
from protege.labeling.ask import Found
from protege.labeling.backends.base import Labeler
from protege.labeling.store import STAGING
from protege.labeling.wording import Wording


class Journal:
    """A line an answer, on its way to disk before the next is awaited. Another model or prompt starts afresh."""

    def __init__(self, out: Path, session: str, labeler: Labeler, wording: Wording, pictures: int) -> None:
        self._path = out / STAGING / f"{session}.answers.jsonl"
        asked = f"{labeler.name}\0{wording.fingerprint}\0{pictures}"
        self._asked = hashlib.sha256(asked.encode()).hexdigest()[:12]
        self._file: IO[str] | None = None

    def read(self) -> dict[tuple[int, int], Found]:
        """The answers of a run that was cut off, by start and stop of their segment; a torn last line is forgiven."""
        found: dict[tuple[int, int], Found] = {}
        try:
            lines = read_bytes(self._path).split(b"\n")
        except FileNotFoundError:
            return found
        except ValueError as error:
            raise UserError(f"{self._path}: cannot be read ({error}); remove it") from None
        for line in lines:
            try:
                fields = parse_json(line)
                start, stop, goal, why = fields["start"], fields["stop"], fields["goal"], fields["why"]
                if fields["asked"] == self._asked and isinstance(goal, str) and isinstance(why, str):
                    found[start, stop] = Found(goal, why)
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def append(self, segment: Segment, found: Found) -> None:
        """Written at once; the file begins with the first answer."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
            self._file.write("\n" if torn else "")
        where = {"asked": self._asked, "start": segment.start, "stop": segment.stop}
        self._file.write(json.dumps({**where, "goal": found.goal, "why": found.why}) + "\n")

    def remove(self) -> None:
        """The segments are written, so the answers stand there."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # others' answers wait in it, or there was none
            self._path.parent.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
