"""`protege record`: the recorder with the real screen, keyboard and windows."""

import logging
import math
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protege.core.actions import KEYBOARD_12
from protege.core.devices import Clock, MonotonicClock, Rect, Window
from protege.core.session import SessionInfo, SessionWriter, library_versions
from protege.core.status_line import StatusLine
from protege.devices.ending import hold_off, interruptible
from protege.devices.errors import DisplayGone
from protege.devices.keyboard import KeyListener
from protege.devices.screen import MssScreen
from protege.devices.windows import find_window, focused_window
from protege.errors import ProtegeError, UserError
from protege.recorder.config import RecorderConfig
from protege.recorder.recorder import Recorder
from protege.recorder.status import RecordingLine, status_text

ALIASES: Final = {"ctrl": "c"}
"""Keys of the twelve that count as another: many games crouch with ctrl."""


def record(config: RecorderConfig) -> tuple[Path | None, ProtegeError | None]:
    """Record until Ctrl-C, `stop_after_s`, or a device is gone.

    Returns the session's folder (None if recording never started) and what ended it early, if anything did; the
    session is closed either way. Raises UserError when it cannot begin.
    """
    clock = MonotonicClock()
    screen = MssScreen()
    if config.region is not None:
        shown = screen.require_visible(config.region)
        if shown < 1:
            print(
                f"warning: --region: {100 * (1 - shown):.0f} % of it is not on the screen; it is black", file=sys.stderr
            )
    recorder = Recorder(config, lambda: _choose(config), screen, clock, lambda w, r: _create(config, w, r))
    names = frozenset(config.space.pressable) - config.never | {config.toggle_key}
    aliases = ALIASES if config.space == KEYBOARD_12 else {}
    aliases = {key: name for key, name in aliases.items() if key not in config.never}
    ended: ProtegeError | None = None
    line = StatusLine(sys.stderr)
    status = RecordingLine(line)
    looks = config.space.look is not None
    with _quiet_threads(), interruptible(), KeyListener(names, recorder.key, aliases, motion=looks) as listener:
        # Set afterwards, because each of the two needs the other.
        recorder.held = lambda: config.space.only(listener.held)
        recorder.down_now = lambda: config.space.only(listener.down_now())
        recorder.motion = listener.motion
        recorder.presses = lambda: (listener.presses, listener.unknown)
        try:
            if config.start_now:
                _count_down(config.countdown_s, clock, line)
                recorder.start()
            _loop(recorder, clock, lambda: listener.alive, lambda s: status.show(s, clock.now_ns()))
        except KeyboardInterrupt:
            pass
        except ProtegeError as error:
            ended = error
        except OSError as error:
            ended = ProtegeError(f"{error.filename or config.out}: {error.strerror}; recording ended")
        hold_off()
        line.close()
        writer = recorder.finish()
    screen.close()
    return _kept(writer), ended or recorder.error


def _kept(writer: SessionWriter | None) -> Path | None:
    """The session's folder; one without a frame is taken away again."""
    if writer is None:
        return None
    if not writer.frame_count:
        shutil.rmtree(writer.folder)
        return None
    return writer.folder


def _loop(recorder: Recorder, clock: Clock, alive: Callable[[], bool], show: Callable[[str], None]) -> None:
    """Tick on absolute deadlines; a deadline missed by a whole period is counted, not caught up."""
    period = recorder.config.period_ns
    deadline = clock.now_ns()
    late = 0
    while not recorder.finished:
        recorder.tick(late)
        if not alive():
            raise DisplayGone("the keyboard can no longer be heard (the display is gone)")
        show(status_text(recorder.status(), recorder.config.toggle_key))
        late = max(0, (clock.now_ns() - deadline) // period - 1)
        # From the deadline, not from now: otherwise every late wake-up would make the whole recording slower.
        deadline += period * (late + 1)
        clock.sleep_until(deadline)


def _count_down(seconds: float, clock: Clock, line: StatusLine) -> None:
    """Wait, and say every second how long it will be."""
    start = clock.now_ns()
    for left in range(math.ceil(seconds), 0, -1):
        line.show(f"recording starts in {left} s: click into the game")
        clock.sleep_until(start + round((seconds - left + 1) * 1e9))


def _choose(config: RecorderConfig) -> Window:
    """The window to record: by title, or the one that has the focus."""
    if config.window is not None:
        return find_window(config.window)
    window = focused_window()
    if window is None:
        raise UserError("no window has the focus; click into the game, or name it with --window TITLE")
    return window


def _create(config: RecorderConfig, window: Window, rect: Rect) -> SessionWriter:
    info = SessionInfo(
        space=config.space,
        frame_hz=config.fps,
        frame_size=config.size,
        window={"title": window.title, **vars(rect)},
        libraries=library_versions("mss", "pynput", "opencv-python-headless"),
    )
    return SessionWriter.create(config.out, info, config.name)


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """When the display goes away, the keyboard's threads die with a traceback; the loop says it in one line."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        logging.getLogger(__name__).debug("a thread ended", exc_info=args.exc_value)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
