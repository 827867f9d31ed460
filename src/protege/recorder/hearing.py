"""Detects a keyboard hook that has gone deaf: Windows removes the hook of a slow program without a word."""

from typing import Final

from protege.core.actions import NO_KEYS, Action

ASK_NS: Final = 1_000_000_000
"""How often the system is asked, and how long a key may be down without a word before the hook counts as deaf."""


class Hearing:
    """Compares what was heard with what the system says is down. A single difference is a key on its way."""

    def __init__(self) -> None:
        self._asked_ns = 0
        self._unheard = NO_KEYS

    def due(self, now_ns: int) -> bool:
        """Whether it is time to ask the system; its answer goes to `unheard`."""
        if now_ns - self._asked_ns < ASK_NS:
            return False
        self._asked_ns = now_ns
        return True

    def unheard(self, held: Action, down: Action) -> Action:
        """The keys that differed the last time, too. held: as heard; down: as the system says."""
        before, self._unheard = self._unheard, held ^ down
        return before & self._unheard
