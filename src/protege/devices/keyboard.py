"""The keys of an action space: pressing them, and hearing which of them are held. Backends know how (see `keys`)."""

import queue
import threading
from collections.abc import Mapping
from typing import Final, Protocol

from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.core.events import Motion
from protege.devices.backends import open_hook, open_mouse, open_presser
from protege.devices.keys import Hook, KeyEvent
from protege.devices.mouse import CODES, PLACES, MouseHook
from protege.devices.places import NAMES, Place, places_of
from protege.errors import UserError

JOIN_S: Final = 2.0


def check_names(what: str, names: tuple[str, ...]) -> None:
    """UserError for names that no key has; what: the flag or space they come from."""
    if unknown := [name for name in names if name not in NAMES]:
        raise UserError(
            f"{what}: no key is called {', '.join(map(repr, unknown))}; a key is called as on a US keyboard: "
            "a letter, a digit, f1 to f12, up, down, left, right, space, enter, tab, esc, ctrl, shift, alt, …"
        )


class RealKeys:
    """Presses real keys; implements `core.devices.Keys`. Keys outside its action space cannot be pressed."""

    def __init__(self, space: ActionSpace, never: Action = NO_KEYS) -> None:
        """never: keys that are left out of every action. UserError for a space with a key that does not exist."""
        check_names(f"action space {space.name}", space.pressable)
        self._never = never
        self.presser = open_presser()
        self._places: dict[str, tuple[Place, ...]] = {name: places_of(name) for name in space.pressable}
        self.held: Action = NO_KEYS
        self.release_all()  # a key whose presser was killed stays down in the X server

    def hold(self, action: Action) -> None:
        if unknown := action - self._places.keys():
            raise ValueError(f"keys outside the action space are never pressed: {sorted(unknown)}")
        action -= self._never
        # Releases come first: otherwise both keys are down for a moment, a chord that nobody asked for. Sorted, since
        # the order of a set differs from one process to the next.
        for name in sorted(self.held - action):
            self.presser.release(self._places[name][0])
        for name in sorted(action - self.held):
            self.presser.press(self._places[name][0])
        self.held = action

    def release(self, names: Action) -> None:
        """Release these keys, held by us or not."""
        for name in sorted(names & self._places.keys()):
            self.presser.release(self._places[name][0])
        self.held -= names

    def release_all(self) -> None:
        self.release(frozenset(self._places))

    def close(self) -> None:
        """Release everything and let go of the system."""
        self.release_all()
        self.presser.close()


class HeldKeys:
    """Which keys of interest are down, from a hook's events: counted by physical key, named by name.

    Left and the 4 of the keypad are both "left": it is held from the first press to the last release. Auto-repeat
    changes nothing.
    """

    def __init__(self, names: frozenset[str], aliases: Mapping[str, str] | None = None) -> None:
        """names: the keys of interest; aliases: other keys that count as one of them, e.g. {"ctrl": "c"}."""
        self._names = names
        self._aliases = aliases or {}
        self._down: dict[int, str] = {}

    def name(self, place: Place | None) -> str | None:
        """What a key counts as; None if it is of no interest."""
        if place is None:
            return None
        name = self._aliases.get(place.name, place.name)
        return name if name in self._names else None

    def begin(self, down: Mapping[int, Place | None]) -> None:
        """These keys are down already."""
        self._down |= {code: name for code, place in down.items() if (name := self.name(place)) is not None}

    def take(self, event: KeyEvent) -> str | None:
        """The name that is held from now on, or no longer; None if the event changes nothing that is of interest."""
        if (name := self.name(event.place)) is None:
            return None
        before = name in self._down.values()
        if event.down:
            self._down[event.code] = name
        else:
            self._down.pop(event.code, None)
        return name if (name in self._down.values()) != before else None

    @property
    def held(self) -> Action:
        """May be asked for by any thread."""
        # `tuple` copies in one step of the interpreter; a loop over the view fails when a key changes meanwhile.
        return frozenset(tuple(self._down.values()))


class KeyHeard(Protocol):
    """Called for every true change of a key: its name, whether it went down, and when (perf_counter, ns)."""

    def __call__(self, name: str, down: bool, t_ns: int, /) -> None: ...


class KeyListener:
    """Hears every key of the machine, without auto-repeat: a held key goes down once. A context manager.

    Where buttons of the mouse are among the names, or its motion is asked for, it hears the mouse, too. The hook's
    thread only stamps and queues; `heard` is called in another one, in order. Nothing is stored here but which of
    `names` are held, and how many presses there were of keys that are not in our table.
    """

    def __init__(
        self,
        names: frozenset[str],
        heard: KeyHeard,
        aliases: Mapping[str, str] | None = None,
        motion: bool = False,
    ) -> None:
        """names: the keys to report; aliases: other keys that count as one of them, e.g. {"ctrl": "c"}; motion: whether
        `motion` will be asked for.
        """
        self._heard = heard
        self._keys = HeldKeys(names, aliases)
        # Its `put` never waits: Windows removes the hook of a thread that does.
        self._queue: queue.SimpleQueue[KeyEvent | None] = queue.SimpleQueue()
        self._hook: Hook = open_hook(self._queue.put)
        self._mouse: MouseHook | None = None
        if motion or names & PLACES.keys():
            self._mouse = open_mouse(self._queue.put, motion)
        self._thread = threading.Thread(target=self._work, name="keys taken", daemon=True)
        self.presses = 0
        """Of any key, repeats left out where the system tells them apart."""
        self.unknown = 0
        """Of them, those of keys that have no place in our table."""

    @property
    def held(self) -> Action:
        """Which of the names are down now, as far as heard."""
        return self._keys.held

    def down_now(self) -> Action:
        """Which of the names are down by the system's own word, heard or not."""
        down = (self._keys.name(place) for place in (*self._hook.down().values(), *self._buttons_down().values()))
        return frozenset(name for name in down if name is not None)

    def _buttons_down(self) -> dict[int, Place | None]:
        return {} if self._mouse is None else {CODES[name]: PLACES[name] for name in self._mouse.down()}

    def motion(self) -> list[Motion]:
        """How the mouse was moved since the last call. DisplayGone if that can no longer be heard."""
        return [] if self._mouse is None else self._mouse.motion()

    @property
    def alive(self) -> bool:
        return self._hook.alive and (self._mouse is None or self._mouse.alive)

    def _work(self) -> None:
        while (event := self._queue.get()) is not None:
            if event.down:
                self.presses += 1
                # Counted without its name: a recording of a game must not become one of what was typed.
                self.unknown += event.place is None
            if (name := self._keys.take(event)) is not None:
                self._heard(name, event.down, event.t_ns)

    def __enter__(self) -> "KeyListener":
        # What changes while the keys that are down are read waits in the queue, so nothing falls in between.
        self._keys.begin(self._hook.start())
        if self._mouse is not None:
            self._mouse.start()
            self._keys.begin(self._buttons_down())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends its threads; what was heard before is told first."""
        self._hook.stop()
        if self._mouse is not None:
            self._mouse.stop()
        self._queue.put(None)
        self._thread.join(JOIN_S)
