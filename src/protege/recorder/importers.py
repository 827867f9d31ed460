"""`protege import`: recordings made by other tools, whatever their kind, become ordinary Sessions."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.files import regular_size
from protege.errors import MissingExtra, ProtegeError, UserError
from protege.recorder.importing.common import Imported, Progress, Wanted
from protege.recorder.importing.origin import find_pictures, import_origin
from protege.recorder.importing.owamcap import import_owamcap, video_beside
from protege.recorder.importing.video import SUFFIXES, import_video

__all__ = ["Imported", "import_each"]

EXPECTED = (
    "expected <session>_<ms>.jpg with .json beside it (a folder of them), an OWAMcap .mcap with its .mkv, "
    "or a video (.mp4 .mkv .webm .mov .avi)"
)


Job = Callable[[], Imported]


def import_each(
    source: Path,
    out: Path,
    *,
    fps: float | None = None,
    size: tuple[int, int] | None = (640, 480),
    space: ActionSpace = KEYBOARD_12,
    progress: Progress | None = None,
) -> Iterator[Imported]:
    """Import a file, or everything in a folder, into sessions under `out`, one after another; the kind is found out.

    fps: None keeps the origin's own frames and gives 10 a second of a video; size: (width, height), None for the
    recording's own. Each session appears whole or not at all. UserError says what was found and what to do: at once
    where nothing can be imported, else at the end, when everything that can be imported has been.
    """
    wanted = Wanted(out, fps, size, space, progress)
    return _each(_jobs_of_folder(source, wanted) if source.is_dir() else [_job_of_file(source, wanted)], out)


def _each(jobs: Sequence[Job], out: Path) -> Iterator[Imported]:
    """What the jobs make; those that fail do not keep the others from it, and are named at the end."""
    failed: list[ProtegeError] = []
    for job in jobs:
        try:
            yield job()
        except MissingExtra:  # the next one would miss it, too
            raise
        except ProtegeError as error:
            failed.append(error)
        except OSError as error:
            failed.append(ProtegeError(f"{error.filename or out}: {error.strerror}"))
    if len(jobs) == 1 and failed:
        raise failed[0]
    if failed:
        kept = "; the others are imported and kept" if len(failed) < len(jobs) else ""
        why = "; ".join(f"({number}) {error}" for number, error in enumerate(failed, 1))
        kind = UserError if all(isinstance(error, UserError) for error in failed) else ProtegeError
        raise kind(f"{len(failed)} of {len(jobs)} recordings cannot be imported{kept}: {why}")


def _job_of_file(source: Path, wanted: Wanted) -> Job:
    try:
        regular_size(source)
    except FileNotFoundError:
        raise UserError(f"{source}: not found; {EXPECTED}") from None
    except ValueError as error:
        raise UserError(f"{source}: {error}; {EXPECTED}") from None
    if source.suffix.lower() in SUFFIXES and source.with_suffix(".mcap").is_file():
        source = source.with_suffix(".mcap")
    if source.suffix.lower() == ".mcap":
        return partial(import_owamcap, source, wanted)
    if source.suffix.lower() in SUFFIXES:
        return partial(import_video, source, wanted)
    if find_pictures(source.parent) and source.suffix.lower() in {".jpg", ".jpeg", ".json"}:
        raise UserError(f"{source}: one frame of a recording; give its folder: protege import {source.parent}")
    raise UserError(f"{source}: not a recording that can be imported; {EXPECTED}")


def _jobs_of_folder(source: Path, wanted: Wanted) -> list[Job]:
    if (source / "session.json").exists():
        raise UserError(f"{source}: already a session of ours; use it as it is, or copy the folder into {wanted.out}")
    if sessions := find_pictures(source):
        return [partial(import_origin, name, pictures, source, wanted) for name, pictures in sessions.items()]
    # Hidden files are other systems' (macOS leaves `._NAME` beside every file on a foreign disk).
    files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    mcaps = [path for path in files if path.suffix.lower() == ".mcap"]
    stems, taken = {path.stem for path in mcaps}, {video_beside(path) for path in mcaps}
    videos: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        if path.suffix.lower() in SUFFIXES and path.stem not in stems and path not in taken:
            videos[path.stem].append(path)
    if not mcaps and not videos:
        raise UserError(f"{source}: nothing in it that can be imported; {EXPECTED}")
    return [partial(import_owamcap, path, wanted) for path in mcaps] + [
        partial(import_video, first, wanted, tuple(path.name for path in others)) for first, *others in videos.values()
    ]
