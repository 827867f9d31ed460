"""Finding the game's window: X11 through python-xlib, Windows through user32, macOS through Quartz."""

import re
import sys
from collections.abc import Callable, Sequence

from protege.core.devices import Window
from protege.errors import UserError


def list_windows() -> list[Window]:
    """Every window on the screen that has a title. UserError without a display."""
    if sys.platform == "linux":
        from protege.devices import x11

        return list(x11.windows())
    if sys.platform == "win32":
        from protege.devices import win32_windows

        return list(win32_windows.windows())
    from protege.devices import mac_windows

    return list(mac_windows.windows())


def find_window(title: str) -> Window:
    """The window that is meant: the one with exactly this title, or else the only one that matches.

    A title matches that contains `title`, upper or lower case; or, where `title` is /pattern/, in which the pattern is
    found. The terminal that we run in is never meant by a part of its title, since the command stands in it. UserError
    lists the windows when none matches, or several do.
    """
    found = list_windows()
    exact = [window for window in found if window.title == title]
    if exact:
        return _only(title, exact, found)
    matches = _matcher(title)
    return _only(title, [w for w in found if matches(w.title) and not is_own_terminal(w)], found)


def is_own_terminal(window: Window) -> bool:
    """Whether a window is the terminal that this command was given in, as far as can be told."""
    if sys.platform == "linux":
        from protege.devices import x11

        if isinstance(window, x11.XWindow) and x11.is_ours(window):
            return True
    if sys.platform == "win32":
        from protege.devices import win32_windows

        if isinstance(window, win32_windows.Win32Window) and window.id == win32_windows.own_console():
            return True
    return "--window" in window.title  # terminals show the command, also those that cannot be told by their process


def may_have_changed(window: Window) -> bool:
    """Whether a window's focus may have changed since its state was last asked for; costs next to nothing."""
    if sys.platform == "linux":
        from protege.devices import x11

        return not isinstance(window, x11.XWindow) or window.changed()
    return True


def _matcher(title: str) -> Callable[[str], bool]:
    if len(title) > 2 and title[0] == title[-1] == "/":
        try:
            pattern = re.compile(title[1:-1], re.IGNORECASE)
        except re.error as error:
            raise UserError(f"--window {title!r}: not a pattern ({error}); write a part of the title") from None
        return lambda text: pattern.search(text) is not None
    return lambda text: title.lower() in text.lower()


def _only(title: str, matching: Sequence[Window], found: Sequence[Window]) -> Window:
    """The one that matches, a window inside another that matches left out; UserError if there is not one."""
    outer = _outer(matching)
    if len(outer) == 1:
        return outer[0]
    if not outer:
        raise UserError(f"--window {title!r}: no window has this in its title; open windows: {_listed(found)}")
    same = all(window.title == outer[0].title for window in outer)
    advice = "close the others" if same else "give a whole title, or a pattern: --window /^Doom/"
    raise UserError(f"--window {title!r}: {len(outer)} windows match: {_listed(outer)}; {advice}")


def _outer(matching: Sequence[Window]) -> Sequence[Window]:
    """Those that no other surrounds: on an X server a game's window may hold another of its own title."""
    if sys.platform != "linux":
        return matching
    from protege.devices.x11 import XWindow

    ids = {window.id for window in matching if isinstance(window, XWindow)}
    return [window for window in matching if not (isinstance(window, XWindow) and ids & window.inside)]


def _listed(found: Sequence[Window]) -> str:
    return ", ".join(repr(window.title) for window in found[:8]) or "none"


def focused_window() -> Window | None:
    """The window that has the keyboard now, if it has a title."""
    if sys.platform == "linux":
        from protege.devices import x11

        return x11.focused_window()
    if sys.platform == "win32":
        from protege.devices import win32_windows

        return win32_windows.focused_window()
    from protege.devices import mac_windows

    return mac_windows.focused_window()
