"""Reading an .mcap as Open World Agents' ocap writes it: what its messages say, in order of time."""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from protege.core.events import NEVER_NS
from protege.core.files import parse_json, regular_size
from protege.errors import MissingExtra, UserError
from protege.recorder.importing.breaks import SILENCE_NS, Break

if TYPE_CHECKING:
    from mcap.records import Chunk

MAX_RECORD_BYTES: Final = 1 << 28
"""Largest record, and largest chunk when unpacked; ocap's are some MB."""
SET_BACK_NS: Final = 500_000_000
"""Topics are written by several threads, so a message may be older than the one before it; by this much, the clock was
set back."""
MAX_TEXT: Final = 200
NOT_OWAMCAP: Final = (ValueError, KeyError, TypeError, AttributeError)
"""What a message that is not as it should be raises."""
BUTTON_FLAGS: Final = dict(
    zip(("mouse_left", "mouse_right", "mouse_middle", "mouse_4", "mouse_5"), (1, 4, 16, 64, 256), strict=True)
)
"""Windows' usButtonFlags of a button that goes down; twice as much where it goes up."""
WHEEL_FLAG: Final = 0x400
ABSOLUTE: Final = 1
"""Of us_flags: a touch screen or a remote desktop tells places, not motion."""


@dataclass
class Recording:
    """What an .mcap says, with times in ns.

    screens: (time, pts, video) of each picture; keys: (time, code, down); states: (time, codes held); windows: (time,
    title, rectangle, handle) of the active window; moves: (time, counts right, counts down) of the mouse; buttons:
    (time, name, down), a notch of the wheel as down; counts: messages of every other topic; breaks: where its clock was
    set back or nothing was written; what follows a clock that was set back is moved behind it.
    """

    screens: list[tuple[int, int, str | None]] = field(default_factory=list)
    keys: list[tuple[int, int, bool]] = field(default_factory=list)
    states: list[tuple[int, frozenset[int]]] = field(default_factory=list)
    windows: list[tuple[int, str, tuple[int, ...], int | None]] = field(default_factory=list)
    moves: list[tuple[int, int, int]] = field(default_factory=list)
    buttons: list[tuple[int, str, bool]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    breaks: list[Break] = field(default_factory=list)
    first_ns: int = 0
    last_ns: int = 0
    moved_ns: int = 0
    truncated: bool = False

    @property
    def video(self) -> str | None:
        """The video that the first picture is in, as the file names it."""
        return self.screens[0][2] if self.screens else None


def read_mcap(path: Path) -> Recording:
    """All that an .mcap says; UserError if it is no OWAMcap."""
    recording = Recording()
    topics: dict[int, str] = {}
    try:
        for topic, t_ns, data in messages(path, topics, recording):
            take(recording, topic, t_ns, data)
    except NOT_OWAMCAP as error:
        raise UserError(
            f"{path}: a message is not as OWAMcap writes it ({repr(error)[:MAX_TEXT]}); expected version 0.3 or 0.4, "
            "convert it with: owl mcap migrate"
        ) from None
    if not recording.screens:
        raise UserError(
            f"{path}: no screen messages (topics: {' '.join(sorted(topics.values()))[:MAX_TEXT] or 'none'}); "
            "expected OWAMcap with the topics screen and keyboard, made by ocap"
        )
    for stream in (
        recording.screens,
        recording.keys,
        recording.states,
        recording.windows,
        recording.moves,
        recording.buttons,
    ):
        stream.sort(key=lambda message: message[0])
    return recording


def messages(path: Path, topics: dict[int, str], recording: Recording) -> Iterator[tuple[str, int, bytes]]:
    """(topic, time, data) of every message, read as a stream: that also reads what a killed recorder left."""
    try:
        import zstandard
        from mcap.exceptions import McapError
        from mcap.records import Channel, Chunk, Message
        from mcap.stream_reader import StreamReader, breakup_chunk
    except ImportError:
        raise MissingExtra("mcap", "record") from None
    # What a cut makes the reader raise: its own errors, struct's, and those of lz4 (RuntimeError) and zstandard.
    cut_off = (McapError, struct.error, EOFError, ValueError, KeyError, RuntimeError, MemoryError, zstandard.ZstdError)
    try:
        limit = min(regular_size(path), MAX_RECORD_BYTES)
    except ValueError as error:
        raise UserError(f"{path}: {error}; expected a recording made by ocap") from None
    with path.open("rb") as file:
        bounded: Any = _Bounded(file, limit)
        records = StreamReader(bounded, emit_chunks=True, record_size_limit=limit).records
        while True:
            try:
                record = next(records, None)
                parts = breakup_chunk(_unpacked(record)) if isinstance(record, Chunk) else [record]
            except cut_off as error:
                if not topics:
                    raise UserError(f"{path}: not an mcap file ({error}); expected a recording made by ocap") from None
                recording.truncated = True
                return
            if record is None:
                return
            for part in parts:
                if isinstance(part, Channel):
                    topics[part.id] = part.topic
                elif isinstance(part, Message) and part.channel_id in topics:
                    yield topics[part.channel_id], part.publish_time or part.log_time, part.data


class _Bounded:
    """A file that is never asked for more than it has: lengths inside a record are not held against its own."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file = file
        self._most = most

    def read(self, size: int) -> bytes:
        if size > self._most:
            raise ValueError(f"a part of {size:,} bytes")
        return self._file.read(size)


def _unpacked(chunk: "Chunk") -> "Chunk":
    """A chunk without its compression, unpacked no further than it says; ValueError if it is not as it says."""
    size = chunk.uncompressed_size
    if size > MAX_RECORD_BYTES:
        raise ValueError(f"a chunk of {size:,} bytes")
    if chunk.compression == "zstd":
        import zstandard

        data = zstandard.ZstdDecompressor().stream_reader(chunk.data).read(size + 1)
    elif chunk.compression == "lz4":
        import lz4.frame

        data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, size + 1)
    else:
        return chunk
    if len(data) != size:
        raise ValueError(f"a chunk that is not of {size:,} bytes, as it says")
    return replace(chunk, compression="", data=data)


def take(recording: Recording, topic: str, t_ns: int, data: bytes) -> None:
    """Add one message; ValueError, KeyError or TypeError if it lacks what it should say."""
    t_ns = _in_time(recording, topic, t_ns)
    if topic == "screen":
        fields = parse_json(data)
        media = fields.get("media_ref") or fields  # newer versions keep the reference in a field of its own
        uri = media.get("path") or media.get("uri")
        if not isinstance(uri, str | None):
            raise ValueError(f"the video's name is {uri!r}")
        pts = media["pts_ns"] if "pts_ns" in media else media["pts"]
        utc_ns = fields.get("utc_ns")
        shown_ns = _whole("utc_ns", utc_ns) + recording.moved_ns if utc_ns else t_ns
        recording.screens.append((shown_ns, _whole("pts", pts), uri))
    elif topic == "keyboard":
        fields = parse_json(data)
        recording.keys.append((t_ns, _whole("vk", fields["vk"]), fields["event_type"] == "press"))
    elif topic == "keyboard/state":
        recording.states.append((t_ns, frozenset(_whole("buttons", code) for code in parse_json(data)["buttons"])))
    elif topic == "window":
        fields = parse_json(data)
        title, handle = fields["title"], fields.get("hWnd")
        if not isinstance(title, str) or not isinstance(handle, int | None):
            raise ValueError(f"a window's title is {title!r}, its hWnd {handle!r}")
        left, top, right, bottom = (_whole("rect", side) for side in fields["rect"])
        recording.windows.append((t_ns, title[:MAX_TEXT], (left, top, right, bottom), handle))
    else:
        recording.counts[topic] += 1
        if topic == "mouse/raw":
            _take_mouse(recording, t_ns, parse_json(data))


def _take_mouse(recording: Recording, t_ns: int, fields: Any) -> None:
    """What Windows' raw input said of the mouse; older versions of ocap keep only its place, which is not motion."""
    right, down = (
        _whole(name, fields[name] if name in fields else fields[f"d{name[-1]}"]) for name in ("last_x", "last_y")
    )
    flags, data = (_whole(name, fields.get(name, 0)) for name in ("button_flags", "button_data"))
    if (right or down) and not _whole("us_flags", fields.get("us_flags", 0)) & ABSOLUTE:
        recording.moves.append((t_ns, right, down))
    for name, flag in BUTTON_FLAGS.items():
        if flags & 3 * flag:
            recording.buttons.append((t_ns, name, bool(flags & flag)))
    if flags & WHEEL_FLAG and data:
        # A signed number in 16 bits, which some versions write without its sign.
        recording.buttons.append((t_ns, "wheel_up" if 0 < data < 0x8000 else "wheel_down", True))


def _whole(name: str, value: object) -> int:
    """A number of a message; ValueError if it is none, or so large that no clock shows it."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= NEVER_NS:
        raise ValueError(f"{name} is {str(value)[:40]!r}, expected a whole number")
    return value


def _in_time(recording: Recording, topic: str, t_ns: int) -> int:
    """The message's time, behind everything that was written before a clock was set back."""
    t_ns = _whole(f"the time of a {topic} message", t_ns) + recording.moved_ns
    last_ns = recording.last_ns
    if not last_ns:
        recording.first_ns = recording.last_ns = t_ns
        return t_ns
    if t_ns < last_ns - SET_BACK_NS:
        later_ns = last_ns + 2 * SET_BACK_NS
        found = f"by {(last_ns - t_ns) / 1e9:.1f} s"
        recording.breaks.append(Break(last_ns + 1, later_ns, "clock", found))
        recording.moved_ns += later_ns - t_ns
        t_ns = later_ns
    elif t_ns - last_ns > SILENCE_NS:
        recording.breaks.append(Break(last_ns + 1, t_ns, "silence", "stopped, suspended, or its clock set forward"))
    recording.last_ns = max(last_ns, t_ns)
    return t_ns
