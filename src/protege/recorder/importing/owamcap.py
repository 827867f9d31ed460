"""OWAMcap (Open World Agents' ocap): a .mcap of screen, keyboard, mouse and window messages beside an .mkv.

Checked on recordings of versions 0.3.2 and 0.4.2. Two things about them shape this reader. A screen message's `pts`
says which picture of the video it means, but not when it was taken: it lags by one picture, up to a second on a still
screen, so that letters appear before their key. The message's own time is right and is what we use; a picture of the
video that no message names has no known time and is left out. And the screen is sent only when it changes, so the
pictures are resampled to a fixed rate, the newest one standing until the next, though not for long.

Where pictures or key events are missing, another window was active, or the clock was set back, the session has a break.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from protege.core.events import Motion
from protege.core.files import component, is_component
from protege.core.session import SessionInfo, SessionWriter, staged_session
from protege.core.text import one_line
from protege.errors import ProtegeError, UserError
from protege.recorder.importing.breaks import Break, cut_events, merged, outside, resample
from protege.recorder.importing.common import DEFAULT_FPS, Count, Imported, Wanted, imported, libraries
from protege.recorder.importing.decode import Pictures, Ticks, decode_video, jpeg_of, size_of
from protege.recorder.importing.owamcap_checks import (
    button_changes,
    game_window,
    key_changes,
    own_changes,
    require_pictures_in_order,
    window_breaks,
)
from protege.recorder.importing.owamcap_messages import NOT_OWAMCAP, Recording, messages, read_mcap, take

PTS_TOLERANCE_NS: Final = 2_000_000
"""Matroska keeps milliseconds, the messages nanoseconds."""
MAX_TOPICS: Final = 20


def matched_pictures(recording: Recording, frames: Ticks, counts: Counter[str]) -> Pictures:
    """(time, picture) of every screen message, None where its picture is not in the video.

    Messages and frames come in order of pts; a message of another video than the first has no picture.
    """
    ours = [(t, pts) for t, pts, uri in recording.screens if uri == recording.video]
    strangers = sorted(t for t, _, uri in recording.screens if uri != recording.video)
    counts["messages_of_another_video"] += len(strangers)
    foreign = iter(strangers)
    ahead = next(foreign, None)
    last_ns = -1
    for t_ns, frame in _by_pts(sorted(ours, key=lambda screen: screen[1]), frames, counts):
        if t_ns <= last_ns:
            continue
        while ahead is not None and ahead < t_ns:
            yield ahead, None
            ahead = next(foreign, None)
        last_ns = t_ns
        yield t_ns, frame
    if ahead is not None:
        yield ahead, None


def _by_pts(screens: list[tuple[int, int]], frames: Ticks, counts: Counter[str]) -> Pictures:
    rest = iter(screens)
    screen = next(rest, None)
    for pts, frame in frames:
        while screen is not None and screen[1] < pts - PTS_TOLERANCE_NS:
            counts["messages_without_picture"] += 1
            yield screen[0], None
            screen = next(rest, None)
        if screen is None or screen[1] > pts + PTS_TOLERANCE_NS:
            counts["pictures_without_message"] += 1
            continue
        counts["pictures"] += 1
        yield screen[0], frame
        screen = next(rest, None)
    while screen is not None:
        counts["messages_without_picture"] += 1
        yield screen[0], None
        screen = next(rest, None)


def import_owamcap(path: Path, wanted: Wanted) -> Imported:
    """One session of an .mcap and its video, at `fps` (10 unless asked otherwise)."""
    folder = wanted.folder(path, path.stem)
    recording = read_mcap(path)
    require_pictures_in_order(path, recording)
    video, others = video_of(path, recording)
    stop_ns = max(recording.last_ns, recording.screens[-1][0]) + 1
    if wanted.space.look and not recording.counts["mouse/raw"]:
        raise UserError(
            f"{path}: its mouse was not recorded as raw motion (no messages of mouse/raw), and {wanted.space.name} is "
            "looked around in with the mouse; expected ocap 0.5 or newer, import it for a game without"
        )
    keys = key_changes(recording, wanted.space, stop_ns)
    elsewhere = window_breaks(recording, stop_ns)
    pictures = Counter[str]()
    with staged_session(folder, "protege import") as part:
        shown = matched_pictures(recording, decode_video(video), pictures)
        first = next(((t_ns, frame) for t_ns, frame in shown if frame is not None), None)
        if first is None:
            raise UserError(f"{video}: no picture of it is named in {path.name}; expected the video of that recording")
        info = _info(path, recording, wanted, wanted.size or size_of(first[1]), first[0])
        known = [one for one in merged([*recording.breaks, *elsewhere, *keys.breaks]) if one.stop_ns > first[0]]
        with SessionWriter(part, info) as writer:
            missing: list[Break] = []
            ticks = resample(itertools.chain([first], shown), info.period_ns, stop_ns, missing)
            _write(video, writer, outside(ticks, known), lambda: wanted.report(folder.name, writer.frame_count))
            breaks = merged([*known, *missing])
            if not writer.frame_count:
                raise UserError(f"{path}: nothing of it can be used; {breaks[0].text(first[0])}")
            pressed = [*keys.changes, *button_changes(recording, wanted.space, info.period_ns)]
            pressed.sort(key=lambda change: change.t_ns)
            moved = [Motion(*move) for move in recording.moves] if wanted.space.look else []
            for event in cut_events([*own_changes(pressed, elsewhere), *moved], breaks, first[0], stop_ns):
                writer.event(event)
            counts = _counts(recording, keys.counts, pictures, breaks)
            counts |= {"video": video.name, "not_taken": " ".join(others)} if others else {}
            writer.finish(extra={"counts": counts, **_unmatched(pictures)})
        return imported(folder, part, "owamcap", counts, breaks, first[0])


def _write(video: Path, writer: SessionWriter, ticks: Ticks, report: Callable[[], None]) -> None:
    encoded, jpeg = None, b""
    for t_ns, frame in ticks:
        # A still screen repeats its picture at every tick: encoded once, it is also byte for byte the same.
        if frame is not encoded:
            encoded, jpeg = frame, jpeg_of(frame, writer.info.frame_size, video)
        writer.frame(t_ns, jpeg)
        report()


def _counts(
    recording: Recording, keys: Counter[str], pictures: Counter[str], breaks: Sequence[Break]
) -> dict[str, Count]:
    counts: dict[str, Count] = {f"key_events_{name}": keys[name] for name in ("kept", "outside", "repeats")}
    counts |= {name: count for name, count in sorted(pictures.items()) if count}
    counts |= {f"{one_line(topic, 30)}_messages": count for topic, count in recording.counts.most_common(MAX_TOPICS)}
    if breaks:
        counts["seconds_left_out"] = round(sum(one.stop_ns - one.start_ns for one in breaks) / 1e9, 1)
    if recording.truncated:
        counts["mcap_cut_off"] = True
    return counts


def _unmatched(pictures: Counter[str]) -> dict[str, int]:
    """For the verdict: messages and pictures that do not belong to each other, and how many there are of both."""
    missing = pictures.total() - pictures["pictures"]
    return {"pictures_missing": missing, "pictures_claimed": pictures.total()}


def _info(path: Path, recording: Recording, wanted: Wanted, size: tuple[int, int], start_ns: int) -> SessionInfo:
    window = None
    if recording.windows:
        title, handle = game_window(recording, recording.last_ns)
        rects = Counter(rect for _, t, rect, number in recording.windows if t == title or number == handle is not None)
        left, top, right, bottom = rects.most_common(1)[0][0]
        window = {"title": title, "left": left, "top": top, "width": right - left, "height": bottom - top}
    return SessionInfo(
        space=wanted.space,
        frame_hz=wanted.fps or DEFAULT_FPS,
        frame_size=size,
        source="import:owamcap",
        window=window,
        # Their times are wall-clock times, so both are the same number.
        clock={"wall_ns": start_ns, "monotonic_ns": start_ns},
        libraries=libraries(),
        extra={"file": path.name},
    )


def video_of(path: Path, recording: Recording) -> tuple[Path, list[str]]:
    """The video of an .mcap, and the names of others that could be it and are not taken.

    First the one that it names: a path of plain folders below the .mcap's own, or only its last part, wherever the
    recording was made; then one of the same stem.
    """
    parts = (recording.video or "").replace("\\", "/").split("/")
    candidates: list[Path] = []
    if recording.video:
        if all(is_component(part) for part in parts):
            candidates.append(path.parent.joinpath(*parts))
        candidates.append(component(path.parent, parts[-1], path, "the video's name"))
        stem = candidates[-1].stem
        candidates += [path.parent / f"{stem}{suffix}" for suffix in (".mkv", ".mp4")]
    candidates += [path.with_suffix(".mkv"), path.with_suffix(".mp4")]
    there = [video for video in dict.fromkeys(candidates) if video.is_file()]
    if not there:
        raise UserError(f"{path}: its video {candidates[0].name} is not beside it; copy it into {path.parent}")
    return there[0], [video.relative_to(path.parent).as_posix() for video in there[1:]]


def video_beside(path: Path) -> Path | None:
    """The video that an .mcap would be imported with, read no further than its first screen message."""
    recording = Recording()
    try:
        for topic, t_ns, data in messages(path, {}, recording):
            take(recording, topic, t_ns, data)
            if recording.screens:
                return video_of(path, recording)[0]
    except (ProtegeError, OSError, *NOT_OWAMCAP):
        pass  # importing it says what is wrong
    return None
