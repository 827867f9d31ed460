"""Tells a recording in progress from one that was cut off: its writer holds a lock that a kill lets go of."""

from pathlib import Path
from typing import IO

from protege.core.files import lock_file
from protege.core.session.info import SessionError


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when somebody else holds it."""
        self._file: IO[bytes] | None = path.open("r+b")
        try:
            lock_file(self._file)
        except OSError:
            self._file.close()
            raise BlockingIOError(f"{path} is locked") from None

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def require_finished(folder: Path) -> None:
    """SessionError while a recorder is writing the session."""
    reserve = folder / "reserve"
    if not reserve.is_file():
        return
    try:
        Lock(reserve).release()
    except BlockingIOError:
        raise SessionError(f"{folder}: still being recorded; stop the recorder (Ctrl-C) first") from None
