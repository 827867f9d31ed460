"""Labeled segments on disk: segment.json, pictures and samples.jsonl, written whole or not at all.

labeled_segments/<session>_seg000/ is one segment; labeled_segments/<session>.json says that a session is done.
"""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final, Self

from protege.core.files import (
    discard,
    filled,
    locked,
    own_name,
    read_bytes,
    read_json,
    recover_inside,
    regular_size,
    write_json,
)
from protege.core.labeled import (
    FORMAT_VERSION,
    LABELED,
    SAMPLES,
    SEGMENT,
    LabeledSegment,
    Shape,
    frame_name,
    segment_order,
)
from protege.core.session import SessionError
from protege.core.transaction import settle
from protege.errors import UserError
from protege.labeling.labels import samples_text
from protege.labeling.segments import Aside

STAGING: Final = ".staging"
"""Folder of the answers of sessions that are not done (see `journal`)."""
# EINVAL: exFAT on Windows
_NO_LINKS: Final = {getattr(errno, n) for n in ("EXDEV", "EPERM", "EMLINK", "ENOTSUP", "EACCES", "ENOSYS", "EINVAL")}


@dataclass(frozen=True)
class SessionRecord:
    """<session>.json: that a session is labeled, and how.

    folder: of the recording
    frames, last_t_ns: of the recording then, to notice that it was edited since
    by: who found the goals
    segments, needs_review, samples: counts
    refused: why the session gives no samples, or ""
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
        """Write it whole or not at all. Comes last: it says that all segments are there."""
        fields = {**vars(self), "shape": dict(vars(self.shape)), "aside": [a.to_json() for a in self.aside]}
        write_json(out / f"{self.session}.json", {"format_version": FORMAT_VERSION, **fields})

    @classmethod
    def load(cls, out: Path, session: str) -> Self | None:
        """None where the session is not done; UserError where its record cannot be read."""
        path = out / f"{session}.json"
        try:
            fields = read_json(path)
            if (version := fields.pop("format_version")) != FORMAT_VERSION:
                raise ValueError(f"format version {version!r}; update protege")
            own_name(out / session, fields["session"], path, "session")
            fields["shape"] = Shape.from_json(fields["shape"])
            fields["aside"] = tuple(Aside.from_json(piece) for piece in fields["aside"])
            record = cls(**fields)
            record._check()
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise UserError(f"{path}: cannot be read ({error}); remove it, or label with --redo") from None
        return record

    def _check(self) -> None:
        counts = (self.frames, self.last_t_ns, self.segments, self.needs_review, self.samples)
        if not all(type(count) is int for count in counts):
            raise TypeError("a count is no whole number")
        if not all(isinstance(text, str) for text in (self.folder, self.by, self.refused)):
            raise TypeError("folder, by or refused is no text")

    @property
    def recording(self) -> Path | None:
        """Where the recording lies, if the record may be believed; only ever to be read from.

        It ends in the session's name and lies on this machine: opening a network share would send the user's login.
        """
        folder = PurePath(self.folder)
        return Path(folder) if folder.name == self.session and not folder.drive.startswith("\\\\") else None


def session_segments(out: Path, session: str) -> list[Path]:
    """The folders of one session's segments."""
    if not out.is_dir():
        return []
    found = (p for p in out.iterdir() if p.name.startswith(f"{session}_seg") and p.is_dir())
    return [path for path in sorted(found, key=segment_order) if segment_order(path)[0] == session]


@contextmanager
def writing(out: Path, doing: str) -> Iterator[None]:
    """Hold the lock of a folder of labeled segments and clear away what killed runs left; `Locked` if it is taken."""
    settle(out)
    with locked(out, doing):
        recover_inside(out)
        yield


def write_segment(out: Path, labeled: LabeledSegment, pictures: Sequence[Path], remedy: str = "") -> int:
    """Write a segment's folder whole or not at all, replacing an older one; returns its number of samples.

    Only inside `writing`.

    pictures: the JPEGs of its frames, hard-linked where the file system can, else copied
    remedy: what to do about a bad one
    """
    lines = 0
    with filled(out / labeled.name, replace=True) as part:
        for number, picture in enumerate(pictures):
            place(picture, part / frame_name(number), remedy)
        if labeled.status == LABELED:
            text = samples_text(labeled)
            lines = text.count("\n")
            (part / SAMPLES).write_text(text, encoding="utf-8")
        write_json(part / SEGMENT, labeled.to_json())
    return lines


def remove_segment(folder: Path) -> None:
    """Take a segment away in one step, then delete it. Only inside `writing`."""
    discard(folder)


def count_samples(folder: Path) -> int:
    """Number of samples in a segment's folder; UserError if they cannot be read."""
    try:
        return read_bytes(folder / SAMPLES).count(b"\n")
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / SAMPLES}: cannot be read ({error}); remove {folder} and label again") from None


def place(picture: Path, target: Path, remedy: str = "") -> None:
    """Hard-link or copy a session's JPEG; SessionError if it is missing, cut off or no JPEG.

    Only its first and last bytes are looked at: decoding every frame would take a hundred times longer.
    """
    remedy = remedy or f"repair with: protege doctor {picture.parent.parent} --repair"
    require_jpeg(picture, remedy)
    try:
        if picture.is_symlink():  # a hard link to it would still depend on what it points to
            shutil.copyfile(picture, target)
        else:
            target.hardlink_to(picture)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(picture, target)


def require_jpeg(picture: Path, remedy: str) -> None:
    """SessionError unless a file begins and ends as a JPEG does."""
    try:
        size = regular_size(picture)
        with picture.open("rb") as file:
            head = file.read(3)
            file.seek(max(size - 64, 0))
            tail = file.read(64)
    except FileNotFoundError:
        raise SessionError(f"{picture}: missing; {remedy}") from None
    except (OSError, ValueError) as error:
        raise SessionError(f"{picture}: cannot be read ({error}); {remedy}") from None
    if size and head != b"\xff\xd8\xff"[: len(head)]:
        raise SessionError(f"{picture}: not a JPEG; {remedy}")
    if b"\xff\xd9" not in tail:
        raise SessionError(f"{picture}: cut off ({size} bytes); {remedy}")
