"""Telling a person's keys from the agent's own: both reach the same listener, and X11 marks neither."""

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from protege.agent.loop import Heard
from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.core.devices import Clock, Keys
from protege.devices.keyboard import KeyListener, key_name

EXPIRES_NS: Final = 1_000_000_000
"""An own press that was never heard is forgotten: it changed nothing (the key was down already)."""


class OwnPresses:
    """Sorts the stream of true key changes into the agent's own and a person's. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._expected: dict[str, deque[tuple[bool, int]]] = {}

    def expect(self, key: str, down: bool) -> None:
        """The agent is about to do this."""
        with self._lock:
            self._expected.setdefault(key, deque()).append((down, self._clock.now_ns()))

    def is_own(self, key: str, down: bool) -> bool:
        """Whether a change that was heard is one the agent announced; each counts once, in its order."""
        with self._lock:
            waiting = self._expected.get(key, deque())
            oldest = self._clock.now_ns() - EXPIRES_NS
            while waiting and waiting[0][1] < oldest:
                waiting.popleft()
            for number, (expected, _) in enumerate(waiting):
                if expected == down:
                    for _ in range(number + 1):  # what was announced before it changed nothing
                        waiting.popleft()
                    return True
            return False


class AnnouncedKeys:
    """Implements `core.devices.Keys`: tells `own` about every change before it is made."""

    def __init__(self, keys: Keys, own: OwnPresses, space: ActionSpace) -> None:
        self._keys = keys
        self._own = own
        self._space = space
        self._held: Action = NO_KEYS

    def hold(self, action: Action) -> None:
        if action != self._space.only(action):
            raise ValueError(f"keys outside the action space are never pressed: {sorted(action)}")
        for key in self._held ^ action:
            self._own.expect(key, key in action)
        self._keys.hold(action)
        self._held = action

    def release_all(self) -> None:
        for key in self._held:
            self._own.expect(key, False)
        self._keys.release_all()
        self._held = NO_KEYS


class HumanKeys(KeyListener):
    """Implements `loop.Human` with the machine's keyboard: a person's keys of the space, and the hot keys."""

    def __init__(self, space: ActionSpace, own: OwnPresses, clock: Clock, hot: dict[str, str]) -> None:
        """hot: what a hot key means, {"f12": "stop", "p": "toggle"}."""
        self._own = own
        self._clock = clock
        self._hot = hot
        self._events: deque[Heard] = deque()
        super().__init__(frozenset(space.pressable) | hot.keys(), self._take)

    def heard(self) -> list[Heard]:
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def _take(self, name: str, down: bool) -> None:
        if name in self._hot:
            if down:
                self._events.append(Heard(self._clock.now_ns(), self._hot[name]))
        elif not self._own.is_own(name, down):
            self._events.append(Heard(self._clock.now_ns(), name, down))

    def _on(self, down: bool) -> Callable[..., None]:
        """The listener's handler, without what is not of the keyboard's own stream.

        On X11 pynput calls it a second time for every key that this process presses, at once and in the thread that
        presses; elsewhere the system marks such keys as injected.
        """

        def handle(key: Any, injected: bool = False) -> None:
            if threading.current_thread() is not self._listener if sys.platform == "linux" else injected:
                return
            name = key_name(key)
            if name is None or name not in self._names or (name in self._down) == down:
                return
            (self._down.add if down else self._down.discard)(name)
            self._heard(name, down)

        return handle
