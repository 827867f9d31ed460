"""Is this recording worth learning from? Figures about a session, and every reason against it in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.events import NEVER_NS, PAUSES, Key, Pause, gaps
from protege.core.fields import is_number
from protege.core.files import Json
from protege.core.frame import open_picture
from protege.core.session import Session

MIN_FPS_SHARE: Final = 0.9
MAX_DROPPED: Final = 0.02
MIN_ACTIVE: Final = 0.05
"""Hardly any keys: fewer than one frame in twenty holds a key. Somebody who plays, even slowly, holds one in half of
them; below a twentieth (3 s in a minute) a model learns that standing still is right."""
MAX_UNKNOWN: Final = 0.05
"""Share of key presses that were of keys nobody knows: the keyboard is not what the recorder takes it for."""
MAX_OUTSIDE: Final = 0.02
"""Share of the picture that was not on the screen and is black."""
MAX_MISSING: Final = 0.05
"""Share of an imported recording's pictures that could not be matched or decoded."""
MAX_BREAKS_A_MINUTE: Final = 1.0
"""Breaks where something is missing, as against those that a player makes; the first is forgiven."""
UNWANTED: Final = frozenset({"gap", "pictures", "keys", "clock", "silence"})
"""Why a recording paused although nobody wanted it."""
SEGMENT_S: Final = 4.0
"""Length of a labeled segment, for the estimate of what an hour gives."""
SAMPLED_FRAMES: Final = 32
SAME: Final = 3
"""Grey levels by which no pixel of two equal pictures differs; JPEG noise of a still picture stays below."""
FLAT: Final = 8
"""Grey levels between the darkest and the brightest pixel of a picture that shows nothing."""
BLACK: Final = 16


@dataclass(frozen=True)
class PerHour:
    """What one hour of such a recording gives the labeler."""

    segments: int
    samples: int


@dataclass(frozen=True)
class Quality:
    """minutes: recorded, pauses left out; fps: real, target_fps: intended; dropped, idle and key_shares: shares of
    frames, 0 to 1; presses: how often a key went down; reasons: what is wrong, in words (empty: good).
    """

    minutes: float
    frames: int
    fps: float
    target_fps: float
    dropped: float
    key_shares: dict[str, float]
    idle: float
    presses: int
    per_hour: PerHour
    reasons: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.reasons


def assess(session: Session) -> Quality:
    """Figures and verdict of a session; decodes at most 32 of its frames, at a fraction of their size."""
    info, frames = session.info, len(session)
    rows = session.actions()
    seconds = session.duration_s
    fps = frames / seconds
    dropped = info.dropped / (info.dropped + frames)
    shares = {key: float(rows[:, column].mean()) for column, key in enumerate(info.space.pressable)}
    reasons = [
        *_rate_reasons(fps, info.frame_hz, dropped, info.dropped),
        *_break_reasons(session, seconds),
        *_missing_reasons(info.extra),
        *_key_reasons(session, rows, shares),
        *_picture_reasons(session),
    ]
    return Quality(
        minutes=seconds / 60,
        frames=frames,
        fps=fps,
        target_fps=info.frame_hz,
        dropped=dropped,
        key_shares=shares,
        idle=float(rows[:, -1].mean()),
        presses=sum(isinstance(event, Key) and event.down for event in session.events),
        per_hour=PerHour(round(3600 / SEGMENT_S), round(3600 * fps)),
        reasons=tuple(reasons),
    )


def judge(folder: Path) -> Quality:
    """Assess a session and store the verdict in its session.json."""
    session = Session.open(folder)
    quality = assess(session)
    replace(session.info, verdict=quality.reasons).save(folder)
    return quality


def _rate_reasons(fps: float, target: float, dropped: float, dropped_count: int) -> list[str]:
    reasons = []
    if fps < MIN_FPS_SHARE * target:
        reasons.append(
            f"{fps:.1f} frames a second, {100 * fps / target:.0f} % of the {target:g} wanted (at least 90 %); "
            "close other programs, or record at a lower --fps"
        )
    if dropped > MAX_DROPPED:
        reasons.append(
            f"{dropped_count} frames dropped, {100 * dropped:.1f} % (at most 2 %); "
            "record to a faster disk, or a smaller --size"
        )
    return reasons


def _break_reasons(session: Session, seconds: float) -> list[str]:
    """Breaks that nobody wanted, those of which no event tells among them."""
    before = gaps(session.t_ns, session.info.period_ns)
    pauses = [event for event in session.events if isinstance(event, Pause)]
    paused_ns = np.array([event.t_ns for event in pauses], dtype=np.int64)
    said = np.searchsorted(paused_ns, session.t_ns[before + 1]) > np.searchsorted(paused_ns, session.t_ns[before])
    breaks = Counter(PAUSES[event.pause] for event in pauses if event.pause in UNWANTED)
    breaks["frames are missing"] += int((~said).sum())
    number = breaks.total()
    if number <= max(1.0, MAX_BREAKS_A_MINUTE * seconds / 60):
        return []
    why = ", ".join(f"{why} ({count})" for why, count in breaks.most_common() if count)
    return [f"{number} breaks in {seconds / 60:.1f} min (at most one a minute): {why}; see docs/recording.md"]


