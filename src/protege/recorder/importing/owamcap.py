"""OWAMcap (Open World Agents' ocap): a .mcap of screen, keyboard, mouse and window messages beside an .mkv.

Checked on recordings of versions 0.3.2 and 0.4.2. Two things about them shape this reader. A screen message's `pts`
says which picture of the video it means, but not when it was taken: it lags by one picture, up to a second on a still
screen, so that letters appear before their key. The message's own time is right and is what we use; a picture of the
video that no message names has no known time and is left out. And the screen is sent only when it changes, so the
pictures are resampled to a fixed rate, the newest one standing until the next.
"""

import itertools
import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from protege.core.actions import Action, ActionSpace
from protege.core.events import Event, Held, Key, Pause
from protege.core.session import SessionInfo, SessionWriter, staged_session
from protege.errors import MissingExtra, UserError
from protege.recorder.importing.common import (
    DEFAULT_FPS,
    Imported,
    Wanted,
    decode_video,
    imported,
    jpeg_of,
    libraries,
    resample,
)

PTS_TOLERANCE_NS: Final = 2_000_000
"""Matroska keeps milliseconds, the messages nanoseconds."""

VIRTUAL_KEYS: Final = {
    **{code: chr(code).lower() for code in (*range(0x30, 0x3A), *range(0x41, 0x5B))},
    **{0x25: "left", 0x26: "up", 0x27: "right", 0x28: "down", 0x20: "space", 0x0D: "enter"},
    **dict.fromkeys((0x11, 0xA2, 0xA3), "c"),  # control crouches in many games: c, as in the recorder
}
"""Windows virtual-key codes to our names; two codes of one name (Ctrl and C) are one key."""


