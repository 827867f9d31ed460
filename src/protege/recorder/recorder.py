"""The recorder: what to store and when. It knows only the device protocols; `run` gives it the real ones."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import NO_KEYS, Action
from protege.core.devices import Clock, Rect, Window
from protege.core.events import MOST_COUNTS, Event, Focus, Held, Key, Motion, Pause, longest_step_ns
from protege.core.session import SessionWriter
from protege.errors import ProtegeError
from protege.recorder.config import IDLE_S, SETTLE_S, STEADY_S, RecorderConfig
from protege.recorder.hearing import Hearing
from protege.recorder.pipeline import FramePipeline

WAITING: Final = "toggle"


class Capture(Protocol):
    """A screen that is read without a copy; `devices.screen.MssScreen` is the real one."""

    rect: Rect
    outside: float
    """Share of the last picture, 0 to 1, that was not on the screen and is black."""

    def grab_bgra(self) -> tuple[NDArray[np.uint8], int]: ...


@dataclass(frozen=True)
class Status:
    """What the status line shows. paused: why nothing is recorded now, or None; held: nothing while it is paused."""

    paused: str | None
    recorded_s: float
    frames: int
    dropped: int
    held: Action
    window: str | None = None


class Recorder:
    """Stores frames, true key changes and motion of one window, while it is recording and the window has the focus.

    `tick` is called at every frame's deadline, `key` from the thread that takes the keys heard. Everything that is
    decided is decided under one lock, so events are written in the order of their times.

    held: which keys are down, as far as heard; down_now: which are, by the system's own word (None where it cannot be
    asked); motion: how the mouse was moved since the last call; presses: how many key presses were heard so far, and
    how many of them were of keys that are not known.
    """

    def __init__(
        self,
        config: RecorderConfig,
        choose_window: Callable[[], Window],
        screen: Capture,
        clock: Clock,
        create_writer: Callable[[Window, Rect], SessionWriter],
    ) -> None:
        self.config = config
        self.held: Callable[[], Action] = lambda: NO_KEYS
        self.down_now: Callable[[], Action] | None = None
        self.motion: Callable[[], list[Motion]] = list
        self.presses: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.writer: SessionWriter | None = None
        self.error: ProtegeError | None = None
        self._choose_window = choose_window
        self._screen = screen
        self._clock = clock
        self._create_writer = create_writer
        self._lock = threading.Lock()
        self._window: Window | None = choose_window() if config.window else None
        self._pipeline: FramePipeline | None = None
        self._paused: str | None = WAITING
        self._focused = True
        self._rect: Rect | None = None
        self._rect_since_ns = 0
        self._last_key_ns = 0
        self._recorded_ns = 0
        self._late = 0
        self._foreign: set[str] = set()
        self._stored: set[str] = set()
        self._motion: deque[Motion] = deque()
        self._since_ns = 0
        self._event_ns = 0
        self._running_ns: int | None = None
        self._settled_ns = 0
        self._hearing = Hearing()
        self._presses = (0, 0)
        self._counted = (0, 0)
        self._outside = 0.0
        self._grabs = 0

    def status(self) -> Status:
        pipeline = self._pipeline
        frames, dropped = (pipeline.written, pipeline.dropped) if pipeline else (0, 0)
        held = self.held() - self._foreign if self._paused is None else NO_KEYS
        title = self._window.title if self._window is not None else None
        return Status(self._paused, self._recorded_ns / 1e9, frames, dropped + self._late, held, title)

    @property
    def finished(self) -> bool:
        """Whether it has recorded for as long as it was asked to."""
        limit = self.config.stop_after_s
        return limit is not None and self._recorded_ns >= limit * 1e9

    def key(self, name: str, down: bool, t_ns: int | None = None) -> None:
        """A key of the action space, or the toggle key, changed. t_ns: when it was heard; now unless given."""
        with self._lock:
            try:
                now = self._clock.now_ns()
                # Never after `now`: the clock was read in two threads, and an event from the future would belong to the
                # wrong frame.
                self._key(name, down, now if t_ns is None else min(t_ns, now), now)
            except (ProtegeError, OSError) as error:  # raised in the listener's thread; `tick` raises it again
                self.error = _as_protege_error(error)

    def _key(self, name: str, down: bool, t_ns: int, now: int) -> None:
        self._mind_gap(now, since=t_ns)
        late = now < self._settled_ns
        if name == self.config.toggle_key:
            # Keys of a time in which we stood still come in a burst; a toggle among them was meant for then.
            if down and not late:
                self._toggle()
            return
        if self._window is None or name in self.config.never:
            return
        paused = self._paused
        was_foreign = name in self._foreign
        # Asked now and not at the last frame: what is typed elsewhere is never stored. A key that went down elsewhere,
        # or nobody knows when and where, is not ours until it goes down again, even if it is still held later.
        if down and (late or not (self._focused and self._window.state().focused)):
            self._foreign.add(name)
        else:
            self._foreign.discard(name)
        # The release of a key that went down elsewhere is as foreign as its press.
        foreign = name in self._foreign or (was_foreign and not down)
        if not self._look(t_ns) or foreign or paused == WAITING:
            return
        self._last_key_ns = now
        if paused is None and self._paused is None:
            # What the last snapshot of held keys had already heard of is not stored a second time.
            if (name in self._stored) != down:
                self._event(Key(t_ns, name, down))
        elif self._paused == "idle":
            self._resume()  # the snapshot of held keys has this one

    def _store_motion(self, until_ns: int) -> None:
        """Of what was moved, up to a time at which the window had the focus."""
        moved = []
        while self._motion and self._motion[0].t_ns <= until_ns:
            motion = self._motion.popleft()
            if motion.t_ns > self._since_ns and max(abs(motion.dx), abs(motion.dy)) <= MOST_COUNTS:
                moved.append(motion)
        if moved:
            self._last_key_ns = max(self._last_key_ns, moved[-1].t_ns)
            self._write(moved)

    def toggle(self) -> None:
        """Start, pause or go on, as the toggle key does. Ignored while another window has the focus."""
        with self._lock:
            self._toggle()

    def start(self) -> None:
        """Begin without the toggle key: now, or as soon as the window gets the focus."""
        with self._lock:
            if self.writer is not None:  # the key was quicker
                return
            if self._window is None:
                self._window = self._choose_window()
            self._paused = "focus"
            self._look()

    def _toggle(self) -> None:
        if self._window is None:
            self._window = self._choose_window()
        now = self._clock.now_ns()
        if not self._window.state().focused:
            return
        if self._paused is not None:
            self._last_key_ns = now
            self._resume()
        else:
            self._motion.extend(self.motion())
            self._store_motion(now)
            self._pause(WAITING)

    def tick(self, late: int = 0) -> None:
        """Store one frame if recording. late: how many deadlines were missed since the last call."""
        with self._lock:
            if failed := self.error or (self._pipeline and self._pipeline.error):
                raise failed
            now = self._clock.now_ns()
            self._mind_gap(now)
            self._running_ns = now
            # From tick to tick, and kept only while recording: how much is typed into other windows is nobody's
            # business.
            before, self._presses = self._presses, self.presses()
            if self._window is None or not self._look() or self._paused is not None:
                return
            heard, unknown = self._counted
            self._counted = heard + self._presses[0] - before[0], unknown + self._presses[1] - before[1]
            self._check_hearing(now)
            if self.held() - self._foreign:
                self._last_key_ns = now  # a key held down is play, though nothing is heard of it
            if now - self._last_key_ns > IDLE_S * 1e9:
                self._pause("idle")
                return
            self._store_frame(late)

    def _store_frame(self, late: int) -> None:
        bgra, t_ns = self._screen.grab_bgra()
        self._mind_gap(t_ns)
        if self._paused is not None:  # it stood still just now, so this picture's keys are not known
            return
        self._running_ns = t_ns
        assert self._pipeline is not None
        self._pipeline.put(bgra, t_ns)
        self._late += late
        self._recorded_ns += self.config.period_ns * (1 + late)
        self._outside += self._screen.outside
        self._grabs += 1

    def _mind_gap(self, now: int, since: int | None = None) -> None:
        """Break the recording if this process stood still (stopped, suspended, starved).

        Keys pressed meanwhile are heard in a burst afterwards, with times and perhaps windows that are not theirs, so
        nothing heard in the next moment is trusted. since: when the key that is being taken was heard.
        """
        last = self._running_ns
        if last is None or self._paused == WAITING:  # nothing but the toggle key counts then
            return
        if now - min(last, now if since is None else since) > longest_step_ns(self.config.period_ns):
            if self._paused is None:
                self._pause("gap", min(now, last + self.config.period_ns))
            self._settled_ns = now + round(SETTLE_S * 1e9)
            self._running_ns = now

    def _check_hearing(self, now: int) -> None:
        """ProtegeError if keys are down of which nothing was heard."""
        if self.down_now is None or not self._hearing.due(now):
            return
        if unheard := self._hearing.unheard(self.held(), self.down_now()):
            self._pause("keys")
            raise ProtegeError(
                f"the keyboard is no longer heard ({' '.join(sorted(unheard))} changed without a word; the system may "
                "have removed the hook); recording ended, what was recorded before is kept; start it again"
            )

    def _look(self, until_ns: int | None = None) -> bool:
        """Look at the window: pause on a lost focus or a new size, go on when all is well; returns its focus.

        until_ns: of the event that is to be stored next, before which motion is stored now.
        """
        assert self._window is not None
        asked_ns = self._clock.now_ns()
        state = self._window.state()
        now = self._clock.now_ns()
        # Whether it is stored or not: it must not pile up.
        self._motion.extend(self.motion())
        stirred = bool(self._motion)
        if state.focused and self._paused is None:
            self._store_motion(asked_ns if until_ns is None else min(until_ns, asked_ns))
        else:
            self._motion.clear()
        rect = self.config.region or state.rect
        if self._rect is None or (rect.width, rect.height) != (self._rect.width, self._rect.height):
            # A window that is being resized has another size at every look; only the one that stays is recorded.
            self._rect_since_ns = now
            if self._rect is not None and self._paused is None:
                self._pause("resize")
        self._rect = rect
        self._screen.rect = rect
        if state.focused != self._focused:
            self._focused = state.focused
            if self._paused != WAITING:
                self._event(Focus(now, state.focused))
        if not state.focused and self._paused is None:
            self._pause("focus")
        steady = now - self._rect_since_ns >= STEADY_S * 1e9
        rested = not self.held() & self._foreign
        can_go_on = {"focus": True, "resize": steady, "gap": rested, "idle": stirred}.get(self._paused or "")
        if state.focused and can_go_on and now >= self._settled_ns:
            self._last_key_ns = now
            self._resume()
        return state.focused

    def _resume(self) -> None:
        self._paused = None
        if self.writer is None:
            if self._rect is None:
                self._look()
            assert self._window is not None
            assert self._rect is not None
            # Only now, so that a recording which never began leaves no folder.
            self.writer = self._create_writer(self._window, self._rect)
            self._pipeline = FramePipeline(self.writer, self.config.size)
        held, now = self.held() - self._foreign - self.config.never, self._clock.now_ns()
        self._stored = set(held)
        self._running_ns = self._since_ns = now
        self._event(Held(now, held))

    def _pause(self, why: str, t_ns: int | None = None) -> None:
        self._paused = why
        self._motion.clear()
        self._event(Pause(self._clock.now_ns() if t_ns is None else t_ns, why))

    def _event(self, event: Event) -> None:
        if isinstance(event, Key):
            (self._stored.add if event.down else self._stored.discard)(event.key)
        self._write([event])

    def _write(self, events: Sequence[Event]) -> None:
        """A key is heard in another thread, so its time may lie just before what is written already."""
        written = [event if event.t_ns >= self._event_ns else replace(event, t_ns=self._event_ns) for event in events]
        self._event_ns = max(self._event_ns, written[-1].t_ns)
        if self.writer is not None:
            self.writer.events(written)

    def finish(self) -> SessionWriter | None:
        """Write what is waiting and close the session; returns its writer, or None if nothing was recorded."""
        with self._lock:
            if self.config.space.look is not None and self._paused is None and self._window is not None:
                with suppress(ProtegeError, OSError):  # the window, or the disk, may be gone
                    self._look()
            if self._window is not None:
                self._window.close()
            if self.writer is None or self._pipeline is None:
                return None
            try:
                if self._paused is None:
                    self._pause("stop")
            except OSError as error:
                self.error = _as_protege_error(error)
            # Before the writer is closed: frames are still waiting for it.
            self._pipeline.close()
            self._close(self.writer, self._pipeline.dropped + self._late)
            return self.writer

    def _close(self, writer: SessionWriter, dropped: int) -> None:
        heard, unknown = self._counted
        extra = {"presses_heard": heard, "presses_unknown": unknown, "outside_screen": self._outside_share()}
        try:
            writer.finish(dropped, extra)
        except OSError as error:  # a full disk: by now the space kept aside is free
            self.error = self.error or _as_protege_error(error)
            with suppress(OSError):
                writer.finish(dropped, extra)

    def _outside_share(self) -> float:
        return round(self._outside / self._grabs, 4) if self._grabs else 0.0


def _as_protege_error(error: ProtegeError | OSError) -> ProtegeError:
    if isinstance(error, ProtegeError):
        return error
    return ProtegeError(f"cannot write the recording ({error.strerror}); recording ended")
