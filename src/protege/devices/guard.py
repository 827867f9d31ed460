"""Keys that are held only while a watchdog answers, and the clock by which it hears that the holder is well.

While the clock sleeps, the mouse of a space that has one moves.
"""

from collections.abc import Callable
from typing import Final

from protege.core.actions import NO_KEYS, Action
from protege.core.devices import Clock
from protege.core.events import Motion
from protege.devices.hand import STEP_NS, Hand
from protege.devices.keyboard import RealKeys
from protege.devices.watchdog import Watchdog

BEAT_NS: Final = 20_000_000
"""So often the watchdog is told that the acting thread is well, also while it sleeps."""


class Guard:
    """Implements `core.devices.Keys` and `Clock`, both for the one thread that acts.

    lapsed: called when the watchdog has released the keys, with the longest time in seconds that the acting thread has
    stood still lately; nothing is held then.
    """

    def __init__(
        self,
        keys: RealKeys | Hand,
        watchdog: Watchdog,
        clock: Clock,
        lapsed: Callable[[float], None] = lambda s: None,
    ) -> None:
        self._keys = keys
        self._hand = keys if isinstance(keys, Hand) else None
        self._nap_ns = BEAT_NS if self._hand is None else min(STEP_NS, BEAT_NS)
        self._watchdog = watchdog
        self._clock = clock
        self._lapsed = lapsed
        self._beat_ns = clock.now_ns()
        self._silence_ns = 0
        self._silent_ns: int | None = None

    @property
    def watched(self) -> bool:
        """Whether the watchdog answers; nothing is held while it does not."""
        return self._watchdog.answers

    @property
    def unwatched_s(self) -> float:
        """For how long the watchdog has not answered, 0 while it does."""
        return 0.0 if self._silent_ns is None else (self._clock.now_ns() - self._silent_ns) / 1e9

    def hold(self, action: Action) -> None:
        if not self.watched:
            action = NO_KEYS
        # Told before it is done: a kill between the two leaves no key down that the watchdog does not know. The old
        # keys stay in the list until they are up.
        self._beat(self._keys.held | action)
        self._keys.hold(action)

    def move(self, right: int, down: int) -> None:
        """Move the mouse by so many counts now; it stands still while the watchdog does not answer."""
        if self._hand is not None and self.watched:
            self._hand.move(right, down)

    def moved(self) -> list[Motion]:
        """How the mouse was moved since this was last asked; never without one."""
        return [] if self._hand is None else self._hand.moved()

    def release_all(self) -> None:
        self._keys.release_all()
        # Last, since until they are up the watchdog has to take them for held.
        self._watchdog.beat(NO_KEYS)

    def now_ns(self) -> int:
        return self._clock.now_ns()

    def sleep_until(self, t_ns: int) -> None:
        while True:
            self._beat(self._keys.held)
            if self._hand is not None and self.watched:
                self._hand.pump()
            now = self._clock.now_ns()
            if now >= t_ns:
                return
            # In short sleeps: one long one would look like standing still.
            self._clock.sleep_until(min(t_ns, now + self._nap_ns))

    def _beat(self, held: Action) -> None:
        now = self._clock.now_ns()
        self._silence_ns, self._beat_ns = max(self._silence_ns, now - self._beat_ns), now
        # It has let go of them behind our back. Our own list has to follow, or `hold` would not press them again.
        if self._watchdog.released():
            self._keys.release_all()
            held = NO_KEYS
            self._lapsed(self._silence_ns / 1e9)
            self._silence_ns = 0
        self._watchdog.beat(held)
        if self.watched:
            self._silent_ns = None
        else:
            self._silent_ns = now if self._silent_ns is None else self._silent_ns
            if self._keys.held:
                self._keys.release_all()
            elif self._hand is not None:
                self._hand.stop()
