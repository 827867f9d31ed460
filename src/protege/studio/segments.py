"""The labeled segments as the pages show them: listed quickly, with a strip of pictures each."""

import hashlib
import os
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

import numpy as np
from PIL import Image

from protege.core.fields import is_int, is_number
from protege.core.files import read_json
from protege.core.labeled import ASIDE, LABELED, NEEDS_REVIEW, NO_SAMPLES, SEGMENT, frame_name, segment_order
from protege.core.transaction import settle
from protege.labeling.contact_sheet import jpeg, shrunk

PICTURES: Final = 8
"""Of a strip, which a page shows one after the other."""
THUMBNAIL: Final = (192, 144)
QUALITY: Final = 72
LABELED_SEGMENTS: Final = "labeled_segments"
NOT_LABELED: Final = ("raw_playthrough", "agent_runs")
"""Folders beside it that need not be looked through."""
KEPT: Final = 300
"""Strips in memory; each has some 40 KB."""
FILTERS: Final[Mapping[str, str]] = {
    "review": "needs review",
    "unseen": "not looked at yet",
    "differ": "two models differ",
    "seen": "decided by a person",
    "aside": "set aside",
    "all": "all",
}


@dataclass(frozen=True)
class Card:
    """A segment as it is listed. version: changes when its file does; problem: why it cannot be read, or ""; other,
    other_by: the goal that another model gave the same frames in another labeled set, "" where none gave another one.
    """

    name: str
    version: str
    session: str = ""
    start: int = 0
    stop: int = 0
    goal: str = ""
    status: str = NEEDS_REVIEW
    why: str = ""
    by: str = ""
    seconds: float = 0.0
    seen: bool = False
    problem: str = ""
    other: str = ""
    other_by: str = ""

    @property
    def id(self) -> str:
        return identity(self.name)

    @property
    def state(self) -> str:
        """What a person is to see first: "broken", "review", "aside", "keyless", "seen" or "unseen"."""
        if self.problem:
            return "broken"
        if self.status == NEEDS_REVIEW:
            return "review"
        if self.status == NO_SAMPLES:
            return "aside" if self.why == ASIDE else "keyless"
        return "seen" if self.seen else "unseen"

    @classmethod
    def read(cls, folder: Path, version: str) -> Self:
        """What a page shows of a segment.json; nothing else in it is looked at, since there may be thousands."""
        try:
            fields = read_json(folder / SEGMENT)
            return cls(folder.name, version, **_shown(fields))
        except (OSError, ValueError, KeyError, TypeError) as error:
            return cls(folder.name, version, problem=f"{SEGMENT} cannot be read ({error})"[:200])


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a card; KeyError, TypeError or ValueError if they are not those of a segment."""
    start, stop, hz = (fields[name] for name in ("start", "stop", "frame_hz"))
    texts = {name: fields[name] for name in ("session", "goal", "why", "by")}
    numbers = is_int(start) and is_int(stop) and is_number(hz) and hz > 0
    if not numbers or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its fields are not those of a segment")
    if fields["status"] not in (LABELED, NEEDS_REVIEW, NO_SAMPLES):
        raise ValueError("its status is none of ours")
    seen = fields.get("seen") is True
    found = {"start": start, "stop": stop, "status": fields["status"], "seconds": (stop - start) / hz, "seen": seen}
    return {**texts, **found}


def identity(name: str) -> str:
    """The name that pages use for a file or folder: no part of a path, whatever it is called."""
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


class Segments:
    """The segments in a folder; what has not changed is not read again.

    Labeled sets that lie beside it (`protege label --out dataset/NAME`) are where other models' goals are from.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = Lock()
        self._cards: dict[str, Card] = {}
        self._names: dict[str, str] = {}
        self._strips: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._sets: dict[Path, Segments] = {}
        self._others: dict[tuple[str, int, int], list[Card]] = {}

    def all(self) -> list[Card]:
        """Every segment, in order of session and number."""
        others = self._beside()
        with self._lock:
            self._others = others
            versions = self._versions()
            order = list(self._cards)
            if versions.keys() != self._cards.keys():
                order = sorted(versions, key=lambda name: segment_order(Path(name)))
            self._cards = {name: self._card(name, versions[name]) for name in order}
            if set(self._names.values()) != versions.keys():
                self._names = {identity(name): name for name in versions}
            return [self._compared(card) for card in self._cards.values()]

    def named(self, id_: str) -> Card | None:
        """The segment with this identity as it is now, or None."""
        if id_ not in self._names:
            self.all()
        with self._lock:
            name = self._names.get(id_)
            if name is None or not (self.root / name / SEGMENT).is_file():
                return None
            self._cards[name] = card = self._card(name, _version(str(self.root / name)))
            return self._compared(card)

    def _beside(self) -> dict[tuple[str, int, int], list[Card]]:
        """What other labeled sets say, by session, start and stop."""
        found: dict[tuple[str, int, int], list[Card]] = {}
        folders = (
            sorted(self.root.parent.iterdir()) if self.root.name == LABELED_SEGMENTS and self.root.is_dir() else []
        )
        for folder in folders:
            if folder == self.root or folder.name in NOT_LABELED or not any(folder.glob(f"*/{SEGMENT}")):
                continue
            for card in self._sets.setdefault(folder, Segments(folder)).all():
                found.setdefault((card.session, card.start, card.stop), []).append(card)
        return found

    def _compared(self, card: Card) -> Card:
        """The card with another model's goal, where nobody has decided between them yet."""
        if card.state in ("broken", "seen", "aside", "keyless"):
            return card
        for other in self._others.get((card.session, card.start, card.stop), ()):
            if other.by != card.by and other.goal and _plain(other.goal) != _plain(card.goal):
                return replace(card, other=other.goal, other_by=other.by)
        return card

    def _versions(self) -> dict[str, str]:
        """The versions of all segments by name. One look at each: there may be thousands, and a page waits for them."""
        if not self.root.is_dir():
            return {}
        settle(self.root)
        with os.scandir(self.root) as entries:
            found = {entry.name: _version(entry.path) for entry in entries if not entry.name.startswith(".")}
        return {name: version for name, version in found.items() if version}

    def _card(self, name: str, version: str) -> Card:
        known = self._cards.get(name)
        return known if known is not None and known.version == version else Card.read(self.root / name, version)

    def strip(self, card: Card) -> bytes:
        """JPEG of PICTURES pictures of a segment side by side, each THUMBNAIL large; OSError if none can be read."""
        key = (card.name, card.version)
        with self._lock:
            if key in self._strips:
                self._strips.move_to_end(key)
                return self._strips[key]
        made = _strip(self.root / card.name, max(1, card.stop - card.start))
        with self._lock:
            self._strips[key] = made
            while len(self._strips) > KEPT:
                self._strips.popitem(last=False)
        return made


