"""Windows on an X server: by title, with or without a window manager, through python-xlib."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from protege.core.devices import Rect, WindowState
from protege.devices.errors import DisplayGone, WindowGone
from protege.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from Xlib.display import Display
    from Xlib.xobject.drawable import Window


def open_display() -> "Display":
    """A connection of one's own; use it from one thread. UserError without a display."""
    try:
        from Xlib import display, error
    except ImportError:
        raise MissingExtra("python-xlib", "record") from None
    name = os.environ.get("DISPLAY")
    if not name:
        raise UserError("no display: DISPLAY is not set; run inside a graphical session (or under xvfb-run)")
    try:
        return display.Display(name)
    except (error.DisplayError, OSError) as cause:
        raise UserError(f"cannot open the display {name}: {cause}; check DISPLAY and xauth") from None


class XWindow:
    """One window of an X server; implements `core.devices.Window`."""

    def __init__(self, window_id: int, title: str, inside: frozenset[int] = frozenset(), pid: int = 0) -> None:
        """inside: the windows around it; pid: of the program that made it; 0 if it does not say."""
        self.id = window_id
        self.title = title
        self.inside = inside
        self.pid = pid
        self._watched = self._grabbed = self._covered = False
        self._changed = True

    @cached_property
    def _display(self) -> "Display":
        return open_display()

    @cached_property
    def _window(self) -> "Window":
        return self._display.create_resource_object("window", self.id)

    def state(self) -> WindowState:
        from Xlib import X, error

        try:
            self._watch()
            self._changed = False
            size = self._window.get_geometry()
            # Where the root's corner lies in the window, hence the signs below. The place in `size` counts from the
            # window around it, which is the window manager's frame.
            at = self._window.translate_coords(self._display.screen().root, 0, 0)
            shown = self._window.get_attributes().map_state == X.IsViewable
            rect = Rect(-at.x, -at.y, size.width, size.height)
            focused = shown and self._has_focus()
            obstacle = self._obstacle(rect) if focused else ""
            return WindowState(rect, focused and not obstacle, obstacle)
        except (error.BadWindow, error.BadDrawable):
            raise WindowGone(f"the window {self.title!r} was closed") from None
        except (error.ConnectionClosedError, OSError):
            raise DisplayGone("the display is gone") from None

    def _watch(self) -> None:
        """Hear of grabs of the keyboard, which change no focus, and of what covers the window."""
        from Xlib import X

        if not self._watched:
            mask = X.FocusChangeMask | X.VisibilityChangeMask
            self._window.change_attributes(event_mask=mask)
            self._display.sync()
            self._watched = True
        self._take_events()

    def changed(self) -> bool:
        """Whether the focus or what covers it may have changed since `state` was last asked; nothing is asked for this,
        so it costs next to nothing.
        """
        from Xlib import error

        try:
            self._take_events()
        except (error.ConnectionClosedError, OSError):
            raise DisplayGone("the display is gone") from None
        return self._changed

    def _take_events(self) -> None:
        from Xlib import X

        while self._display.pending_events():
            event = self._display.next_event()
            self._changed = True
            if event.type == X.VisibilityNotify:
                self._covered = event.state == X.VisibilityFullyObscured
            # A grab for a window inside this one (NotifyInferior) is the game's own.
            elif event.type == X.FocusOut and event.mode == X.NotifyGrab and event.detail != X.NotifyInferior:
                self._grabbed = True
            elif event.type == X.FocusIn:  # also when the game grabs the keyboard for itself
                self._grabbed = event.mode == X.NotifyWhileGrabbed

    def _obstacle(self, rect: Rect) -> str:
        """What keeps keys, or the picture, from a window that has the focus; "" if nothing does."""
        if self._grabbed:
            return "another program has grabbed the keyboard"
        return "another window covers the game" if self._covered or self._beneath(rect) else ""

    def _beneath(self, rect: Rect) -> bool:
        """Whether another window lies over the middle of what is on the screen of this one.

        Where a compositor runs the server calls every window unobscured, so it is asked for the topmost one.
        """
        screen = self._display.screen().root
        # The middle of its visible part: a panel or a notification over an edge is no obstacle.
        size = screen.get_geometry()
        x = (max(rect.left, 0) + min(rect.left + rect.width, size.width)) // 2
        y = (max(rect.top, 0) + min(rect.top + rect.height, size.height)) // 2
        top = screen.translate_coords(screen, x, y).child
        if top == 0 or not (0 <= x < size.width and 0 <= y < size.height):
            return False
        return all(window.id != top.id for window in _upwards(self._display, self.id))

    def _has_focus(self) -> bool:
        """Whether key presses go to this window: it, or a window inside it or around it, has the focus."""
        focus = focused_id(self._display)
        return any(window.id == self.id for window in _upwards(self._display, focus)) or any(
            window.id == focus for window in _upwards(self._display, self.id)
        )

    def raise_and_focus(self) -> None:
        """Bring it to the front and give it the keyboard (what clicking on it does)."""
        from Xlib import X

        self._window.configure(stack_mode=X.Above)
        self._window.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self._display.sync()

    def close(self) -> None:
        """Close our connection, not the window."""
        from Xlib import error

        if "_display" in vars(self):
            with suppress(error.ConnectionClosedError, OSError):  # the server has gone first
                self._display.close()


