"""The line that tells a player how the recording goes."""

from typing import Final

from protege.core.status_line import StatusLine
from protege.recorder.recorder import Status

PAUSED: Final = {
    "toggle": "paused, {key} goes on",
    "focus": "paused, another window has the focus",
    "resize": "paused, the window changes its size",
    "gap": "paused, the recorder stood still; release all keys and it goes on",
    "keys": "the keyboard is no longer heard",
    "idle": "paused after 30 s without a key, press one to go on",
}


def status_text(status: Status, toggle_key: str) -> str:
    """One line: state, elapsed time, frames, real fps, dropped frames, held keys."""
    seconds = int(status.recorded_s)
    fps = status.frames / status.recorded_s if status.recorded_s else 0.0
    if status.paused is not None:
        state = PAUSED[status.paused].format(key=toggle_key.upper())
        if not status.frames and status.paused == "toggle":
            return f"press {toggle_key.upper()} in the game's window to start"
    else:
        state = f"recording, {toggle_key.upper()} pauses"
    if status.paused is None and status.window is not None:
        state = f"recording {status.window!r}, {toggle_key.upper()} pauses"
    if status.paused == "focus" and status.window is not None:
        state = f"waits for {status.window!r} to have the focus; click into it"
    held = " ".join(sorted(status.held)) or "-"
    return (
        f"{seconds // 60:02d}:{seconds % 60:02d}  {status.frames} frames  {fps:.1f} fps  "
        f"{status.dropped} dropped  keys: {held}  ({state})"
    )


class RecordingLine:
    """Shows the state twice a second on a terminal, on anything else every ten seconds."""

    def __init__(self, line: StatusLine) -> None:
        self._line = line
        self._every_ns = 500_000_000 if line.live else 10_000_000_000
        self._due_ns = 0

    def show(self, text: str, now_ns: int) -> None:
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + self._every_ns
            self._line.show(text)
