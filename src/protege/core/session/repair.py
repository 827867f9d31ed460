"""Checks a session to its last picture, and mends it without touching what is good."""

from dataclasses import replace
from pathlib import Path

from protege.core.frame import decode_jpeg
from protege.core.session.info import RECORDING, RECOVERED, SessionError
from protege.core.session.lock import require_finished
from protege.core.session.reader import Problem, Session, scan
from protege.core.session.writer import event_lines, frame_line


def _bad_frames(session: Session) -> dict[int, str]:
    """Positions of the frames whose JPEG is missing or does not decode, each with what was found."""
    bad: dict[int, str] = {}
    for i in range(len(session)):
        try:
            decode_jpeg(session.path(i))
        except FileNotFoundError:
            bad[i] = "missing"
        except OSError as error:
            bad[i] = f"damaged ({error})"
    return bad


def check(folder: Path) -> list[Problem]:
    """Everything wrong with a session, its pictures included; an empty list means it is sound."""
    require_finished(folder)
    session, problems = scan(folder)
    problems += [Problem(str(session.path(i)), why, "repairing drops it") for i, why in _bad_frames(session).items()]
    if session.info.status == RECORDING:
        problems.append(Problem(f"{folder}/session.json", "the recording was cut off", "repairing closes it"))
    elif session.info.frames != len(session):
        found = f"{session.info.frames} frames promised, {len(session)} found"
        problems.append(Problem(f"{folder}/session.json", found, "repairing counts again"))
    if not len(session):
        problems.append(Problem(f"{folder}/frames.jsonl", "no frames", "nothing to repair; remove it"))
    return problems


def repair(folder: Path) -> list[Problem]:
    """Make a session sound again without touching what is good; returns what was wrong.

    Damaged pictures and the files as they were are kept in the session's folder `damaged/`.
    """
    if not (problems := check(folder)):
        return []
    session, _ = scan(folder)
    bad = _bad_frames(session)
    keep = [i for i in range(len(session)) if i not in bad]
    if not keep:
        raise SessionError(f"{folder}: no readable frame, nothing to repair; remove it with: protege sessions delete")
    damaged = _new_folder(folder / "damaged")
    for i in bad:
        if session.path(i).exists():
            session.path(i).replace(damaged / session.path(i).name)
    frames = "".join(frame_line(int(session.numbers[i]), int(session.t_ns[i])) for i in keep)
    events = event_lines(session.events)
    for name, text in (("frames.jsonl", frames), ("events.jsonl", events)):
        _replace_text(folder / name, text, damaged)
    (folder / "reserve").unlink(missing_ok=True)
    replace(session.info, status=RECOVERED, frames=len(keep)).save(folder)
    return problems


def _replace_text(path: Path, text: str, damaged: Path) -> None:
    """Put `text` in a file's place if it differs, keeping the file as it was in `damaged`."""
    data = text.encode()
    if path.exists():
        if path.read_bytes() == data:
            return
        (damaged / path.name).write_bytes(path.read_bytes())
    beside = path.with_suffix(".part")
    beside.write_bytes(data)
    beside.replace(path)


def _new_folder(path: Path) -> Path:
    """`path`, or path_2, path_3 … where it exists: what an earlier repair put aside stays."""
    number = 2
    made = path
    while made.exists():
        made = path.with_name(f"{path.name}_{number}")
        number += 1
    made.mkdir()
    return made