def focused_id(display: "Display") -> int:
    """The window that key presses go to; with no focus set, the one under the pointer. 0 if there is none."""
    from Xlib import X

    focus = display.get_input_focus().focus
    if focus != X.PointerRoot:
        return 0 if focus == X.NONE else focus.id
    window = display.screen().root
    # The focus follows the pointer then, so the innermost window under it gets the keys.
    while (child := window.query_pointer().child) != X.NONE:
        window = child
    return window.id


def _upwards(display: "Display", window_id: int) -> Iterator["Window"]:
    """A window and those around it, the root window left out."""
    from Xlib import error

    root = display.screen().root
    window = display.create_resource_object("window", window_id) if window_id else None
    while window is not None and window.id not in (0, root.id):
        yield window
        try:
            window = window.query_tree().parent or None
        except error.BadWindow:
            return


def windows() -> list[XWindow]:
    """Every window on the screen that has a title, top-level ones first."""
    from Xlib import X, error

    display = open_display()
    found: list[XWindow] = []
    layer: list[tuple[Window, frozenset[int]]] = [(display.screen().root, frozenset())]
    while layer:
        below = []
        for parent, inside in layer:
            try:
                # Any window may be closed between two requests: BadWindow is no error here.
                children = parent.query_tree().children
            except error.BadWindow:
                continue
            for window in children:
                try:
                    if window.get_attributes().map_state == X.IsViewable and (title := _title(display, window)):
                        found.append(XWindow(window.id, title, inside, _pid(display, window)))
                except error.BadWindow:
                    continue
                below.append((window, inside | {window.id}))
        layer = below
    display.close()
    return found


def is_ours(window: XWindow) -> bool:
    """Whether a window belongs to a program that we run in: a terminal says which it is, or is one of our parents."""
    return str(window.id) == os.environ.get("WINDOWID") or window.pid in _family()


def _family() -> set[int]:
    """Our process and those above it."""
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        with suppress(OSError, ValueError, IndexError):
            # The second field is the program's name in brackets and may hold spaces and brackets; what follows the last
            # one is fixed.
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return found


def _pid(display: "Display", window: "Window") -> int:
    """What a window says of its maker, 0 if nothing."""
    from Xlib import Xatom

    told = window.get_full_property(display.intern_atom("_NET_WM_PID"), Xatom.CARDINAL)
    return int(told.value[0]) if told is not None and len(told.value) else 0


def focused_window() -> XWindow | None:
    """The window with a title that has the keyboard now, if any."""
    display = open_display()
    try:
        for window in _upwards(display, focused_id(display)):
            if title := _title(display, window):
                return XWindow(window.id, title)
        return None
    finally:
        display.close()


def _title(display: "Display", window: "Window") -> str:
    # First, because WM_NAME is Latin-1 by its standard and has no other script.
    utf8 = window.get_full_property(display.intern_atom("_NET_WM_NAME"), display.intern_atom("UTF8_STRING"))
    if utf8 is not None:
        return utf8.value.decode("utf-8", "replace")
    name = window.get_wm_name()
    return name.decode("latin-1") if isinstance(name, bytes) else name or ""
