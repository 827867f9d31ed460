"""Whether somebody sits here who could look at a page."""

import importlib.util
import os
import sys


def can_look() -> bool:
    """Whether a person types here, this machine has a screen to show a browser on, and the studio is installed."""
    installed = all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn"))
    screen = sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return installed and screen and sys.stdin.isatty() and sys.stdout.isatty()
