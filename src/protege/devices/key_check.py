"""Tries every key of an action space in a window of our own: is it pressed, heard, and does a game get it?"""

import queue
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from protege.core.actions import ActionSpace
from protege.devices.backends import open_hook, open_presser
from protege.devices.keys import KeyEvent
from protege.devices.places import NAMES, places_of
from protege.errors import ProtegeError, UserError

if TYPE_CHECKING:
    from Xlib.display import Display

WAIT_S: Final = 2.0
TITLE: Final = "Protégé tries the keys"


class TrialWindow(Protocol):
    """A window of our own that has the keyboard."""

    def focused(self) -> bool: ...

    def codes(self) -> list[tuple[int, bool]]:
        """The keys that have reached it since the last call: the system's codes, as a hook reports them."""
        ...


@dataclass(frozen=True)
class Trial:
    """Names of keys: tried, in order; unheard: the hook did not hear them; lost: they did not reach the window."""

    tried: tuple[str, ...]
    unheard: tuple[str, ...]
    lost: tuple[str, ...]


def try_keys(space: ActionSpace) -> Trial | None:
    """Press each key once, and no button of the mouse; takes the focus for a moment and gives it back. None where this
    system has no such window.

    ProtegeError if the window does not get the keyboard, so that no key is pressed into another one.
    """
    if sys.platform == "darwin":
        return None
    events: queue.SimpleQueue[KeyEvent] = queue.SimpleQueue()
    presser = open_presser()
    hook = open_hook(events.put, presser)
    try:
        hook.start()
        with _window() as window:
            unheard, lost = [], []
            names = tuple(name for name in space.pressable if name in NAMES)
            for name in names:
                if not window.focused():
                    raise ProtegeError("another window took the keyboard while the keys were tried; run it again")
                place = places_of(name)[0]
                presser.press(place)
                presser.release(place)
                heard, reached = _collect(events, window, name)
                unheard += [] if heard else [name]
                lost += [] if reached else [name]
        return Trial(names, tuple(unheard), tuple(lost))
    finally:
        hook.stop()
        presser.close()


def _window() -> AbstractContextManager[TrialWindow]:
    if sys.platform == "win32":
        from protege.devices.win32_trial import trial_window

        return trial_window(TITLE)
    return _x_window()


def _collect(events: "queue.SimpleQueue[KeyEvent]", window: TrialWindow, name: str) -> tuple[bool, bool]:
    """Whether the hook and the window have got the press and the release of a key."""
    end = time.perf_counter() + WAIT_S
    heard: list[KeyEvent] = []
    reached: list[tuple[int, bool]] = []
    while True:
        while not events.empty():
            heard.append(events.get())
        reached += window.codes()
        named = {event.down: event.code for event in heard if event.place is not None and event.place.name == name}
        got = len(named) == 2, len(named) == 2 and all((code, down) in reached for down, code in named.items())
        if all(got) or time.perf_counter() > end:
            return got
        time.sleep(0.005)


class _XWindow:
    def __init__(self, display: "Display") -> None:
        from Xlib import X

        self._display = display
        screen = display.screen()
        mask = X.KeyPressMask | X.KeyReleaseMask | X.StructureNotifyMask
        self.window = screen.root.create_window(
            0, 0, 360, 80, 0, screen.root_depth, background_pixel=screen.white_pixel, event_mask=mask
        )
        self.window.set_wm_name(TITLE)
        self.window.map()
        self._display.sync()

    def focused(self) -> bool:
        # A number (0 or 1) where no window has it, else a window.
        focus = self._display.get_input_focus().focus
        return getattr(focus, "id", focus) == self.window.id

    def take_focus(self) -> None:
        """ProtegeError if it does not get it. A window manager may need a moment to show the window."""
        from Xlib import X

        end = time.perf_counter() + WAIT_S
        while not self.focused():
            if time.perf_counter() > end:
                raise UserError("a window of our own did not get the keyboard, so no key was tried; run it again")
            if self.window.get_attributes().map_state == X.IsViewable:
                self.window.set_input_focus(X.RevertToParent, X.CurrentTime)
            time.sleep(0.05)

    def codes(self) -> list[tuple[int, bool]]:
        from Xlib import X

        found = []
        while self._display.pending_events():
            event = self._display.next_event()
            if event.type in (X.KeyPress, X.KeyRelease):
                found.append((event.detail, event.type == X.KeyPress))
        return found


@contextmanager
def _x_window() -> Iterator[TrialWindow]:
    from Xlib import X

    from protege.devices.x11 import open_display

    display = open_display()
    before = display.get_input_focus()
    window = _XWindow(display)
    try:
        window.take_focus()
        yield window
    finally:
        window.window.destroy()
        display.set_input_focus(before.focus, before.revert_to, X.CurrentTime)
        display.sync()
        display.close()
