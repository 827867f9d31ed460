"""The layout our users come from: `<session>_<ms>.jpg` beside `<session>_<ms>.json` with `action_sequence`.

Their recorder wrote a frame when the keys changed or every third, and flattened keys held together into consecutive
actions. So the first action is the frame's own: a frame holds that key until the next frame, the same key in a row
counts as held through, and what follows in the list is only counted (`frames_with_more_actions`), since nothing tells
a chord from a sequence. The names ctrl and return are read as c and enter; a first action that is no key of the space
becomes none and is counted by name. A frame without a readable .json is left out: "none" would be a guess.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.core.actions import NO_KEYS, NONE, Action, ActionSpace
from protege.core.events import Event, Held, Key, Pause
from protege.core.frame import decode_jpeg
from protege.core.session import SessionInfo, SessionWriter, staged_session
from protege.errors import MissingExtra, UserError
from protege.recorder.importing.common import DEFAULT_FPS, Imported, Wanted, imported, libraries
from protege.recorder.pipeline import encode_bgra

PICTURE: Final = re.compile(r"(?P<session>.+)_(?P<ms>\d{1,15})\.jpe?g", re.IGNORECASE)
ALIASES: Final = {"ctrl": "c", "control": "c", "return": "enter"}
BREAK_NS: Final = 1_000_000_000
"""A longer silence between two frames is a pause: their recorder wrote at least three frames a second."""
EPOCH_MS: Final = 10**12
"""Times this large are counted from 1970, smaller ones from the start of the recording."""


@dataclass(frozen=True)
class Taken:
    """A frame of theirs: its time, its picture, and the key held from it to the next."""

    t_ns: int
    picture: Path
    action: Action


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
    taken = list(_taken(pictures, wanted.space, counts))
    if not taken:
        raise UserError(
            f"{pictures[0][1]}: no frame of session {name} has a readable .json with action_sequence beside it; "
            "copy the .json files too"
        )
    size = wanted.size or _size_of(taken[0].picture)
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
            for event in key_events(taken, info.period_ns):
                writer.event(event)
            for frame in taken:
                writer.frame(frame.t_ns, _jpeg(frame.picture, size, counts))
                wanted.report(name, writer.frame_count)
            found: dict[str, Any] = dict(sorted((key, count) for key, count in counts.items() if count))
            writer.finish(extra={"counts": found})
        return imported(folder, part, "origin", found)


def _taken(pictures: Sequence[tuple[int, Path]], space: ActionSpace, counts: Counter[str]) -> Iterator[Taken]:
    """The frames whose .json can be read."""
    for ms, picture in pictures:
        label = picture.with_suffix(".json")
        try:
            names = [str(name).lower() for name in json.loads(label.read_text(encoding="utf-8"))["action_sequence"]]
        except FileNotFoundError:
            counts["frames_without_json"] += 1
            continue
        except (ValueError, KeyError, TypeError):
            counts["frames_with_unreadable_json"] += 1
            continue
        counts["frames"] += 1
        counts["frames_with_more_actions"] += len(names) > 1
        names = [ALIASES.get(name, name) for name in names]
        for name in names:
            if name != NONE and name not in space.pressable:
                counts[f"unknown_action_{name}"] += 1
        yield Taken(ms * 1_000_000, picture, space.only(names[:1]))


def key_events(taken: Sequence[Taken], period_ns: int) -> Iterator[Event]:
    """Events from which every frame's action is computed back as it was; a long silence becomes a pause."""
    held = NO_KEYS
    for i, frame in enumerate(taken):
        if i == 0 or frame.t_ns - taken[i - 1].t_ns > BREAK_NS:
            if i:
                yield Pause(taken[i - 1].t_ns + min(period_ns, BREAK_NS), "idle")
            yield Held(frame.t_ns, frame.action)
        else:
            yield from (Key(frame.t_ns, key, down=False) for key in sorted(held - frame.action))
            yield from (Key(frame.t_ns, key, down=True) for key in sorted(frame.action - held))
        held = frame.action
    yield Pause(taken[-1].t_ns + period_ns, "stop")


def _usual_hz(taken: Sequence[Taken]) -> float:
    """Frames a second by the median distance, pauses and all, rounded to a hundredth."""
    if len(taken) < 2:
        return DEFAULT_FPS
    return max(0.01, round(1e9 / float(np.median(np.diff([frame.t_ns for frame in taken]))), 2))


def _size_of(picture: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(picture) as image:
            return image.size
    except OSError as error:
        raise _unreadable(picture, error) from None


def _jpeg(picture: Path, size: tuple[int, int], counts: Counter[str]) -> bytes:
    """Their bytes as they are when the size is right, else stretched as the recorder does and encoded again."""
    if _size_of(picture) == size:
        return picture.read_bytes()
    try:
        import cv2
    except ImportError:
        raise MissingExtra("opencv-python-headless", "record") from None
    try:
        rgb = decode_jpeg(picture)
    except OSError as error:
        raise _unreadable(picture, error) from None
    counts["frames_encoded_again"] += 1
    return encode_bgra(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA), dtype=np.uint8), size)


def _unreadable(picture: Path, error: OSError) -> UserError:
    return UserError(f"{picture}: cannot be read ({error}); expected a JPEG, copy it again or remove it and its .json")
