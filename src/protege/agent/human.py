"""The person at the keyboard and the mouse: every key, button and motion that is not the agent's own."""

import queue
from collections import deque
from typing import Final

from protege.agent.loop import MOTION, Heard
from protege.core.actions import ActionSpace
from protege.devices.backends import open_hook
from protege.devices.hand import MOUSE_KEYS, has_mouse
from protege.devices.keyboard import HeldKeys
from protege.devices.keys import KeyEvent, Presser
from protege.devices.moving import MouseEvent

STIRRED_COUNTS: Final = 40
"""A hand that moves the mouse by more than this within `STIRRED_NS` means it: a knock against the table takes nothing
over.
"""
STIRRED_NS: Final = 250_000_000


class HumanKeys:
    """Implements `loop.Human` with the machine's keyboard, and its mouse where the space has one: a person's keys and
    buttons of the space, motion, and the hot keys.

    A context manager. The hook's thread only queues; everything else happens in the thread that asks.
    """

    def __init__(self, space: ActionSpace, hot: dict[str, str], own: Presser | None = None) -> None:
        """hot: what a hot key means, {"f12": "stop", "p": "toggle"}; own: what presses the agent's keys."""
        self._hot = hot
        self._queue: queue.SimpleQueue[KeyEvent | MouseEvent] = queue.SimpleQueue()
        self._keys = HeldKeys(frozenset(space.pressable) | hot.keys())
        self._looks = space.look is not None
        self._buttons = frozenset(space.pressable) & MOUSE_KEYS
        self._down: set[str] = set()
        self._recent: deque[tuple[int, int]] = deque()
        self._found: list[Heard] = []
        mouse = self._queue.put if has_mouse(space) else None
        self._hook = open_hook(self._queue.put, own, mouse)

    @property
    def alive(self) -> bool:
        return self._hook.alive

    def heard(self) -> list[Heard]:
        self._drain()
        found, self._found = self._found, []
        return found

    def acts(self) -> bool:
        """Whether something that stops the agent is waiting to be heard."""
        self._drain()
        return any(heard.down for heard in self._found)

    def _drain(self) -> None:
        while not self._queue.empty():
            event = self._queue.get_nowait()
            heard = self._take(event) if isinstance(event, KeyEvent) else self._take_mouse(event)
            if heard is not None:
                self._found.append(heard)

    def _take(self, event: KeyEvent) -> Heard | None:
        """What an event means. A release that was not preceded by a press is the watchdog's, and no person's."""
        if event.own or (name := self._keys.take(event)) is None:
            return None
        if name in self._hot:
            return Heard(event.t_ns, self._hot[name]) if event.down else None
        return Heard(event.t_ns, name, event.down)

    def _take_mouse(self, event: MouseEvent) -> Heard | None:
        """As `_take`; small motion is told, too, but takes nothing over."""
        if event.own:
            return None
        if not event.button:
            return self._stirred(event) if self._looks else None
        if event.button not in self._buttons or (event.button in self._down) == event.down:
            return None
        (self._down.add if event.down else self._down.discard)(event.button)
        return Heard(event.t_ns, event.button, event.down)

    def _stirred(self, event: MouseEvent) -> Heard:
        self._recent.append((event.t_ns, abs(event.dx) + abs(event.dy)))
        while self._recent[0][0] < event.t_ns - STIRRED_NS:
            self._recent.popleft()
        meant = sum(counts for _, counts in self._recent) > STIRRED_COUNTS
        return Heard(event.t_ns, MOTION, meant, (event.dx, event.dy))

    def __enter__(self) -> "HumanKeys":
        self._keys.begin(self._hook.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.stop()
