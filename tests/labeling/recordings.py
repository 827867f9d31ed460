"""Small recordings for the labeling tests, made with the recorder's own writer."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from protege.core import KEYBOARD_12, NO_KEYS, Session, SessionInfo, SessionWriter
from protege.core.events import End, Event, Goal, Held, Key, Motion, Pause

PERIOD = 100_000_000
HOLD = {"w": frozenset("w"), "right": frozenset({"right"}), "wr": frozenset({"w", "right"}), "none": NO_KEYS}


def picture(i, size=(64, 48)):
    """JPEG bytes of a picture that differs from frame to frame."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    rgb = np.stack([(x * 3 + i * 11) % 256, (y * 5) % 256, (x + y + i * 7) % 256], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG")
    return buffer.getvalue()


def key_events(actions, start_ns=0, space=KEYBOARD_12):
    """The events of a player who holds `actions`, one a frame, and moves the mouse in two strokes a frame."""
    held = NO_KEYS
    events: list[Event] = [Held(start_ns, NO_KEYS)]
    for i, action in enumerate(actions):
        t = start_ns + i * PERIOD
        events += [Key(t, key, False) for key in sorted(held - action - space.symbols)]
        events += [Key(t, key, True) for key in sorted(action - held - space.symbols)]
        held = action
        x, y = (round(count) for count in space.counts(action))
        events += [Motion(t + 1, x - x // 2, y - y // 2), Motion(t + PERIOD // 2, x // 2, y // 2)] if x or y else []
    return events


def record(root, actions, name="s", goals=(), pauses=(), extra=None, space=KEYBOARD_12, start_ns=0, size=(64, 48)):
    """A session with one frame every 100 ms. goals: (first frame, goal, frame after the last, end) of each episode;
    pauses: frames before which the recording paused for a second."""
    info = SessionInfo(frame_size=size, extra=extra or {}, space=space)
    writer = SessionWriter.create(root, info, name)
    events = key_events(actions, start_ns, space)
    for first, goal, stop, end in goals:
        events.append(Goal(start_ns + first * PERIOD, goal))
        if end:
            events.append(End(start_ns + stop * PERIOD, end))
    late = 0
    shift = np.zeros(len(actions) + 1, dtype=int)
    for i in range(len(actions)):
        late += PERIOD * 10 * (i in pauses)
        shift[i] = late
    shift[-1] = late
    moved = []
    for event in sorted(events, key=lambda e: e.t_ns):
        frame = min((event.t_ns - start_ns) // PERIOD, len(actions))
        moved.append(replace(event, t_ns=event.t_ns + int(shift[frame])))
    for i in pauses:
        t = start_ns + i * PERIOD + int(shift[i - 1])
        held = actions[i] - space.symbols
        moved += [Pause(t - 1, "toggle"), Held(start_ns + i * PERIOD + int(shift[i]) - 1, held)]
    for event in sorted(moved, key=lambda e: e.t_ns):
        writer.event(event)
    for i in range(len(actions)):
        writer.frame(start_ns + i * PERIOD + int(shift[i]), picture(i, size))
    return writer.finish()


def opened(*args, **kwargs):
    return Session.open(record(*args, **kwargs))
