"""The layout our users come from: `<session>_<ms>.jpg` beside `<session>_<ms>.json` with `action_sequence`.

Their recorder wrote a frame when the keys changed or every third, and flattened keys held together into consecutive
actions. So the first action is the frame's own: a frame holds that key until the next frame, the same key in a row
counts as held through, and what follows in the list is only counted (`frames_with_more_actions`), since nothing tells
a chord from a sequence. The names ctrl and return are read as c and enter; a first action that is no key of the space
becomes none and is counted by name. A frame without a readable .json is left out, and the recording has a break there:
"none", or the key of the frame before it, would be a guess.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from protege.core.actions import NONE, Action, ActionSpace
from protege.core.events import NEVER_NS, Event, Held, Key, Pause
from protege.core.files import Json, read_json
from protege.core.session import SessionInfo, SessionWriter, staged_session
from protege.core.text import one_line
from protege.errors import MissingExtra, UserError
from protege.recorder.importing.common import DEFAULT_FPS, Count, Imported, Wanted, imported, libraries
from protege.recorder.importing.pictures import read_picture
from protege.recorder.pipeline import encode_bgra

PICTURE: Final = re.compile(r"(?P<session>.+)_(?P<ms>\d{1,15})\.jpe?g", re.IGNORECASE)
ALIASES: Final = {"ctrl": "c", "control": "c", "return": "enter"}
BREAK_NS: Final = 1_000_000_000
"""A longer silence between two frames is a pause: their recorder wrote at least three frames a second."""
EPOCH_MS: Final = 10**12
"""Times this large are counted from 1970, smaller ones from the start of the recording."""
MAX_NAMES: Final = 20
"""Unknown actions that are counted by name; the others are counted together."""
MAX_JSON_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Taken:
    """A frame of theirs: its time, its picture, and the key held from it to the next; None where nothing says which."""

    t_ns: int
    picture: Path
    action: Action | None


def find_pictures(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    """The (ms, picture) pairs of every session in a folder, in order of time."""
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        # A name with a dot first is no picture: what macOS leaves beside every file on a foreign disk begins so.
        if (match := PICTURE.fullmatch(path.name)) and not path.name.startswith("."):
            found[match["session"]].setdefault(int(match["ms"]), path)
    return {session: sorted(pictures.items()) for session, pictures in sorted(found.items())}


def import_origin(name: str, pictures: Sequence[tuple[int, Path]], source: Path, wanted: Wanted) -> Imported:
    """One session of theirs; `fps` only says what rate was meant (the median one unless given)."""
    folder = wanted.folder(source / name, name)
    counts = Counter[str]()
    every = list(_taken(pictures, wanted.space, counts))
    taken = [frame for frame in every if frame.action is not None]
    if not taken:
        raise UserError(
            f"{pictures[0][1]}: no frame of session {name} has a readable .json with action_sequence beside it; "
            "copy the .json files too"
        )
    size = wanted.size or _size_of(taken[0].picture)
    if every[-1].t_ns >= NEVER_NS:
        raise UserError(f"{every[-1].picture}: its time is too large, expected milliseconds; rename it")
    with staged_session(folder, "protege import") as part:
        info = SessionInfo(
            space=wanted.space,
            frame_hz=wanted.fps or _usual_hz(taken),
            frame_size=size,
            source="import:origin",
            clock={"wall_ns": taken[0].t_ns if taken[0].t_ns >= EPOCH_MS * 10**6 else 0, "monotonic_ns": taken[0].t_ns},
            libraries=libraries(),
            extra={"folder": source.name},
        )
        with SessionWriter(part, info) as writer:
            for event in key_events(every, info.period_ns):
                writer.event(event)
            for frame in taken:
                writer.frame(frame.t_ns, _jpeg(frame.picture, size, counts))
                wanted.report(name, writer.frame_count)
            found: dict[str, Count] = dict(sorted((key, count) for key, count in counts.items() if count))
            writer.finish(extra={"counts": found})
        return imported(folder, part, "origin", found)


def _taken(pictures: Sequence[tuple[int, Path]], space: ActionSpace, counts: Counter[str]) -> Iterator[Taken]:
    """The frames whose .json can be read."""
    for ms, picture in pictures:
        label = picture.with_suffix(".json")
        try:
            names = _names(read_json(label, MAX_JSON_BYTES))
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError)
            counts["frames_without_json" if missing else "frames_with_unreadable_json"] += 1
            yield Taken(ms * 1_000_000, picture, None)
            continue
        counts["frames"] += 1
        counts["frames_with_more_actions"] += len(names) > 1
        for name in names:
            if name != NONE and name not in space.pressable:
                counts[_unknown(name, counts)] += 1
        yield Taken(ms * 1_000_000, picture, space.only(names[:1]))


def _names(label: Json) -> list[str]:
    """The actions of a .json as we call them; ValueError if it does not hold them as their recorder wrote them."""
    match label:
        case {"action_sequence": [*names]} if all(isinstance(name, str) for name in names):
            lower = [str(name).lower() for name in names]
            return [ALIASES.get(name, name) for name in lower]
    raise ValueError("no action_sequence of names")


def _unknown(name: str, counts: Counter[str]) -> str:
    key = f"unknown_action_{one_line(name, 30)}"
    many = sum(other.startswith("unknown_action_") for other in counts) >= MAX_NAMES
    return "other_unknown_actions" if many and key not in counts else key


def key_events(taken: Sequence[Taken], period_ns: int) -> Iterator[Event]:
    """Events from which every frame's action is computed back as it was; a long silence becomes a pause, and so does
    a frame of which nothing says what was held.
    """
    held: Action | None = None
    for before, frame in zip([None, *taken[:-1]], taken, strict=True):
        silent = before is not None and frame.t_ns - before.t_ns > BREAK_NS
        if before is not None and held is not None and (silent or frame.action is None):
            if silent:
                yield Pause(before.t_ns + min(period_ns, BREAK_NS), "idle")
            else:
                yield Pause(frame.t_ns, "keys")
            held = None
        if frame.action is None:
            continue
        if held is None:
            yield Held(frame.t_ns, frame.action)
        else:
            yield from (Key(frame.t_ns, key, down=False) for key in sorted(held - frame.action))
            yield from (Key(frame.t_ns, key, down=True) for key in sorted(frame.action - held))
        held = frame.action
    if held is not None:
        yield Pause(taken[-1].t_ns + period_ns, "stop")


def _usual_hz(taken: Sequence[Taken]) -> float:
    """Frames a second by the median distance, pauses and all, rounded to a hundredth."""
    if len(taken) < 2:
        return DEFAULT_FPS
    return max(0.01, round(1e9 / float(np.median(np.diff([frame.t_ns for frame in taken]))), 2))


def _size_of(picture: Path) -> tuple[int, int]:
    rgb, _ = read_picture(picture)
    return rgb.shape[1], rgb.shape[0]


def _jpeg(picture: Path, size: tuple[int, int], counts: Counter[str]) -> bytes:
    """Their bytes as they are when the size is right, else stretched as the recorder does and encoded again."""
    rgb, jpeg = read_picture(picture)
    if jpeg is not None and (rgb.shape[1], rgb.shape[0]) == size:
        return jpeg
    try:
        import cv2
    except ImportError:
        raise MissingExtra("opencv-python-headless", "record") from None
    counts["frames_encoded_again"] += 1
    return encode_bgra(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA), dtype=np.uint8), size)
