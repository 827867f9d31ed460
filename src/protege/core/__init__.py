"""The nouns every stage shares: actions, frames, sessions, plans and the devices as protocols."""

from protege.core.actions import KEYBOARD_12, NO_KEYS, NONE, SPACES, Action, ActionSpace
from protege.core.devices import Clock, Keys, MonotonicClock, Rect, Screen, Window, WindowState
from protege.core.frame import Frame, decode_jpeg, encode_jpeg
from protege.core.plan import HORIZON, Plan
from protege.core.session import Session, SessionInfo, SessionWriter

__all__ = [
    "HORIZON",
    "KEYBOARD_12",
    "NONE",
    "NO_KEYS",
    "SPACES",
    "Action",
    "ActionSpace",
    "Clock",
    "Frame",
    "Keys",
    "MonotonicClock",
    "Plan",
    "Rect",
    "Screen",
    "Session",
    "SessionInfo",
    "SessionWriter",
    "Window",
    "WindowState",
    "decode_jpeg",
    "encode_jpeg",
]
