"""Keeps a model's answers on disk while a session is being labeled, so that a kill costs none of them."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from protege.core.files import parse_json, read_bytes
from protege.core.labeled import Segment
from protege.errors import UserError
from protege.labeling.ask import Found
from protege.labeling.backends.base import Given, Labeler
from protege.labeling.store import STAGING
from protege.labeling.wording import Wording


class Journal:
    """One line an answer, on disk before the next is awaited. Another model or prompt starts afresh."""

    def __init__(self, out: Path, session: str, labeler: Labeler | Given, wording: Wording, pictures: int) -> None:
        self._path = out / STAGING / f"{session}.answers.jsonl"
        asked = f"{labeler.name}\0{wording.fingerprint}\0{pictures}"
        self._asked = hashlib.sha256(asked.encode()).hexdigest()[:12]

    def read(self) -> dict[tuple[int, int], Found]:
        """Answers of a run that was killed, by (start, stop) of their segment; a torn line is skipped."""
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
        """Write an answer. Models are slow, so that opening the file each time costs nothing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        where = {"asked": self._asked, "start": segment.start, "stop": segment.stop}
        with self._path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a kill tore the last line; ours must not be glued to it
                    file.write(b"\n")
            file.write(json.dumps({**where, "goal": found.goal, "why": found.why}).encode() + b"\n")

    def remove(self) -> None:
        """Remove it: the segments are written, and hold the answers."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # others' answers wait in it, or there was none
            self._path.parent.rmdir()
