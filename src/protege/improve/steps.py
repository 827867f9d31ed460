"""The steps of a round. Each is a function of an existing room, with this round's places."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.arena.rooms import EVAL_SEED_START
from protege.core.actions import KEYBOARD_12
from protege.core.events import HUMAN
from protege.core.files import write_text
from protege.core.session import Session, find_sessions
from protege.demo.progress import Progress, Say
from protege.errors import UserError
from protege.evaluation.episodes import Player, Runner, play_all
from protege.improve.corrections import Corrected, correct
from protege.improve.learner import Learner
from protege.improve.options import WINDOW, ImproveOptions
from protege.improve.state import Played, Score

FRAMES_A_MINUTE: Final = 600
HARDLY: Final = 0.05
"""Of a minute: so little is left of a round's play that it is over."""


@dataclass(frozen=True)
class Turn:
    """A round as its steps see it.

    folder: improve/NAME/round_N; model: the one kept so far; first: the first room that nobody has played; learner:
    trains into this folder.
    """

    options: ImproveOptions
    folder: Path
    model: Path
    first: int
    learner: Learner
    say: Say

    @property
    def runs(self) -> Path:
        """What was played."""
        return self.folder / "runs"

    @property
    def trained(self) -> Path:
        """The round's model."""
        return self.folder / "model"

    def player(self, model: Path) -> Player:
        return Player(str(model), device=self.learner.device)


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
    from protege.policies import card_of, load_policy

    options = turn.options
    card = card_of(turn.model)
    vision = VisionOptions(device=turn.learner.device, space=KEYBOARD_12 if card is None else card.space)
    left = options.minutes - sum(session.duration_s for session in _sessions(turn.runs)) / 60
    if left > HARDLY:
        turn.folder.mkdir(parents=True, exist_ok=True)
        goals = turn.folder / "goals.txt"
        write_text(goals, "".join(f"{goal}\n" for goal in options.goals))
        wanted = PlayOptions(
            model=str(turn.model),
            goals=goals,
            window=options.window,
            max_minutes=left,
            out=turn.runs,
            never=options.never,
            vision=vision,
        )
        played = play_game(wanted, load_policy(wanted.model, vision), turn.say)
        turn.say(f"ended: {played.ending}")
    sessions = _sessions(turn.runs)
    spans = [span for session in sessions for span in session.spans() if span.by == HUMAN]
    return Played(
        sessions=len(sessions),
        frames=sum(map(len, sessions)),
        corrected=sum(span.stop - span.start for span in spans),
        takeovers=len(spans),
    )


def _sessions(runs: Path) -> list[Session]:
    return [Session.open(folder) for folder in find_sessions(runs)] if runs.is_dir() else []


def score(turn: Turn, model: Path, who: str) -> Score:
    """How good a model is, on what no model of this loop was trained on."""
    if turn.options.place == WINDOW:
        return turn.learner.score_held_back(turn, model)
    todo = turn.options.rooms(EVAL_SEED_START, turn.options.episodes)
    progress = Progress(f"{who} plays unseen rooms", len(todo), turn.say)
    results = play_all(turn.player(model), todo, say=lambda text: None, played=lambda _: progress.step())
    return Score(sum(result.success for result in results), len(results))
