"""Recordings as other tools leave them, made small for the tests."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from protege.core import encode_jpeg
from protege.recorder.importers import import_each

OWAMCAP = Path(__file__).parents[1] / "fixtures" / "owamcap"


def video(path, frames=30, fps=30, size=(64, 48), codec="mpeg4", rotation=0, picture=None, options=None):
    """A video whose n-th picture has brightness 8n, or is `picture(n)`; rotation: the flag, in degrees."""
    import av

    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for i in range(frames):
            shown = picture(i) if picture else np.full((size[1], size[0], 3), 8 * i % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def origin(folder, frames, session="play", size=(32, 24)):
    """The origin's layout: (ms, action_sequence) pairs."""
    folder.mkdir(exist_ok=True)
    for i, (ms, actions) in enumerate(frames):
        picture = np.full((size[1], size[0], 3), i * 20 % 256, np.uint8)
        (folder / f"{session}_{ms}.jpg").write_bytes(encode_jpeg(picture))
        (folder / f"{session}_{ms}.json").write_text(json.dumps({"action_sequence": actions}))
    return folder


T0, S = 1_760_000_000_000_000_000, 10**9
W, A = 0x57, 0x41


def screens(video="v.mkv", count=100, fps=20):
    """Screen messages as ocap 0.5 writes them."""
    return [
        (
            "screen",
            T0 + i * S // fps,
            {"utc_ns": T0 + i * S // fps, "media_ref": {"uri": video, "pts_ns": i * S // fps}},
        )
        for i in range(count)
    ]


def key(seconds, vk, down):
    return "keyboard", T0 + round(seconds * S), {"event_type": "press" if down else "release", "vk": vk}


def state(seconds, held):
    return "keyboard/state", T0 + round(seconds * S), {"buttons": held}


def window(seconds, title, handle=None):
    fields = {"title": title, "rect": [0, 0, 64, 48]} | ({"hWnd": handle} if handle is not None else {})
    return "window", T0 + round(seconds * S), fields


def shifted(messages, after_s, by_s):
    """Everything from after_s on happens by_s later (earlier, where negative), in the same order."""
    out = []
    for topic, t_ns, fields in sorted(messages, key=lambda message: message[1]):
        moved = round(by_s * S) if t_ns - T0 >= after_s * S else 0
        out.append((topic, t_ns + moved, fields | ({"utc_ns": fields["utc_ns"] + moved} if "utc_ns" in fields else {})))
    return out


def mcap(path, messages, raw=None):
    """An .mcap of (topic, time, fields), in the order given; raw: the bytes of one more screen message."""
    from mcap.writer import Writer

    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("owa", "case")
        channels = {}
        for topic, t_ns, fields in [*messages, *([("screen", T0, raw)] if raw is not None else [])]:
            if topic not in channels:
                schema = writer.register_schema("case/" + topic, "jsonschema", b"{}")
                channels[topic] = writer.register_channel(topic, "json", schema)
            data = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
            writer.add_message(channels[topic], t_ns, data, t_ns)
        writer.finish()
    return path


def in_order(messages):
    return sorted(messages, key=lambda message: message[1])


def import_recordings(source, out, **options):
    """All that is made of a file or a folder."""
    return list(import_each(source, out, **options))
