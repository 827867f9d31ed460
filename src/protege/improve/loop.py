"""Round after round: play and correct, label, train on everything, score before and after, keep the better model.

Each step's outcome is written down as it ends, so a loop that was stopped goes on with the step that was not done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from protege.core.files import Json, locked
from protege.core.paths import shown
from protege.demo.progress import Say
from protege.improve import steps
from protege.improve.corrections import DOING
from protege.improve.learner import learner as pick
from protege.improve.options import ARENA, WINDOW, ImproveOptions
from protege.improve.state import Fitted, Played, Round, Score, begin
from protege.improve.steps import Turn
from protege.settings import to_fields

Play = Callable[[Turn], Played]
PLAY: Mapping[str, Play] = {ARENA: steps.play_arena, WINDOW: steps.play_window}


@dataclass(frozen=True)
class Improved:
    """model: the one that is kept; rounds: what was found, oldest first; kept: the model kept after each of them."""

    model: Path
    rounds: tuple[Round, ...]
    kept: tuple[Path, ...]

    @property
    def frames_added(self) -> int:
        """Frames that a person played."""
        return sum(each.play.corrected for each in self.rounds if each.play is not None)

    @property
    def scores(self) -> tuple[Score, Score]:
        """Of the model that the loop began with, and of the one that is kept, as they were scored last."""
        first, last = self.rounds[0], self.rounds[-1]
        assert first.before is not None
        assert last.before is not None
        assert last.after is not None
        return first.before, last.after if last.better else last.before

    def to_json(self) -> dict[str, Json]:
        rounds: list[Any] = [
            {**to_fields(found), "kept": str(model)} for found, model in zip(self.rounds, self.kept, strict=True)
        ]
        before, after = self.scores
        return {
            "model": str(self.model),
            "success_before": round(before.rate, 4),
            "success_before_ci": [round(bound, 4) for bound in before.interval],
            "success": round(after.rate, 4),
            "success_ci": [round(bound, 4) for bound in after.interval],
            "frames_added": self.frames_added,
            "rounds": rounds,
        }


def run(options: ImproveOptions, say: Say = lambda text: None, play: Play | None = None) -> Improved:
    """Improve a model, or go on where an earlier run was stopped. It ends early where there was nothing to correct.

    play: in place of the game's own way to play a round. UserError for what cannot be begun; KeyboardInterrupt after
    Ctrl-C, with what is done kept.
    """
    learner = pick(options)
    with locked(options.out, DOING):
        begin(options)
        scored = f"{options.episodes} {'rooms' if options.place == ARENA else 'samples'}"
        say(f"a round: {options.minutes:g} min of play, labeling, training, and both models scored in {scored}")
        model, first, known = options.model, options.seed, None
        rounds: list[Round] = []
        kept: list[Path] = []
        for number in range(1, options.rounds + 1):
            folder = options.out / f"round_{number}"
            say(f"round {number} of {options.rounds}")
            turn = Turn(
                options, folder, model, first, learner.into(folder / "model"), _indented(say)
            )  # fmt: skip
            found = _round(turn, known, play or PLAY[options.place])
            if found.better:
                model = turn.trained
            rounds.append(found)
            kept.append(model)
            assert found.play is not None
            first = found.play.next_seed
            known = (found.after if found.better else found.before) if options.place == ARENA else None
            say(f"      before {found.before}, after {found.after}: {'the new' if found.better else 'the old'} is kept")
            if found.train == Fitted(0):
                say("      nothing was corrected that could be learned from; no further round")
                break
    return Improved(model, tuple(rounds), tuple(kept))


def _indented(say: Say) -> Say:
    return lambda text: say(f"      {text}")


def _round(turn: Turn, known: Score | None, play: Play) -> Round:
    """One round, as far as it is not done yet. known: the score of its first model, where that is in the same rooms."""
    found = Round.load(turn.folder)
    if found.play is None:
        turn.say(f"play: {shown(turn.model)}, corrected by {turn.options.person}")
        found = _noted(turn, found, play=play(turn))
    assert found.play is not None
    if found.label is None:
        turn.say(f"label: {found.play.takeovers} corrections, {found.play.corrected} of {found.play.frames} frames")
        found = _noted(turn, found, label=turn.learner.add(turn))
    assert found.label is not None
    if found.train is None:
        turn.say(f"train: {found.label.segments} more segments, {found.label.samples} samples")
        found = _noted(turn, found, train=turn.learner.fit(turn) if found.label.samples else Fitted(0))
    learned = found.train != Fitted(0)
    if found.before is None:
        turn.say("score: the old model")
        found = _noted(turn, found, before=known or steps.score(turn, turn.model, "the old model"))
    if found.after is None:
        turn.say("score: the new model")
        after = steps.score(turn, turn.trained, "the new model") if learned else found.before
        found = _noted(turn, found, after=after)
    return found


def _noted(turn: Turn, found: Round, **step: Any) -> Round:
    found = replace(found, **step)
    found.save(turn.folder)
    return found
