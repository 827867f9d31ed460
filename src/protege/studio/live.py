"""A run that goes on: its newest picture, what it holds and plans, and how to stop it, through files in its folder."""

import time
from pathlib import Path
from typing import Final

from protege.core.files import Json, read_bytes, read_json
from protege.studio.recordings import MOST_PICTURE

PICTURE: Final = "live.jpg"
STATE: Final = "live.json"
STOP: Final = "live.stop"
STALE_S: Final = 5.0
"""A picture older than this is of a run that has ended, or hangs."""


class Live:
    """The run in `root` that was written to last, if one goes on with --show."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def now(self) -> dict[str, Json] | None:
        """What the agent says of itself: goal, keys, plan, who plays, why it waits, thinking time."""
        folder = self._folder()
        if folder is None:
            return None
        try:
            found = read_json(folder / STATE, most=1 << 16)
        except (OSError, ValueError):
            found = {}
        return {**(found if isinstance(found, dict) else {}), "name": folder.name}

    def picture(self) -> bytes | None:
        """Its newest picture, a JPEG."""
        folder = self._folder()
        try:
            return read_bytes(folder / PICTURE, MOST_PICTURE) if folder is not None else None
        except (OSError, ValueError):
            return None

    def stop(self) -> bool:
        """Tell it to stop, as its stop key does; whether there was one to tell."""
        folder = self._folder()
        if folder is not None:
            (folder / STOP).touch()
        return folder is not None

    def _folder(self) -> Path | None:
        pictures = [(path.stat().st_mtime, path.parent) for path in self._root.glob(f"*/{PICTURE}") if path.is_file()]
        if not pictures:
            return None
        newest, folder = max(pictures)
        return folder if time.time() - newest < STALE_S else None
