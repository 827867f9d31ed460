"""See it work: the built-in game in a window, played by a script with real keys; recorded, labeled and reported on."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.arena.annotate import add_goals
from protege.bench import stage
from protege.errors import ProtegeError
from protege.labeling import Given, LabelOptions, LabelResult, label
from protege.labeling.report import Report, write_report
from protege.play import quality
from protege.play.quality import Quality

NAME: Final = "demo"


@dataclass(frozen=True)
class Demo:
    """What the demo made: a recording, how good it is, and how many goals were played in it."""

    session: Path
    quality: Quality
    goals: int


def record(out: Path, seconds: float, say: Callable[[str], None] = lambda text: None) -> Demo:
    """Record the built-in game for some seconds, played through real key events; on the real screen if there is one.

    A demo recording of that name that is there already is replaced.
    """
    work = out.parent / ".demo"
    for old in (work, out / NAME):
        shutil.rmtree(old, ignore_errors=True)
    with stage.any_display() as display:
        say(f"the arena opens on {display}; a scripted player presses real keys for {seconds:g} s")
        with (
            stage.arena_player(work, stage.SEED) as player,
            stage.process(*stage.recorder(out, NAME, "--stop-after", f"{seconds:g}")) as recorder,
        ):
            stage.finished(recorder, seconds + 60)
            stage.stop(player)
    goals = add_goals(out / NAME, work / "log.jsonl")
    shutil.rmtree(work)
    return Demo(out / NAME, quality.judge(out / NAME), goals)


def label_and_report(session: Path, out: Path) -> tuple[LabelResult, Report]:
    """Label the recording with the goals that the game stored, and look at the training data."""
    result = label([session], out, Given(), LabelOptions(redo=True))
    if result.problems:
        raise ProtegeError(f"the demo's recording cannot be labeled: {result.problems[0]}")
    return result, write_report(out)
