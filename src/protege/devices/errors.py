"""What can happen to the real devices while they are in use."""

from protege.errors import ProtegeError


class WindowGone(ProtegeError):
    """The game's window was closed."""


class DisplayGone(ProtegeError):
    """The screen can no longer be read (display unplugged, session ended)."""
