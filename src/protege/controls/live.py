"""The live loop of the control transformer: features in, decisions to a bridge."""

import json
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.controls.bridge import Bridge
from protege.controls.policy import ControlPolicy
from protege.controls.recordings import Recording, read
from protege.controls.state import State
from protege.controls.tables import FRAME
from protege.core.devices import Clock
from protege.errors import UserError

SILENCE_S: Final = 0.1
"""A stream that says nothing for so long counts as a frame without anybody in sight."""
LONGEST: Final = 1 << 20
"""Characters of a line; more are no frame, and may have no end."""
MANY: Final = 10_000
"""Lines that may wait; a stream that is further ahead is stopped, as any pipe stops its writer."""


@dataclass(frozen=True)
class Feature:
    """One frame of a stream. frame: (260,) landmarks, None with nobody in sight; state: the game's, None if unknown."""

    frame: NDArray[np.float32] | None
    state: State | None = None


Stream = Iterator[Feature]


@dataclass
class Counts:
    """What happened. frames: with somebody in sight; lost: without; pressed: single presses."""

    frames: int = 0
    lost: int = 0
    pressed: int = 0


def play(
    policy: ControlPolicy,
    stream: Stream,
    bridge: Bridge,
    clock: Clock,
    may_act: Callable[[], bool] = lambda: True,
    max_s: float = 600.0,
    counts: Counts | None = None,
) -> Counts:
    """Decide about every frame of a stream until it ends, or `max_s` have passed; then release everything.

    may_act: asked before every decision; while it is false, everything is released and the policy forgets.
    counts: updated while it plays, and returned.
    """
    counts = counts or Counts()
    policy.warm_up()
    begin_ns = clock.now_ns()
    try:
        for feature in stream:
            now_s = clock.now_ns() / 1e9
            if now_s - begin_ns / 1e9 >= max_s:
                break
            if not may_act():
                bridge.release_all()
                policy.reset()
                continue
            state = feature.state if feature.state is not None else bridge.state()
            output = policy.step(feature.frame, state, now_s)
            bridge.send(output, now_s)
            counts.frames += feature.frame is not None
            counts.lost += feature.frame is None
            counts.pressed += len(output.pressed)
    finally:
        bridge.release_all()
    return counts


def open_stream(source: str, clock: Clock) -> Stream:
    """A recording (.npz) at the speed it was recorded, or JSON lines from a file, a pipe or "-" (standard input).

    UserError if it is neither.
    """
    if source == "-":
        return from_lines(sys.stdin)
    path = Path(source)
    if path.suffix == ".npz":
        return from_recording(read(path), clock)
    try:
        return from_lines(path.open(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise UserError(
            f"--features {source}: {error.strerror}; give a recording (.npz), a file or pipe of JSON lines, or -"
        ) from None


def from_recording(recording: Recording, clock: Clock) -> Stream:
    """Each frame at its time, with the state of the frame before: what is pressed at a frame shows in its own state,
    which a player at the game does not know yet.
    """
    begin_ns = clock.now_ns()
    times = recording.timestamps - recording.timestamps[0]
    for number, frame in enumerate(recording.frames):
        clock.sleep_until(begin_ns + round(float(times[number]) * 1e9))
        yield Feature(frame, recording.game_state[max(number - 1, 0)])


def from_lines(lines: IO[str], silence_s: float = SILENCE_S) -> Stream:
    """Frames as they come, one JSON object a line: {"frame": [260 numbers] or null, "state": {…}}; the state may be
    left out. Silence and lines that are none count as frames with nobody in sight. Ends with the stream.
    """
    waiting: queue.Queue[str | None] = queue.Queue(MANY)

    def hear() -> None:
        with lines:
            while line := lines.readline(LONGEST):
                waiting.put(line)
        waiting.put(None)

    # In a thread, because a pipe cannot be read with a timeout everywhere, and silence has to be noticed.
    threading.Thread(target=hear, name="features", daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=silence_s)
        except queue.Empty:
            yield Feature(None)
            continue
        if line is None:
            return
        yield parse(line)


def parse(line: str) -> Feature:
    """A line of a live stream; one that is no frame counts as nobody in sight."""
    try:
        told: Any = json.loads(line)
        state = told.get("state")
        frame = np.array(told["frame"], dtype=np.float32) if told.get("frame") is not None else None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return Feature(None)
    if frame is not None and frame.shape != (FRAME,):
        frame = None
    return Feature(frame, state if isinstance(state, dict | list) else None)
