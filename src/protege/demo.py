"""See it work: the built-in game in a window, played by a script with real keys; recorded, labeled and reported on."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from protege.arena.annotate import add_goals
from protege.bench import stage
from protege.errors import ProtegeError, UserError
from protege.labeling import Given, LabelOptions, LabelResult, label
from protege.labeling.report import Report, write_report
from protege.play import quality
from protege.play.quality import Quality
from protege.play.session import SessionError, SessionInfo
from protege.recorder.editing import delete

NAME: Final = "demo"
MARK: Final = "demo"
"""In a session's `extra`: the demo made it, and may replace it."""
MARGIN_S: Final = 60.0
"""For starting and ending."""


@dataclass(frozen=True)
class Demo:
    """What the demo made: a recording, how good it is, and how many goals were played in it."""

    session: Path
    quality: Quality
    goals: int


def record(out: Path, seconds: float, say: Callable[[str], None] = lambda text: None) -> Demo:
    """Record the built-in game for some seconds, played through real key events; on the real screen if there is one.

    It appears whole or not at all; a demo recording that is there already is moved to .trash.
    """
    session = out / NAME
    _may_replace(session)
    out.mkdir(parents=True, exist_ok=True)
    # On the disk of `out`, so that the finished recording only needs to be renamed; hidden, so that nobody reads it.
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=out) as folder, stage.any_display() as display:
        work = Path(folder)
        say(f"the arena opens on {display}; a scripted player presses real keys for {seconds:g} s")
        with (
            stage.arena_player(work, stage.SEED, seconds=seconds + MARGIN_S) as player,
            stage.process(*stage.recorder(work, NAME, "--stop-after", f"{seconds:g}")) as recorder,
        ):
            stage.finished(recorder, seconds + MARGIN_S)
            stage.stop(player)
        goals = add_goals(work / NAME, work / "log.jsonl")
        judged = quality.judge(work / NAME)
        info = SessionInfo.load(work / NAME)
        replace(info, extra={**info.extra, MARK: True}).save(work / NAME)
        _may_replace(session)
        if session.exists():
            delete(session)
        (work / NAME).replace(session)
    return Demo(session, judged, goals)


def _may_replace(session: Path) -> None:
    """UserError if something lies in the demo's place that the demo has not made."""
    if not session.exists():
        return
    try:
        ours = SessionInfo.load(session).extra.get(MARK) is True
    except (SessionError, OSError):
        ours = False
    if not ours:
        raise UserError(f"{session}: not a recording of the demo, so it stays; rename it, or give another --out")


def label_and_report(session: Path, out: Path) -> tuple[LabelResult, Report]:
    """Label the recording with the goals that the game stored, and look at the training data."""
    result = label([session], out, Given(), LabelOptions(redo=True))
    if result.problems:
        raise ProtegeError(f"the demo's recording cannot be labeled: {result.problems[0]}")
    return result, write_report(out)
