"""`protege record`: the recorder with the real screen, keyboard and windows."""

import logging
import platform
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from protege.devices.errors import DisplayGone
from protege.devices.keyboard import KeyListener
from protege.devices.screen import MssScreen
from protege.devices.windows import find_window, focused_window
from protege.errors import ProtegeError, UserError
from protege.play.devices import Clock, MonotonicClock, Rect, Window
from protege.play.session import SessionInfo, SessionWriter
from protege.recorder.config import RecorderConfig
from protege.recorder.recorder import Recorder
from protege.recorder.status import StatusLine, status_text

ALIASES = {"ctrl": "c"}
"""Keys that count as another: many games crouch with ctrl."""


def record(config: RecorderConfig) -> tuple[Path | None, ProtegeError | None]:
    """Record until Ctrl-C, `stop_after_s`, or a device is gone.

    Returns the session's folder (None if recording never started) and what ended it early, if anything did; the
    session is closed either way. Raises UserError when it cannot begin.
    """
    clock = MonotonicClock()
    screen = MssScreen()
    recorder = Recorder(config, lambda: _choose(config), screen, clock, lambda w, r: _create(config, w, r))
    names = frozenset(config.space.pressable) | {config.toggle_key}
    ended: ProtegeError | None = None
    status = StatusLine()
    with _quiet_threads(), _interruptible(), KeyListener(names, recorder.key, ALIASES) as listener:
        recorder.held = lambda: config.space.only(listener.held)
        try:
            if config.start_now:
                recorder.start()
            _loop(recorder, clock, lambda: listener.alive, lambda s: status.show(s, clock.now_ns()))
        except KeyboardInterrupt:
            pass
        except ProtegeError as error:
            ended = error
        status.close()
        writer = recorder.finish()
    screen.close()
    return (writer.folder if writer else None), ended or recorder.error


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
        deadline += period * (late + 1)
        clock.sleep_until(deadline)


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
        libraries=_libraries(),
    )
    return SessionWriter.create(config.out, info, config.name)


def _libraries() -> dict[str, str]:
    """Versions of what shaped the recording, for whoever has to explain it later."""
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in ("protege", "mss", "pynput", "opencv-python-headless"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a polite kill end the recording as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
