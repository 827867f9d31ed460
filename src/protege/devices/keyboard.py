"""Hearing and pressing keys with pynput: the only place that knows how a key is called on each platform."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.errors import MissingExtra, ProtegeError, UserError

NAMED: Final = ("up", "down", "left", "right", "space", "enter", "tab", "esc", "shift", "ctrl", "alt")
"""Keys that pynput knows by name; every other key of a space is a single character."""

ALIASES: Final = {"ctrl_l": "ctrl", "ctrl_r": "ctrl", "shift_l": "shift", "shift_r": "shift", "alt_l": "alt"}


def _pynput() -> Any:
    """pynput's keyboard module. Importing it needs a display, so it happens here and not at the top."""
    try:
        from pynput import keyboard
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError):
            raise MissingExtra("pynput", "record") from None
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no backend"
        raise UserError(f"cannot reach the keyboard ({first}); run inside a graphical session") from None
    return keyboard


def key_name(key: Any) -> str | None:
    """What we call a key that pynput reports: lower case whatever the shift state; None if it has no name."""
    name = getattr(key, "name", None)
    if name is None:
        char = getattr(key, "char", None)
        return char.lower() if char else None
    return ALIASES.get(name, name)


def platform_key(name: str) -> Any:
    """The key to press for a name. On X11 a letter must go through its keysym: pressed as a character, pynput would
    only send the focused window an event, which other programs (a recorder) never see.
    """
    keyboard = _pynput()
    if name in NAMED:
        return getattr(keyboard.Key, name)
    if len(name) != 1:
        raise ValueError(f"no such key: {name!r}")
    return keyboard.KeyCode.from_vk(ord(name)) if sys.platform == "linux" else keyboard.KeyCode.from_char(name)


class PynputKeys:
    """Presses real keys; implements `core.devices.Keys`. Keys outside its action space cannot be pressed."""

    def __init__(self, space: ActionSpace) -> None:
        keyboard = _pynput()
        self._controller: Any = keyboard.Controller()
        self._keys = {name: platform_key(name) for name in space.pressable}
        self.held: Action = NO_KEYS
        self.release_all()  # a key whose presser was killed stays down in the X server

    def hold(self, action: Action) -> None:
        if unknown := action - self._keys.keys():
            raise ValueError(f"keys outside the action space are never pressed: {sorted(unknown)}")
        for name in sorted(self.held - action):
            self._controller.release(self._keys[name])
        for name in sorted(action - self.held):
            self._controller.press(self._keys[name])
        self.held = action

    def release_all(self) -> None:
        for key in self._keys.values():
            self._controller.release(key)
        self.held = NO_KEYS


class KeyHeard(Protocol):
    """Called for every true change of a key: its name and whether it went down."""

    def __call__(self, name: str, down: bool) -> None: ...


class KeyListener:
    """Hears every key of the machine, without auto-repeat: a held key goes down once.

    It knows names only while they are being handled; nothing is stored here but which of `names` are held.
    """

    def __init__(self, names: frozenset[str], heard: KeyHeard, aliases: dict[str, str] | None = None) -> None:
        """names: the keys to report; aliases: other keys that count as one of them, e.g. {"ctrl": "c"}."""
        self._names = names
        self._heard = heard
        self._aliases = aliases or {}
        self._down: set[str] = set()
        self.presses = 0
        """How many presses were heard, repeats included."""
        self.unknown = 0
        """How many of them were of keys without a name."""
        self._listener: Any = _pynput().Listener(on_press=self._on(True), on_release=self._on(False))

    @property
    def held(self) -> Action:
        """Which of the names are down now, as far as heard."""
        return frozenset(self._aliases.get(name, name) for name in tuple(self._down))

    def down_now(self) -> Action:
        """Which of the names are down by the system's own word; as far as heard where it cannot be asked."""
        if sys.platform != "linux":
            return self.held
        from protege.devices import x11

        return frozenset(self._aliases.get(name, name) for name in x11.keys_down(self._names | self._aliases.keys()))

    @property
    def alive(self) -> bool:
        return self._listener.is_alive()

    def _on(self, down: bool) -> Callable[..., None]:
        def handle(key: Any, injected: bool = False) -> None:
            name = key_name(key)
            self.presses += down
            self.unknown += down and name is None
            if name is None or self._aliases.get(name, name) not in self._names or (name in self._down) == down:
                return
            before = self.held
            (self._down.add if down else self._down.discard)(name)
            if self.held != before:
                self._heard(self._aliases.get(name, name), down)

        return handle

    def __enter__(self) -> "KeyListener":
        self._listener.start()
        self._listener.wait()
        if sys.platform == "linux":  # elsewhere a key that is held already is known from its first repeat on
            from protege.devices import x11

            self._down |= x11.keys_down(self._names | self._aliases.keys())
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the listener's thread. pynput's own stop waits, on X11, behind the very request it should end, so the
        server is asked once more on a connection of its own.
        """
        gone = _connection_errors()
        with suppress(*gone):
            self._listener.stop()
        context = getattr(self._listener, "_context", None)
        if sys.platform == "linux" and context is not None:
            from protege.devices import x11

            with suppress(ProtegeError, *gone):
                display = x11.open_display()
                for _try in range(10):  # the thread may only be about to make its request
                    display.record_disable_context(context)
                    display.sync()
                    self._listener.join(timeout=0.2)
                    if not self._listener.is_alive():
                        break
                display.close()


def _connection_errors() -> tuple[type[Exception], ...]:
    """What is raised when the X server has gone before us."""
    if sys.platform != "linux":
        return ()
    from Xlib import error

    return (error.ConnectionClosedError, error.XError, OSError)
