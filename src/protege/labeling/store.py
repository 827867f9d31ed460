"""Labeled segments on disk: segment.json, pictures and samples.jsonl, written whole or not at all.

labeled_segments/<session>_seg000/ is one segment; labeled_segments/<session>.json says that a session is done.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from protege.core import HORIZON, KEYBOARD_12, Action, ActionSpace
from protege.core.chat import PROMPT_VERSION
from protege.core.session import SessionError
from protege.errors import UserError
from protege.labeling.samples import frame_name, runs, samples, to_jsonl, unroll
from protege.labeling.segments import Aside, Segment

FORMAT_VERSION: Final = 1
LABELED, NEEDS_REVIEW, NO_SAMPLES = "labeled", "needs_review", "no_samples"
STAGING: Final = ".staging"
# EINVAL: exFAT on Windows
_NO_LINKS: Final = {getattr(errno, n) for n in ("EXDEV", "EPERM", "EMLINK", "ENOTSUP", "EACCES", "ENOSYS", "EINVAL")}


@dataclass(frozen=True)
class Shape:
    """What decides the samples of a segment, apart from its goal."""

    seconds: float = 4.0
    horizon: int = HORIZON
    chords: bool = False
    tau_ms: float = 0.0
    keep_idle: bool = False
    join: bool = False


@dataclass(frozen=True)
class LabeledSegment:
    """segment.json. start, stop: the session's frames [start, stop); goal_stop, reached: see `Segment`.

    status: "labeled", "needs_review" or "no_samples" (why says the reason); true_goal: what the game itself said;
    held, slots: what was held, and what the samples name, from `start` as far as the samples look.
    """

    name: str
    session: str
    start: int
    stop: int
    goal: str
    status: str = LABELED
    why: str = ""
    by: str = ""
    paraphrases: tuple[str, ...] = ()
    true_goal: str | None = None
    goal_stop: int = 0
    reached: bool = True
    frame_hz: float = 10.0
    shape: Shape = field(default_factory=Shape)
    space: ActionSpace = KEYBOARD_12
    held: tuple[Action, ...] = ()
    slots: tuple[Action, ...] = ()

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def segment(self) -> Segment:
        """The segment with its first frame counted as 0, as its own slots are."""
        return Segment(0, len(self), self.goal, self.goal_stop - self.start, self.reached)

    def same_as(self, other: "LabeledSegment") -> bool:
        """Whether both are about the same frames, with the same goal reaching as far."""
        return all(
            getattr(self, n) == getattr(other, n) for n in ("start", "stop", "goal", "status", "goal_stop", "reached")
        )

    def samples_text(self) -> str:
        """The text of its samples.jsonl."""
        shape = self.shape
        found = samples(self.slots, self.segment, self.goal, shape.horizon, keep_idle=shape.keep_idle)
        return to_jsonl(found, self.space)

    def to_json(self) -> dict[str, Any]:
        skip = ("space", "held", "slots", "shape")
        return {
            "format_version": FORMAT_VERSION,
            **{k: v for k, v in vars(self).items() if k not in skip},
            "prompt_version": PROMPT_VERSION,
            "shape": dict(vars(self.shape)),
            "held": runs([self.space.spell(action) for action in self.held]),
            "slots": runs([self.space.spell(action) for action in self.slots]),
            "action_space": self.space.to_json(),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError on anything else."""
        if fields["format_version"] > FORMAT_VERSION:
            raise ValueError(f"format version {fields['format_version']}; update protege")
        special = {"space", "held", "slots", "shape", "paraphrases"}
        named = {k: fields[k] for k in cls.__dataclass_fields__ if k not in special}
        space = ActionSpace.from_json(fields["action_space"])
        return cls(
            **named,
            space=space,
            shape=Shape(**fields["shape"]),
            paraphrases=tuple(fields["paraphrases"]),
            held=tuple(space.parse(text) for text in unroll(fields["held"])),
            slots=tuple(space.parse(text) for text in unroll(fields["slots"])),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """UserError if the folder holds no labeled segment that can be read."""
        path = folder / "segment.json"
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UserError(f"{folder}: no segment.json, so this is not a labeled segment; label again") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: cannot be read ({error!r}); remove {folder} and label again") from None

    def approved(self, goal: str) -> Self:
        """The segment with a goal that a person has seen. The goal is taken to be reached where the segment ends."""
        return replace(self, goal=goal, status=LABELED, why="", goal_stop=self.stop, reached=True)


@dataclass(frozen=True)
class SessionRecord:
    """<session>.json: a session is labeled, with what settings, and what was set aside.

    frames, last_t_ns: what the session was like then, to notice that it was edited since.
    """

    session: str
    folder: str
    frames: int
    last_t_ns: int
    shape: Shape
    by: str
    segments: int
    needs_review: int
    samples: int
    aside: tuple[Aside, ...] = ()
    refused: str = ""

    def save(self, out: Path) -> None:
        """Written last, and whole or not at all."""
        fields = {**vars(self), "shape": dict(vars(self.shape)), "aside": [a.to_json() for a in self.aside]}
        _replace(
            out / f"{self.session}.json", json.dumps({"format_version": FORMAT_VERSION, **fields}, indent=1) + "\n"
        )

    @classmethod
    def load(cls, out: Path, session: str) -> Self | None:
        """None where the session is not done; UserError where its record cannot be read."""
        path = out / f"{session}.json"
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            fields.pop("format_version")
            fields["shape"] = Shape(**fields["shape"])
            fields["aside"] = tuple(Aside(**piece) for piece in fields["aside"])
            return cls(**fields)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: cannot be read ({error!r}); remove it, or label with --redo") from None


def segment_name(session: str, number: int) -> str:
    return f"{session}_seg{number:03d}"


def find_segments(folder: Path) -> list[Path]:
    """The labeled segments in `folder` (or `folder` itself), in order of session and number."""
    if (folder / "segment.json").exists():
        return [folder]
    found = [path.parent for path in folder.glob("*/segment.json") if not path.parent.name.startswith(".")]
    return sorted(found, key=_order)


def _order(folder: Path) -> tuple[str, int, str]:
    session, _, number = folder.name.rpartition("_seg")
    return (session, int(number), "") if number.isdigit() else (folder.name, -1, "")


def session_segments(out: Path, session: str) -> list[Path]:
    """The folders of one session's segments."""
    return [path for path in sorted(out.glob(f"{session}_seg*"), key=_order) if _order(path)[0] == session]


def write_segment(out: Path, labeled: LabeledSegment, pictures: Sequence[Path]) -> int:
    """Write a segment's folder beside and rename it last, replacing an older one; returns how many samples it has.

    pictures: the session's JPEGs of its frames; hard links where the file system can, else copies.
    """
    staged = out / STAGING / labeled.name
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        place(picture, staged / frame_name(number))
    lines = 0
    if labeled.status == LABELED:
        text = labeled.samples_text()
        lines = text.count("\n")
        (staged / "samples.jsonl").write_text(text, encoding="utf-8")
    (staged / "segment.json").write_text(json.dumps(labeled.to_json(), indent=1) + "\n", encoding="utf-8")
    final = out / labeled.name
    if final.exists():
        remove_segment(out, final)
    staged.rename(final)
    return lines


def remove_segment(out: Path, folder: Path) -> None:
    """Take a segment away in one step, then delete it."""
    old = out / STAGING / f"{folder.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    old.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(old)
    shutil.rmtree(old)


def count_samples(folder: Path) -> int:
    """How many samples a segment's folder holds."""
    path = folder / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def approve(folder: Path, goal: str) -> int:
    """Give a segment that needs review a goal a person has seen; it is trained on from now on. Returns its samples."""
    labeled = LabeledSegment.load(folder)
    if labeled.status == NO_SAMPLES:
        raise UserError(f"{folder}: {labeled.why}, so it cannot become samples; record with keys")
    return write_segment(folder.parent, labeled.approved(goal), sorted(folder.glob("frame_*.jpg")))


def place(picture: Path, target: Path) -> None:
    """Hard-link or copy a session's JPEG; SessionError if it is missing or cut off."""
    try:
        with picture.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 64, 0))
            if (
                b"\xff\xd9" not in file.read()
            ):  # JPEG's end mark; decoding every frame would take a hundred times longer
                raise SessionError(f"{picture}: cut off ({size} bytes); repair with: {_repair(picture)}")
    except FileNotFoundError:
        raise SessionError(f"{picture}: missing; repair with: {_repair(picture)}") from None
    try:
        target.hardlink_to(picture)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(picture, target)


def _repair(picture: Path) -> str:
    return f"protege doctor {picture.parent.parent} --repair"


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
