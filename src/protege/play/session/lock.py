"""Tells a recording in progress from one that was cut off: its writer holds a lock that a kill lets go of."""

import sys
from pathlib import Path
from typing import IO

from protege.play.session.info import SessionError


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when somebody else holds it."""
        self._file: IO[bytes] | None = path.open("r+b")
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise BlockingIOError(f"{path} is locked") from None

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def require_finished(folder: Path) -> None:
    """SessionError while a recorder is writing the session."""
    reserve = folder / "reserve"
    if not reserve.is_file():
        return
    try:
        Lock(reserve).release()
    except BlockingIOError:
        raise SessionError(f"{folder}: still being recorded; stop the recorder (Ctrl-C) first") from None
