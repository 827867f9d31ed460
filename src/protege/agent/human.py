"""The person at the keyboard: every key that is not the agent's own."""

import queue

from protege.agent.loop import Heard
from protege.core.actions import ActionSpace
from protege.devices.backends import open_hook
from protege.devices.keyboard import HeldKeys
from protege.devices.keys import KeyEvent, Presser


class HumanKeys:
    """Implements `loop.Human` with the machine's keyboard: a person's keys of the space, and the hot keys.

    A context manager. The hook's thread only queues; everything else happens in the thread that asks.
    """

    def __init__(self, space: ActionSpace, hot: dict[str, str], own: Presser | None = None) -> None:
        """hot: what a hot key means, {"f12": "stop", "p": "toggle"}; own: what presses the agent's keys."""
        self._hot = hot
        self._queue: queue.SimpleQueue[KeyEvent] = queue.SimpleQueue()
        self._keys = HeldKeys(frozenset(space.pressable) | hot.keys())
        self._hook = open_hook(self._queue.put, own)

    @property
    def alive(self) -> bool:
        return self._hook.alive

    def heard(self) -> list[Heard]:
        found = []
        while not self._queue.empty():
            event = self._queue.get_nowait()
            if (heard := self._take(event)) is not None:
                found.append(heard)
        return found

    def _take(self, event: KeyEvent) -> Heard | None:
        """What an event means. A release that was not preceded by a press is the watchdog's, and no person's."""
        if event.own or (name := self._keys.take(event)) is None:
            return None
        if name in self._hot:
            return Heard(event.t_ns, self._hot[name]) if event.down else None
        return Heard(event.t_ns, name, event.down)

    def __enter__(self) -> "HumanKeys":
        self._keys.begin(self._hook.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.stop()
