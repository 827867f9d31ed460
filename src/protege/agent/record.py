"""Records a run as a Session: what was seen, which keys were held, and whether the agent or a person pressed them."""

import json
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image

from protege.agent.listener import Listener, Slot
from protege.agent.worker import Prediction
from protege.core.actions import NO_KEYS, Action
from protege.core.events import AGENT, Control, End, Event, Focus, Goal, Held, Key, Motion, Pause
from protege.core.files import Json
from protege.core.frame import Frame, encode_jpeg
from protege.core.looking import WHEEL
from protege.core.session import SessionWriter
from protege.errors import ProtegeError

QUEUE_FRAMES: Final = 8
SOURCE: Final = "agent"
PLANS: Final = "plans.jsonl"
"""In a run's folder; no part of the session."""


class RunRecorder(Listener):
    """Writes what it hears; pictures are encoded in a thread of their own, and what does not fit is dropped.

    plans: beside the session keep PLANS, a line for each prediction that was played from.
    """

    def __init__(self, writer: SessionWriter, now_ns: int, *, plans: bool = False) -> None:
        self.writer = writer
        self.dropped = 0
        self.error: ProtegeError | None = None
        self._agent: Action = NO_KEYS
        self._human: set[str] = set()
        self._by = AGENT
        self._last_ns = 0
        self._paused = False
        self._queue: queue.Queue[Frame | None] = queue.Queue(QUEUE_FRAMES)
        self._plans = (writer.folder / PLANS).open("w", encoding="utf-8", buffering=1) if plans else None
        self._planned: Prediction | None = None
        self._thread = threading.Thread(target=self._work, name="run-frames", daemon=True)
        self._thread.start()
        self._write(lambda t_ns: Held(t_ns, NO_KEYS), now_ns)

    def frame(self, frame: Frame) -> None:
        try:
            self._queue.put_nowait(frame)
        except queue.Full:
            self.dropped += 1

    def slot(self, slot: Slot) -> None:
        self._agent_holds(slot.t_ns, slot.action)
        if slot.prediction is not None and slot.prediction is not self._planned:
            self._planned = slot.prediction
            self._keep_plan(slot.prediction)
        if self.error is not None:
            raise self.error

    def human_key(self, t_ns: int, key: str, down: bool) -> None:
        if self._paused or (key in self._human) == down:
            return
        (self._human.add if down else self._human.discard)(key)
        self._write(lambda t: Key(t, key, down), t_ns)

    def motion(self, motion: Motion) -> None:
        if not self._paused:
            self._write(lambda t: Motion(t, motion.dx, motion.dy), motion.t_ns)

    def control(self, t_ns: int, by: str) -> None:
        self._agent_holds(t_ns, NO_KEYS)
        self._by = by
        self._write(lambda t: Control(t, by), t_ns)

    def focus(self, t_ns: int, focused: bool) -> None:
        self._write(lambda t: Focus(t, focused), t_ns)
        self._paused = not focused
        self._agent, self._human = NO_KEYS, set()
        self._write(lambda t: Held(t, NO_KEYS) if focused else Pause(t, "focus"), t_ns)

    def goal(self, t_ns: int, goal: str) -> None:
        self._write(lambda t: Goal(t, goal), t_ns)

    def goal_ended(self, t_ns: int, goal: str, how: str) -> None:
        self._agent_holds(t_ns, NO_KEYS)
        self._write(lambda t: End(t, how), t_ns)

    def finish(self, t_ns: int, extra: Mapping[str, Json]) -> None:
        """Write what is waiting and close the session."""
        self._queue.put(None)
        self._thread.join()
        if not self._paused:
            self._agent_holds(t_ns, NO_KEYS)
            self._write(lambda t: Pause(t, "stop"), t_ns)
        if self._plans is not None:
            self._plans.close()
        self.writer.finish(self.dropped, extra)

    def _keep_plan(self, made: Prediction) -> None:
        if self._plans is None:
            return
        spell = self.writer.info.space.spell
        line = {"t_ns": made.t_ns, "latency_ns": made.latency_ns, "plan": [spell(step) for step in made.plan.steps]}
        sure = {"p": [round(p, 4) for p in made.probabilities]} if made.probabilities else {}
        try:
            self._plans.write(json.dumps({**line, **sure}) + "\n")
        except OSError as error:
            self.error = ProtegeError(f"cannot write the recording ({error.strerror}); the agent stopped")

    def _agent_holds(self, t_ns: int, action: Action) -> None:
        """Write what has changed; motion is written as it happens, and a wheel that is turned on by each notch."""
        action = self.writer.info.space.only(action)
        for key in sorted(self._agent & action & frozenset(WHEEL)):
            self._write(lambda t, key=key: Key(t, key, False), t_ns)
            self._agent -= {key}
        for key in sorted(self._agent ^ action):
            self._write(lambda t, key=key: Key(t, key, key in action), t_ns)
        self._agent = action

    def _write(self, event: Callable[[int], Event], t_ns: int) -> None:
        """A person's key is heard in another thread, so its time may lie just before what is written already."""
        self._last_ns = max(self._last_ns, t_ns)
        try:
            self.writer.event(event(self._last_ns))
        except OSError as error:
            self.error = ProtegeError(f"cannot write the recording ({error.strerror}); the agent stopped")

    def _work(self) -> None:
        while (frame := self._queue.get()) is not None:
            rgb, size = frame.rgb, self.writer.info.frame_size
            try:
                if frame.size != size:
                    rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
                self.writer.frame(frame.t_ns, encode_jpeg(rgb))
            except OSError as error:
                self.error = ProtegeError(f"{self.writer.folder}: cannot write ({error.strerror}); the agent stopped")
                while self._queue.get() is not None:  # so that `finish` never waits for room
                    pass
                return