def _missing_reasons(extra: Mapping[str, Json]) -> list[str]:
    """What the recorder or an importer counted as missing."""
    reasons = []
    missing, pictures = _count(extra, "pictures_missing"), _count(extra, "pictures_claimed")
    if pictures and missing > MAX_MISSING * pictures:
        reasons.append(
            f"{missing:,.0f} of {pictures:,.0f} pictures missing or not matched, {100 * missing / pictures:.0f} % "
            f"(at most {100 * MAX_MISSING:.0f} %); copy the recording again, or leave it out"
        )
    heard, unknown = _count(extra, "presses_heard"), _count(extra, "presses_unknown")
    if heard and unknown > MAX_UNKNOWN * heard:
        share = f"{100 * unknown / heard:.0f} % (at most {100 * MAX_UNKNOWN:.0f} %)"
        reasons.append(
            f"{unknown:,.0f} of {heard:,.0f} key presses were of keys that are not known, {share}; "
            "check with protege doctor that the keys are heard"
        )
    if (outside := _count(extra, "outside_screen")) > MAX_OUTSIDE:
        reasons.append(
            f"{100 * outside:.0f} % of the picture were not on the screen and are black "
            f"(at most {100 * MAX_OUTSIDE:.0f} %); move the whole window onto the screen"
        )
    return reasons


def _count(extra: Mapping[str, Json], name: str) -> float:
    """A number that a recorder counted; 0 where it did not, or where something else stands."""
    value = extra.get(name, 0)
    return float(value) if is_number(value) and 0 <= value < NEVER_NS else 0.0


def _key_reasons(session: Session, rows: NDArray[np.bool_], shares: dict[str, float]) -> list[str]:
    space = session.info.space
    if session.info.extra.get("keys") is False:
        return ["no keys: a plain video says nothing about what was pressed; it can be labeled, not learned from"]
    moved = session.motion().any(axis=1)
    active = float((~rows[:, -1] | moved).mean())
    reasons = []
    if active < MIN_ACTIVE:
        reasons.append(
            f"hardly any keys: held in {100 * active:.1f} % of the frames (at least {100 * MIN_ACTIVE:.0f} %); "
            "play with the keyboard, and check with protege doctor that keys are heard"
        )
    if space.look and not moved.any():
        reasons.append("the mouse never turned the view; look around with it while playing")
    if space.camera and not space.look and not any(shares[key] for key in space.camera):
        names = " ".join(key for key in space.pressable if key in space.camera)
        reasons.append(f"the camera keys ({names}) were never used; turn with them while playing, not with the mouse")
    return reasons


def _picture_reasons(session: Session) -> list[str]:
    """What is wrong with the pictures, judged from frames spread evenly over the session."""
    chosen = np.unique(np.linspace(0, len(session) - 1, SAMPLED_FRAMES).round().astype(int))
    grey: list[NDArray[np.int16]] = []
    for i in chosen:
        try:
            grey.append(thumbnail(session.path(int(i))))
        except OSError:
            continue
    if unread := len(chosen) - len(grey):
        repair = f"repair with: protege doctor {session.folder} --repair"
        return [f"{unread} of {len(chosen)} pictures looked at cannot be read; {repair}"]
    if all(np.ptp(picture) <= FLAT for picture in grey):
        colour = "black" if max(picture.max() for picture in grey) <= BLACK else "one flat colour"
        return [f"all frames are {colour} ({len(grey)} looked at); {_OTHER_WINDOW}"]
    if len(grey) > 1 and all(same(picture, grey[0]) for picture in grey[1:]):
        return [f"all frames are equal ({len(grey)} looked at); {_OTHER_WINDOW}"]
    return []


_OTHER_WINDOW: Final = "record the game's window itself (protege record --list-windows), not in exclusive full screen"


def thumbnail(path: Path) -> NDArray[np.int16]:
    """(h, w) grey levels of a JPEG, decoded at an eighth of its size where that is cheap."""
    with open_picture(path) as image:
        width, height = image.size
        image.draft("L", (max(1, width // 8), max(1, height // 8)))
        return np.asarray(image.convert("L"), dtype=np.int16)


def same(a: NDArray[np.int16], b: NDArray[np.int16]) -> bool:
    """Whether two pictures are equal, apart from the noise of JPEG."""
    return a.shape == b.shape and int(np.abs(a - b).max()) <= SAME


def table(quality: Quality) -> str:
    """The summary for people: a figure a line, the keys that were used, then the verdict with every reason."""
    per_hour = quality.per_hour
    rows = [
        ("length", f"{quality.minutes:.1f} min, {quality.frames:,} frames"),
        ("rate", f"{quality.fps:.2f} of {quality.target_fps:g} frames a second, {100 * quality.dropped:.1f} % dropped"),
        ("keys", f"{quality.presses:,} presses, none held in {100 * quality.idle:.0f} % of the frames"),
        ("held", shares_text(quality.key_shares)),
        ("1 hour of this", f"about {per_hour.segments:,} segments, {per_hour.samples:,} samples"),
        ("verdict", verdict_text(quality.reasons)),
        *(("", reason) for reason in quality.reasons),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows)


def verdict_text(reasons: Sequence[str] | None) -> str:
    """The verdict in a word or three: "good", "not judged", or how many reasons stand against it."""
    if reasons is None:
        return "not judged"
    if not reasons:
        return "good"
    return f"{len(reasons)} reason{'s' if len(reasons) > 1 else ''} against it"


def shares_text(shares: dict[str, float]) -> str:
    """Keys by the share of frames that hold them, most held first: "w 62 %, right 11 %"; "no key" when none is."""
    used = sorted((item for item in shares.items() if item[1] > 0), key=lambda item: -item[1])
    return ", ".join(f"{key} {'<1' if share < 0.01 else f'{100 * share:.0f}'} %" for key, share in used) or "no key"
