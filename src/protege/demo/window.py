"""The demo's first recording: the built-in game in a window, played by a script with real keys."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from protege.arena import stage
from protege.arena.annotate import add_goals
from protege.core import quality
from protege.core.quality import Quality
from protege.core.session import SessionError, SessionInfo
from protege.errors import UserError
from protege.recorder.editing import delete

MARK: Final = "demo"
"""In a session's `extra`: the demo made it, and may replace it."""
MARGIN_S: Final = 60.0
"""For starting and ending."""


@dataclass(frozen=True)
class Recorded:
    """A recording, how good it is, and how many goals were played in it."""

    session: Path
    quality: Quality
    goals: int


def record(session: Path, seconds: float, say: Callable[[str], None] = lambda text: None) -> Recorded:
    """Record the built-in game for some seconds, played through real key events; on the real screen if there is one.

    It appears whole or not at all; a demo recording that is there already is moved to .trash.
    """
    may_replace(session)
    out, name = session.parent, session.name
    out.mkdir(parents=True, exist_ok=True)
    # On the disk of `out`, so that the finished recording only needs to be renamed; hidden, so that nobody reads it.
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=out) as folder, stage.any_display() as display:
        work = Path(folder)
        say(f"the arena opens on {display}; a scripted player presses real keys for {seconds:g} s")
        with (
            stage.arena_player(work, stage.SEED, seconds=seconds + MARGIN_S) as player,
            stage.process(*stage.recorder(work, name, "--stop-after", f"{seconds:g}")) as recorder,
        ):
            stage.finished(recorder, seconds + MARGIN_S)
            stage.stop(player)
        goals = add_goals(work / name, work / "log.jsonl")
        judged = quality.judge(work / name)
        info = SessionInfo.load(work / name)
        replace(info, extra={**info.extra, MARK: True}).save(work / name)
        may_replace(session)
        if session.exists():
            delete(session)
        (work / name).replace(session)
    return Recorded(session, judged, goals)


def may_replace(session: Path) -> None:
    """UserError if something lies in the demo's place that the demo has not made."""
    if not session.exists():
        return
    try:
        ours = SessionInfo.load(session).extra.get(MARK) is True
    except (SessionError, OSError):
        ours = False
    if not ours:
        raise UserError(f"{session}: not a recording of the demo, so it stays; rename it, or give another --out")
