"""Checks a session to its last picture, and mends it without touching what is good."""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from protege.core.events import Pause
from protege.core.files import free, locked, move, write_text
from protege.core.frame import decode_jpeg, open_picture
from protege.core.session.info import RECORDING, RECOVERED, SessionError
from protege.core.session.lock import require_finished
from protege.core.session.reader import Problem, Session, jumps, scan
from protege.core.session.writer import event_lines, frame_line

JUMP: Final = "jump"
"""Why a repaired session pauses where its clock jumped."""


def _bad_frames(session: Session, size: tuple[int, int]) -> dict[int, str]:
    """Positions of the frames whose JPEG is missing, does not decode or has another size, with what was found."""
    bad: dict[int, str] = {}
    for i in range(len(session)):
        try:
            decode_jpeg(session.path(i), size)
        except FileNotFoundError:
            bad[i] = "missing"
        except OSError as error:
            bad[i] = f"damaged ({error})"
    return bad


def _look(session: Session) -> tuple[tuple[int, int], dict[int, str]]:
    """The size that the pictures have, and `_bad_frames`. Where none has the size that session.json claims, that is
    wrong and not they.
    """
    bad = _bad_frames(session, session.info.frame_size)
    if len(bad) == len(session) and (size := _first_size(session)) is not None:
        others = _bad_frames(session, size)
        if len(others) < len(session):
            return size, others
    return session.info.frame_size, bad


def _first_size(session: Session) -> tuple[int, int] | None:
    for i in range(len(session)):
        with suppress(OSError), open_picture(session.path(i)) as image:
            return image.size
    return None


def check(folder: Path) -> list[Problem]:
    """Everything wrong with a session, its pictures included; an empty list means it is sound."""
    return _check(folder)[0]


def _check(folder: Path) -> tuple[list[Problem], Session, tuple[int, int], dict[int, str]]:
    """Also what is good, the size of its pictures and the frames that are not good."""
    require_finished(folder)
    session, problems = scan(folder)
    size, bad = _look(session)
    description = f"{folder}/session.json"
    if size != session.info.frame_size:
        found = "frame_size is {}x{}, but the pictures have {}x{}".format(*session.info.frame_size, *size)
        problems.append(Problem(description, found, "repairing writes what they have"))
    problems += [Problem(str(session.path(i)), why, "repairing drops it") for i, why in bad.items()]
    if session.info.status == RECORDING:
        problems.append(Problem(description, "the recording was cut off", "repairing closes it"))
    elif session.info.frames != len(session):
        found = f"{session.info.frames} frames promised, {len(session)} found"
        problems.append(Problem(description, found, "repairing counts again"))
    if len(bad) == len(session):
        remove = f"nothing to repair; remove it with: protege sessions delete {folder}"
        problems.append(Problem(f"{folder}/frames.jsonl", "no frame that can be read", remove, mendable=False))
    return problems, session, size, bad


def repair(folder: Path) -> list[Problem]:
    """Make a session sound again without touching what is good; returns what was wrong.

    Damaged pictures and the files as they were are kept in the session's folder `damaged/`. Raises SessionError where
    nothing is left to repair, `Locked` while somebody else repairs it.
    """
    with locked(folder, "protege doctor --repair"):
        problems, session, size, bad = _check(folder)
        for problem in problems:
            if not problem.mendable:
                raise SessionError(str(problem))
        if not problems:
            return []
        keep = [i for i in range(len(session)) if i not in bad]
        damaged = free(folder / "damaged")  # what an earlier repair put aside stays
        damaged.mkdir()
        for path in (session.path(i) for i in bad):
            if os.path.lexists(path):
                move(path, damaged / path.name)
        events = [*session.events]
        for i in jumps(session.t_ns[keep], events):
            events.append(Pause(int(session.t_ns[keep[i - 1]]) + session.info.period_ns, JUMP))
        events.sort(key=lambda event: event.t_ns)
        frames = "".join(frame_line(int(session.numbers[i]), int(session.t_ns[i])) for i in keep)
        for name, text in (("frames.jsonl", frames), ("events.jsonl", event_lines(events))):
            _replace_text(folder / name, text, damaged)
        (folder / "reserve").unlink(missing_ok=True)
        # Last, since it says that everything else is mended.
        replace(session.info, status=RECOVERED, frames=len(keep), frame_size=size).save(folder)
        return problems


def _replace_text(path: Path, text: str, damaged: Path) -> None:
    """Put `text` in a file's place if it differs, keeping the file as it was in `damaged`."""
    if path.is_file():
        if path.stat().st_size == len(text.encode()) and path.read_bytes() == text.encode():
            return
        # Copied, not moved: the session needs its file until the new one takes its place in one step.
        shutil.copyfile(path, damaged / path.name)
    elif os.path.lexists(path):
        move(path, damaged / path.name)  # a pipe, a device, a folder
    write_text(path, text)
