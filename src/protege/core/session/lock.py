"""Tells a recording in progress from one that was cut off: its writer holds a lock that a kill lets go of."""

from pathlib import Path
from typing import IO

from protege.core.files import lock_file
from protege.core.session.info import SessionError


def lock(path: Path) -> IO[bytes]:
    """The file, locked until it is closed or the process ends; BlockingIOError when somebody else holds the lock."""
    file = path.open("r+b")
    try:
        lock_file(file)
    except OSError:
        file.close()
        raise BlockingIOError(f"{path} is locked") from None
    return file


def require_finished(folder: Path) -> None:
    """SessionError while a recorder is writing the session."""
    reserve = folder / "reserve"
    if not reserve.is_file():
        return
    try:
        # The lock tells, not the file: after a kill it is there, and nobody holds it.
        lock(reserve).close()
    except BlockingIOError:
        raise SessionError(f"{folder}: still being recorded; stop the recorder (Ctrl-C) first") from None