@dataclass
class Recording:
    """What an .mcap says. screens: (time, pts) of each picture in ns; keys: (time, code, down); states: (time, codes
    held); windows: (time, title, rectangle); counts: messages of every other topic.
    """

    screens: list[tuple[int, int]] = field(default_factory=list)
    keys: list[tuple[int, int, bool]] = field(default_factory=list)
    states: list[tuple[int, frozenset[int]]] = field(default_factory=list)
    windows: list[tuple[int, str, tuple[int, ...]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    video: str | None = None
    last_ns: int = 0
    truncated: bool = False


def read_mcap(path: Path) -> Recording:
    """All that an .mcap says; UserError if it is no OWAMcap."""
    recording = Recording()
    topics: dict[int, str] = {}
    try:
        for topic, t_ns, data in _messages(path, topics, recording):
            _take(recording, topic, t_ns, data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: a message is not as OWAMcap writes it ({error!r}); expected version 0.3 or 0.4, "
            "convert it with: owl mcap migrate"
        ) from None
    if not recording.screens:
        raise UserError(
            f"{path}: no screen messages (topics: {' '.join(sorted(topics.values())) or 'none'}); "
            "expected OWAMcap with the topics screen and keyboard, made by ocap"
        )
    for messages in (recording.screens, recording.keys, recording.states, recording.windows):
        messages.sort(key=lambda message: message[0])
    return recording


def _messages(path: Path, topics: dict[int, str], recording: Recording) -> Iterator[tuple[str, int, bytes]]:
    """(topic, time, data) of every message, read as a stream: that also reads what a killed recorder left."""
    try:
        import zstandard
        from mcap.exceptions import McapError
        from mcap.records import Channel, Message
        from mcap.stream_reader import StreamReader
    except ImportError:
        raise MissingExtra("mcap", "record") from None
    # What a cut makes the reader raise: its own errors, struct's, and those of lz4 (RuntimeError) and zstandard.
    cut_off = (McapError, struct.error, EOFError, ValueError, KeyError, RuntimeError, zstandard.ZstdError)
    with path.open("rb") as file:
        records = StreamReader(file, record_size_limit=1 << 30).records
        while True:
            try:
                record = next(records, None)
            except cut_off as error:
                if not topics:
                    raise UserError(f"{path}: not an mcap file ({error}); expected a recording made by ocap") from None
                recording.truncated = True
                return
            if record is None:
                return
            if isinstance(record, Channel):
                topics[record.id] = record.topic
            elif isinstance(record, Message) and record.channel_id in topics:
                yield topics[record.channel_id], record.publish_time or record.log_time, record.data


def _take(recording: Recording, topic: str, t_ns: int, data: bytes) -> None:
    """Add one message; ValueError, KeyError or TypeError if it lacks what it should say."""
    recording.last_ns = max(recording.last_ns, t_ns)
    if topic == "screen":
        fields = json.loads(data)
        media = fields.get("media_ref") or fields  # newer versions keep the reference in a field of its own
        recording.video = recording.video or media.get("path") or media.get("uri")
        pts = media["pts_ns"] if "pts_ns" in media else media["pts"]
        recording.screens.append((int(fields.get("utc_ns") or t_ns), int(pts)))
    elif topic == "keyboard":
        fields = json.loads(data)
        recording.keys.append((t_ns, int(fields["vk"]), fields["event_type"] == "press"))
    elif topic == "keyboard/state":
        recording.states.append((t_ns, frozenset(json.loads(data)["buttons"])))
    elif topic == "window":
        fields = json.loads(data)
        recording.windows.append((t_ns, fields["title"], tuple(fields["rect"])))
    else:
        recording.counts[topic] += 1


def key_events(
    recording: Recording, space: ActionSpace, start_ns: int, stop_ns: int, counts: Counter[str]
) -> Iterator[Event]:
    """The true key changes from start to stop: auto-repeat dropped, keys outside the space only counted.

    The keys held at the start come from the last keyboard/state before it and the presses since.
    """
    held: set[int] = set()
    before = [(t, codes) for t, codes in recording.states if t <= start_ns]
    since_ns = before[-1][0] if before else 0
    held |= before[-1][1] if before else set()
    started = False
    for t_ns, code, down in recording.keys:
        if t_ns < since_ns:
            continue
        if t_ns > start_ns and not started:
            started = True
            yield Held(start_ns, _names(held, space))
        if t_ns >= stop_ns:
            break
        was = _names(held, space)
        repeated = down and code in held
        (held.add if down else held.discard)(code)
        if VIRTUAL_KEYS.get(code) not in space.pressable:
            counts["outside"] += 1
        elif repeated:
            counts["repeats"] += 1
        else:
            counts["kept"] += 1
            if started:
                yield from (Key(t_ns, key, down) for key in was ^ _names(held, space))
    if not started:
        yield Held(start_ns, _names(held, space))


def _names(codes: Iterable[int], space: ActionSpace) -> Action:
    return space.only(VIRTUAL_KEYS.get(code, "") for code in codes)


def _pictures(
    recording: Recording, frames: Iterator[tuple[int, Any]], counts: Counter[str]
) -> Iterator[tuple[int, Any]]:
    """(time, picture) of every screen message whose picture is in the video; messages and frames in order of pts."""
    screens = iter(sorted(recording.screens, key=lambda screen: screen[1]))
    screen = next(screens, None)
    last_ns = -1
    for pts, frame in frames:
        while screen is not None and screen[1] < pts - PTS_TOLERANCE_NS:
            counts["messages_without_picture"] += 1
            screen = next(screens, None)
        if screen is None or screen[1] > pts + PTS_TOLERANCE_NS:
            counts["pictures_without_message"] += 1
            continue
        counts["pictures"] += 1
        if screen[0] > last_ns:
            last_ns = screen[0]
            yield last_ns, frame
        screen = next(screens, None)
    if screen is not None:
        counts["messages_without_picture"] += 1 + sum(1 for _ in screens)


def import_owamcap(path: Path, wanted: Wanted) -> Imported:
    """One session of an .mcap and its video, at `fps` (10 unless asked otherwise)."""
    folder = wanted.folder(path, path.stem)
    recording = read_mcap(path)
    video = _video_of(path, recording)
    pictures, keys = Counter[str](), Counter[str]()
    with staged_session(folder, "protege import") as part:
        shown = _pictures(recording, decode_video(video), pictures)
        first = next(shown, None)
        if first is None:
            raise UserError(f"{video}: no picture of it is named in {path.name}; expected the video of that recording")
        size = wanted.size or (first[1].width, first[1].height)
        stop_ns = max(recording.last_ns, recording.screens[-1][0]) + 1
        with SessionWriter(part, _info(path, recording, wanted, size, first[0])) as writer:
            for event in key_events(recording, wanted.space, first[0], stop_ns, keys):
                writer.event(event)
            encoded, jpeg = None, b""
            for t_ns, frame in resample(itertools.chain([first], shown), writer.info.period_ns, stop_ns):
                if frame is not encoded:
                    encoded, jpeg = frame, jpeg_of(frame, size)
                writer.frame(t_ns, jpeg)
                wanted.report(folder.name, writer.frame_count)
            writer.event(Pause(stop_ns, "stop"))
            counts = _counts(recording, keys, pictures)
            writer.finish(extra={"counts": counts})
        return imported(folder, part, "owamcap", counts)


def _counts(recording: Recording, keys: Counter[str], pictures: Counter[str]) -> dict[str, Any]:
    counts: dict[str, Any] = {f"key_events_{name}": keys[name] for name in ("kept", "outside", "repeats")}
    counts |= {name: count for name, count in sorted(pictures.items()) if count}
    counts |= {f"{topic}_messages": count for topic, count in sorted(recording.counts.items())}
    if recording.truncated:
        counts["mcap_cut_off"] = True
    return counts


def _info(path: Path, recording: Recording, wanted: Wanted, size: tuple[int, int], start_ns: int) -> SessionInfo:
    titles = Counter((title, rect) for _, title, rect in recording.windows)
    window = None
    if titles:
        title, (left, top, right, bottom) = titles.most_common(1)[0][0]
        window = {"title": title, "left": left, "top": top, "width": right - left, "height": bottom - top}
    return SessionInfo(
        space=wanted.space,
        frame_hz=wanted.fps or DEFAULT_FPS,
        frame_size=size,
        source="import:owamcap",
        window=window,
        clock={"wall_ns": start_ns, "monotonic_ns": start_ns},
        libraries=libraries(),
        extra={"file": path.name},
    )


def _video_of(path: Path, recording: Recording) -> Path:
    """The video beside the .mcap: the one it names (only its file name, wherever it was made), or of the same stem."""
    named = Path((recording.video or "").replace("\\", "/")).name
    for video in (path.parent / named, path.with_suffix(".mkv"), path.with_suffix(".mp4")):
        if video.is_file():
            return video
    expected = named or path.with_suffix(".mkv").name
    raise UserError(f"{path}: its video {expected} is not beside it; copy it into {path.parent}")
