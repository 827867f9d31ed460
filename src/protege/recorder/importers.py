"""`protege import`: recordings made by other tools, whatever their kind, become ordinary Sessions."""

from pathlib import Path

from protege.errors import UserError
from protege.play.actions import KEYBOARD_12, ActionSpace
from protege.recorder.importing.common import Imported, Progress, Wanted
from protege.recorder.importing.origin import find_pictures, import_origin
from protege.recorder.importing.owamcap import import_owamcap
from protege.recorder.importing.video import SUFFIXES, import_video

__all__ = ["Imported", "import_recordings"]

EXPECTED = (
    "expected <session>_<ms>.jpg with .json beside it (a folder of them), an OWAMcap .mcap with its .mkv, "
    "or a video (.mp4 .mkv .webm .mov .avi)"
)


def import_recordings(
    source: Path,
    out: Path,
    *,
    fps: float | None = None,
    size: tuple[int, int] | None = (640, 480),
    space: ActionSpace = KEYBOARD_12,
    progress: Progress | None = None,
) -> list[Imported]:
    """Import a file, or everything in a folder, into sessions under `out`; the kind is found out.

    fps: None keeps the origin's own frames and gives 10 a second of a video; size: (width, height), None for the
    recording's own. Each session appears whole or not at all. UserError says what was found and what to do.
    """
    wanted = Wanted(out, fps, size, space, progress)
    if source.is_dir():
        return _import_folder(source, wanted)
    if not source.is_file():
        raise UserError(f"{source}: not found; {EXPECTED}")
    if source.suffix.lower() in SUFFIXES and source.with_suffix(".mcap").is_file():
        source = source.with_suffix(".mcap")
    if source.suffix.lower() == ".mcap":
        return [import_owamcap(source, wanted)]
    if source.suffix.lower() in SUFFIXES:
        return [import_video(source, wanted)]
    if find_pictures(source.parent) and source.suffix.lower() in {".jpg", ".jpeg", ".json"}:
        raise UserError(f"{source}: one frame of a recording; give its folder: protege import {source.parent}")
    raise UserError(f"{source}: not a recording that can be imported; {EXPECTED}")


def _import_folder(source: Path, wanted: Wanted) -> list[Imported]:
    if (source / "session.json").exists():
        raise UserError(f"{source}: already a session of ours; use it as it is, or copy the folder into {wanted.out}")
    if find_pictures(source):
        return import_origin(source, wanted)
    files = sorted(path for path in source.iterdir() if path.is_file())
    mcaps = [path for path in files if path.suffix.lower() == ".mcap"]
    taken = {path.stem for path in mcaps}
    videos = [path for path in files if path.suffix.lower() in SUFFIXES and path.stem not in taken]
    if not mcaps and not videos:
        raise UserError(f"{source}: nothing in it that can be imported; {EXPECTED}")
    return [import_owamcap(path, wanted) for path in mcaps] + [import_video(path, wanted) for path in videos]
