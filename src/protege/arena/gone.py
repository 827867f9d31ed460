"""Ends an engine whose window is gone but whose process hangs: waiting for its next tic would never end."""

import os
import signal
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from protege.devices.errors import DisplayGone, WindowGone

LOOK_S: Final = 0.5
ENGINE_S: Final = 2.0
"""So long an engine without a window may take to end by itself."""
OURS_S: Final = 5.0
"""And so long we may take after it has been ended."""


class WindowWatch:
    """Looks at the engine's window in a thread of its own; a context manager around the episodes.

    An engine that loses its connection to the X server ends itself from within, and on a busy machine may hang there;
    ViZDoom waits for its process, not for its window.
    """

    def __init__(self, window: int, pid: int) -> None:
        """window: its X number; pid: the engine's process."""
        self._window = window
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="window watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(OURS_S)

    def _work(self) -> None:
        from protege.devices.x11 import XWindow

        window = XWindow(self._window, "the arena")
        with suppress(WindowGone, DisplayGone):
            while not self._over.wait(LOOK_S):
                window.state()
        window.close()
        if self._over.wait(ENGINE_S):
            return
        with suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
        if not self._over.wait(OURS_S):
            os._exit(0)  # the log is written line by line, and the leash removes the engine's files
