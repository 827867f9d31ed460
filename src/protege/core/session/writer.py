"""Writes a session as it happens."""

import json
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, Self

from protege.core.events import Event, event_to_json
from protege.core.files import Json, free, naming, staged, write_text
from protege.core.session.info import COMPLETE, RECORDING, SessionInfo
from protege.core.session.lock import lock

RESERVE_BYTES: Final = 1 << 16
"""Space kept aside while recording, so that a session can still be closed on a full disk."""


class SessionWriter:
    """Writes a session as it happens. Every line is on its way to disk before the call returns, so a kill
    loses at most the frame being written. `frame` and `event` may be called from different threads.
    """

    def __init__(self, folder: Path, info: SessionInfo) -> None:
        """Creates `folder` (FileExistsError if it is there) and opens the files in it."""
        (folder / "frames").mkdir(parents=True)
        self.folder = folder
        self.info = replace(info, status=RECORDING)
        self._lock = threading.Lock()
        self._reserve = folder / "reserve"
        try:
            self._reserve.write_bytes(bytes(RESERVE_BYTES))
            self._reserved = lock(self._reserve)
            self.info.save(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)  # the disk is full before anything was recorded
            raise
        self._frames = _open_lines(folder / "frames.jsonl")
        self._events = _open_lines(folder / "events.jsonl")
        self._count = 0

    @classmethod
    def create(cls, root: Path, info: SessionInfo, name: str | None = None) -> Self:
        """A new session under `root`, named after the time unless named; the clock origin is now."""
        name = name or time.strftime("%Y%m%d_%H%M%S")
        if not any(info.clock.values()):
            info = replace(info, clock={"wall_ns": time.time_ns(), "monotonic_ns": time.perf_counter_ns()})
        return cls(free(root / name), info)

    @property
    def frame_count(self) -> int:
        return self._count

    def frame(self, t_ns: int, jpeg: bytes) -> int:
        """Append a frame; returns its number. The picture is written before the line that names it."""
        number = self._count
        path = frame_path(self.folder, number)
        with naming(path):
            # In this order a kill leaves a picture without a line, which nobody reads; never a line without its
            # picture.
            path.write_bytes(jpeg)
            self._frames.write(frame_line(number, t_ns))
        self._count += 1
        return number

    def event(self, event: Event) -> None:
        self.events([event])

    def events(self, events: Iterable[Event]) -> None:
        """Append events, in one go."""
        lines = event_lines(events)
        with self._lock, naming(self.folder / "events.jsonl"):
            self._events.write(lines)

    def finish(self, dropped: int = 0, extra: Mapping[str, Json] | None = None) -> Path:
        """Close the files and mark the session complete; returns its folder. Calling it again does nothing."""
        if self.info.status == RECORDING:
            # First of all: on a full disk it is this space that the last lines and session.json are written to.
            self._reserved.close()
            self._reserve.unlink(missing_ok=True)
            for file in (self._frames, self._events):
                file.close()
            self.info = replace(
                self.info,
                status=COMPLETE,
                frames=self._count,
                dropped=dropped,
                extra={**self.info.extra, **(extra or {})},
            )
            self.info.save(self.folder)
        return self.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish(self.info.dropped)


def frame_path(folder: Path, number: int) -> Path:
    """Where frame `number` of a session lies."""
    return folder / "frames" / f"{number:06d}.jpg"


def frame_line(number: int, t_ns: int) -> str:
    """The line of frames.jsonl for a frame."""
    return f'{{"i": {number}, "t_ns": {t_ns}}}\n'


def event_lines(events: Iterable[Event]) -> str:
    """The lines of events.jsonl for some events."""
    return "".join(json.dumps(event_to_json(event)) + "\n" for event in events)


def staged_session(folder: Path, doing: str) -> AbstractContextManager[Path]:
    """A hidden folder for a session that becomes `folder` when the block ends well, see `files.staged`."""
    return staged(folder, doing, already=f"delete it with: protege sessions delete {folder}, or write elsewhere")


def rewrite_events(folder: Path, events: Iterable[Event]) -> None:
    """Put other events in the place of a finished session's; the file is whole at every moment."""
    write_text(folder / "events.jsonl", event_lines(events))


def _open_lines(path: Path) -> IO[str]:
    # Handed to the system line by line, so that a kill costs the line being written and no other.
    return path.open("a", encoding="utf-8", buffering=1)