def _version(folder: str) -> str:
    """Of a segment's file; "" where there is none."""
    try:
        info = os.stat(f"{folder}/{SEGMENT}")  # noqa: PTH116 (a Path for each takes longer than the look)
    except OSError:
        return ""
    return f"{info.st_mtime_ns:x}-{info.st_ino:x}"


def _plain(goal: str) -> str:
    """A goal as it is compared: models differ in capitals and full stops, which is no disagreement."""
    return " ".join(goal.casefold().strip(" .!").split())


def _strip(folder: Path, frames: int) -> bytes:
    width, height = THUMBNAIL
    sheet = Image.new("RGB", (PICTURES * width, height))
    frames = min(frames, 1_000_000)
    for i, number in enumerate(np.linspace(0, frames - 1, PICTURES).round().astype(int).tolist()):
        try:
            picture = shrunk(folder / frame_name(number), width)
        except OSError:
            continue  # the strip shows black there
        picture.thumbnail(THUMBNAIL)
        sheet.paste(picture, (i * width + (width - picture.width) // 2, (height - picture.height) // 2))
    return jpeg(sheet, QUALITY)


def chosen(cards: list[Card], show: str, goal: str = "", by: str = "") -> list[Card]:
    """The cards that a page is to show."""
    kept = [c for c in cards if show == "all" or show in shown_in(c)]
    return [c for c in kept if (not goal or c.goal == goal) and (not by or c.by == by)]


def shown_in(card: Card) -> list[str]:
    """The FILTERS that show a card, but for "all"."""
    return ["aside" if card.state == "keyless" else card.state, *(["differ"] if card.other else [])]


def counts(cards: list[Card]) -> dict[str, int]:
    """How many segments each of FILTERS shows."""
    found = Counter(name for card in cards for name in shown_in(card))
    return {name: len(cards) if name == "all" else found[name] for name in FILTERS}
