"""The steps of a round. Each is a function of an existing room, with this round's places."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.arena.rooms import EVAL_SEED_START
from protege.core.files import staged, write_text
from protege.core.labeled import LabeledSegment, Shape, find_segments
from protege.core.session import Session, find_sessions
from protege.demo.progress import Progress, Say, lines_of
from protege.errors import ProtegeError, UserError
from protege.evaluation.episodes import Player, Runner, play_all
from protege.improve.corrections import Corrected, correct
from protege.improve.options import WINDOW, ImproveOptions
from protege.improve.state import Fitted, Labeled, Played, Score
from protege.labeling import Given, LabelOptions, label
from protege.training.config import VisionConfig
from protege.training.start import CHECKPOINTS

FRAMES_A_MINUTE: Final = 600
HARDLY: Final = 0.05
"""Of a minute: so little is left of a round's play that it is over."""


@dataclass(frozen=True)
class Turn:
    """A round as its steps see it.

    folder: improve/NAME/round_N; model: the one kept so far; first: the first room that nobody has played; config: of
    training, into this folder.
    """

    options: ImproveOptions
    folder: Path
    model: Path
    first: int
    config: VisionConfig
    say: Say

    @property
    def runs(self) -> Path:
        """What was played."""
        return self.folder / "runs"

    @property
    def trained(self) -> Path:
        """The round's model."""
        return self.folder / "model"

    @property
    def data(self) -> Path:
        return Path(self.config.data.folder)

    def player(self, model: Path) -> Player:
        return Player(str(model), device=self.config.model.device)


def play_arena(turn: Turn) -> Played:
    """Rooms with the expert beside the agent, until the round's minutes are over."""
    todo = round(turn.options.minutes * FRAMES_A_MINUTE)
    progress = Progress("frames played", todo, turn.say)
    runner: list[Runner] = []

    def loaded() -> Runner:
        if not runner:
            runner.append(Runner(turn.player(turn.model)))
        return runner[0]

    found: list[Corrected] = []
    try:
        for job in turn.options.rooms(turn.first, todo):
            if job.seed >= EVAL_SEED_START:
                raise UserError(f"no room below {EVAL_SEED_START:,} is left to correct in; begin with a lower --seed")
            name = f"{turn.options.out.resolve().name}_{job.seed:05d}"
            found.append(correct(loaded, job, turn.runs / name))
            progress.step(found[-1].frames)
            if progress.done >= todo:
                break
    finally:
        for each in runner:
            each.close()
    return Played(
        sessions=len(found),
        frames=sum(each.frames for each in found),
        corrected=sum(each.corrected for each in found),
        takeovers=sum(each.takeovers for each in found),
        next_seed=turn.first + len(found),
    )


def play_window(turn: Turn) -> Played:
    """The live loop in the window that has the focus, a person at the keyboard; what was played before counts."""
    from protege.agent.run import PlayOptions, play_game
    from protege.agent.vision import VisionOptions
    from protege.policies import load_policy

    options, vision = turn.options, VisionOptions(device=turn.config.model.device)
    left = options.minutes - sum(session.duration_s for session in _sessions(turn.runs)) / 60
    if left > HARDLY:
        turn.folder.mkdir(parents=True, exist_ok=True)
        goals = turn.folder / "goals.txt"
        write_text(goals, "".join(f"{goal}\n" for goal in options.goals))
        wanted = PlayOptions(
            model=str(turn.model), goals=goals, window=options.window, max_minutes=left, out=turn.runs, vision=vision
        )
        played = play_game(wanted, load_policy(wanted.model, vision), turn.say)
        turn.say(f"ended: {played.ending}")
    sessions = _sessions(turn.runs)
    spans = [span for session in sessions for span in session.spans() if span.by == "human"]
    return Played(
        sessions=len(sessions),
        frames=sum(map(len, sessions)),
        corrected=sum(span.stop - span.start for span in spans),
        takeovers=len(spans),
    )


def _sessions(runs: Path) -> list[Session]:
    return [Session.open(folder) for folder in find_sessions(runs)] if runs.is_dir() else []


def label_corrections(turn: Turn) -> Labeled:
    """The corrections as segments beside those that the model was trained on, in the same shape."""
    sessions = find_sessions(turn.runs)
    progress = Progress("labeled", len(sessions), turn.say)
    result = label(sessions, turn.data, Given(), _like(turn.data), lambda _: progress.step())
    if result.problems:
        raise ProtegeError(f"a correction cannot be labeled: {result.problems[0]}")
    return Labeled(result.segments, result.samples)


def _like(data: Path) -> LabelOptions:
    """The options by which the data was labeled."""
    shape = next((LabeledSegment.load(path, partial=True).shape for path in find_segments(data)), Shape())
    return LabelOptions(**vars(shape))


def fit(turn: Turn) -> Fitted:
    """Train on everything, from the weights of the model kept so far; that model stays as it is."""
    from protege.training.run import train

    if not turn.trained.exists():
        with staged(turn.trained, "protege improve") as part:
            shutil.copytree(turn.model, part, ignore=shutil.ignore_patterns(CHECKPOINTS, ".*"), dirs_exist_ok=True)
    with lines_of("protege.training", lambda text: turn.say(text) if "\n" not in text else None):
        trained = train(turn.config)
    if trained.interrupted:
        raise KeyboardInterrupt
    return Fitted(trained.steps)


def score(turn: Turn, model: Path, who: str) -> Score:
    """How good a model is, on what no model of this loop was trained on."""
    if turn.options.place == WINDOW:
        return _score_samples(turn, model)
    todo = turn.options.rooms(EVAL_SEED_START, turn.options.episodes)
    progress = Progress(f"{who} plays unseen rooms", len(todo), turn.say)
    results = play_all(turn.player(model), todo, say=lambda text: None, played=lambda _: progress.step())
    return Score(sum(result.success for result in results), len(results))


def _score_samples(turn: Turn, model: Path) -> Score:
    """First actions that are right, in the recordings that the round's model held out; the older ones did, too."""
    from protege.training.judge import ScoreOptions, score_model

    options = ScoreOptions(
        samples=turn.options.episodes,
        only_held_back=True,
        of=turn.trained,
        untuned_base=False,
        device=turn.config.model.device,
    )
    judged = score_model(model, turn.data, options)
    return Score(round(judged.scores.first_action_accuracy * len(judged.rows)), len(judged.rows))
