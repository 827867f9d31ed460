"""Where a project stands and what is next: for the studio's first page, and for `protege` alone in a terminal."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from protege.core.card import CARD_NAME, ModelCard
from protege.core.events import HUMAN
from protege.core.labeled import NEEDS_REVIEW
from protege.core.paths import shown
from protege.core.quality import verdict_text
from protege.core.session import RECORDING, Session, SessionError, SessionInfo, find_sessions
from protege.errors import UserError
from protege.studio.segments import Card, Segments
from protege.studio.verdict import metrics_of, verdict

GOAL: Final = "Go to the lantern"


@dataclass(frozen=True)
class Recording:
    """A session in a list. problem: why it cannot be read, or ""."""

    folder: Path
    minutes: float = 0.0
    frames: int = 0
    verdict: str = ""
    good: bool = False
    recording: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Run:
    """A run of the agent: its model, frames that a person played in it, and whether they are labeled."""

    folder: Path
    minutes: float
    model: str
    corrected: int
    labeled: bool


@dataclass(frozen=True)
class Model:
    """A trained model with its verdict in words. name: its folder below `models`, such as "cloning/doom"."""

    folder: Path
    name: str
    kind: str
    words: str
    good: bool
    scored: bool


@dataclass(frozen=True)
class Step:
    """What can be done next: in words, the command, and the page that does it in the studio ("" for none); work: the
    name of the long work that a button starts, or "".
    """

    what: str
    command: str
    page: str = ""
    work: str = ""


@dataclass(frozen=True)
class Where:
    """A project's contents, and for each of its four parts the step that follows from it. next: the one to take now."""

    recordings: tuple[Recording, ...]
    segments: tuple[Card, ...]
    models: tuple[Model, ...]
    runs: tuple[Run, ...]

    @property
    def minutes(self) -> float:
        return sum(r.minutes for r in self.recordings)

    @property
    def waiting(self) -> int:
        return sum(card.status == NEEDS_REVIEW for card in self.segments)

    @property
    def goals(self) -> int:
        return len({card.goal for card in self.segments if card.goal})

    @property
    def commonest(self) -> list[tuple[str, int]]:
        """Goals with the number of their segments, the commonest first."""
        return Counter(card.goal for card in self.segments if card.goal).most_common(50)

    @property
    def unlabeled(self) -> tuple[Recording, ...]:
        """Recordings no segment is of."""
        known = {card.session for card in self.segments}
        return tuple(r for r in self.recordings if not r.problem and not r.recording and r.folder.name not in known)

    @property
    def new_corrections(self) -> int:
        return sum(run.corrected for run in self.runs if not run.labeled)

    def steps(self) -> dict[str, Step]:
        """For recordings, labeled, models and runs: the step that follows from each."""
        trained = next((m for m in self.models if m.kind == "vision"), next(iter(self.models), None))
        model = f" --model {shlex.quote(shown(trained.folder))}" if trained else ""
        goal = self.commonest[0][0] if self.segments and self.commonest else GOAL
        record = Step("Record yourself playing", "protege record", "/#record")
        label = Step(_label_text(len(self.unlabeled)), "protege label", work="label")
        review = Step(
            f"Review {self.waiting} segment{'s' * (self.waiting != 1)}", "protege review", "/labels?show=review"
        )
        train = Step("Train a model on them", "protege train", work="train")
        play = Step("Let it play", f"protege play{model} --goal {shlex.quote(goal)}", "/#play" if trained else "")
        fix = Step(
            f"Label {self.new_corrections} corrected frames",
            "protege label --corrections",
            work="corrections",
        )
        return {
            "recordings": label if self.unlabeled else record,
            "labeled": review if self.waiting else train if self.segments else label,
            "models": play if self.models else train,
            "runs": fix if self.new_corrections else play,
        }

    @property
    def next(self) -> Step:
        """The one step that leads on."""
        steps = self.steps()
        if not self.recordings:
            return steps["recordings"]
        if self.unlabeled or self.waiting:
            return steps["recordings"] if self.unlabeled else steps["labeled"]
        if not self.models:
            return steps["models"]
        return steps["runs"]

    def lines(self) -> list[str]:
        """For a terminal: a line for each part, and what is next."""
        good = sum(r.good for r in self.recordings)
        corrected = sum(run.corrected for run in self.runs)
        rows = [
            ("recordings", f"{self.minutes:.1f} min in {len(self.recordings)}, {good} of them good"),
            ("labeled", f"{len(self.segments)} segments, {self.goals} goals, {self.waiting} waiting for review"),
            ("models", self.models[0].words if self.models else "none yet"),
            ("runs", f"{len(self.runs)}, {corrected} frames corrected, {self.new_corrections} of them not trained on"),
        ]
        if not self.recordings:
            rows[0] = ("recordings", "none yet")
        return [*(f"{name:<10}  {text}" for name, text in rows), f"next: {self.next.command}"]


def _label_text(count: int) -> str:
    return "Label a recording" if count == 1 else f"Label {count} recordings" if count else "Label recordings"


def look(root: Path, segments: Segments | None = None) -> Where:
    """Find out where the project in `root` stands. Reads descriptions only, except for runs of the agent.

    segments: keeps what has not changed since the last time.
    """
    cards = (segments or Segments(root / "dataset" / "labeled_segments")).all()
    known = {card.session for card in cards}
    return Where(
        tuple(_recording(folder) for folder in _found(root / "dataset" / "raw_playthrough")),
        tuple(cards),
        tuple(_model(folder, name) for name, folder in model_folders(root / "models").items()),
        tuple(run for folder in _found(root / "dataset" / "agent_runs") if (run := _run(folder, known))),
    )


def _found(root: Path) -> Sequence[Path]:
    return find_sessions(root) if root.is_dir() else []


def _recording(folder: Path) -> Recording:
    try:
        info = SessionInfo.load(folder)
    except SessionError as error:
        return Recording(folder, problem=str(error))
    text, good = verdict_text(info.verdict), info.verdict == ()
    return Recording(folder, info.frames / info.frame_hz / 60, info.frames, text, good, info.status == RECORDING)


def _run(folder: Path, labeled: set[str]) -> Run | None:
    events = folder / "events.jsonl"
    run = _read_run(folder, events.stat().st_mtime_ns if events.exists() else 0)
    return None if run is None else replace(run, labeled=folder.name in labeled)


@lru_cache(512)
def _read_run(folder: Path, version: int) -> Run | None:
    """A run whose events were last written at `version`; None if it cannot be read."""
    try:
        session = Session.open(folder)
        spans = session.spans()
    except (SessionError, OSError, ValueError):
        return None
    corrected = sum(span.stop - span.start for span in spans if span.by == HUMAN)
    model = str(session.info.extra.get("model", ""))
    return Run(folder, session.duration_s / 60, model, corrected, labeled=False)


def model_folders(root: Path) -> dict[str, Path]:
    """Folders with a model of ours by their names below `root`, up to two deep, the newest first."""
    found = [path for pattern in ("*", "*/*") for path in root.glob(f"{pattern}/{CARD_NAME}")]
    kept = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    newest = sorted(kept, key=lambda path: (-path.stat().st_mtime_ns, path))
    return {path.parent.relative_to(root).as_posix(): path.parent for path in newest}


def _model(folder: Path, name: str) -> Model:
    try:
        card = ModelCard.load(folder)
    except UserError as error:
        return Model(folder, name, "", str(error), good=False, scored=False)
    metrics = metrics_of(folder)
    said = verdict(metrics, card.space)
    return Model(folder, name, card.kind, said.first, said.good, metrics is not None)
