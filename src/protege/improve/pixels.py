"""Policies from pixels in the loop: corrections become episodes of their zarr store, and training goes on."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from protege.cloning.config import CloningConfig, load
from protege.cloning.episodes import export_sessions
from protege.cloning.train import CONFIG_NAME, train
from protege.core.card import ModelCard
from protege.core.events import AGENT
from protege.core.files import staged
from protege.core.session import Session, find_sessions
from protege.demo.progress import Progress, lines_of
from protege.errors import ProtegeError, UserError
from protege.improve.learner import require_config
from protege.improve.options import WINDOW, ImproveOptions
from protege.improve.state import Fitted, Labeled, Score
from protege.improve.steps import Turn


@dataclass(frozen=True)
class Pixels:
    """Implements `Learner`. config: of training."""

    config: CloningConfig

    @classmethod
    def of(cls, options: ImproveOptions) -> Self:
        if options.place == WINDOW:
            raise _arena_only(options.model)
        data = [] if options.data is None else [f"dataset.path={options.data}"]
        return cls(load(require_config(options.model, CONFIG_NAME, "protege clone train"), [*data, *options.overrides]))

    @property
    def device(self) -> str:
        return "auto"

    def into(self, folder: Path) -> "Pixels":
        return Pixels(replace(self.config, training=replace(self.config.training, checkpoint_dir=str(folder))))

    def add(self, turn: Turn) -> Labeled:
        """What the person played as episodes beside those that the policy was trained on, as small as these."""
        sessions = find_sessions(turn.runs)
        progress = Progress("exported", len(sessions), turn.say)
        size = ModelCard.load(turn.model).frame_size
        done = export_sessions(turn.runs, Path(self.config.dataset.path), size, progress=lambda *_: progress.step())
        if done.problems:
            raise ProtegeError(f"a correction cannot be learned from: {done.problems[0]}")
        spans = [span for folder in sessions for span in Session.open(folder).spans() if span.by != AGENT]
        return Labeled(len(spans), sum(span.stop - span.start for span in spans))

    def fit(self, turn: Turn) -> Fitted:
        if not turn.trained.exists():
            with staged(turn.trained, "protege improve") as part:
                shutil.copytree(turn.model, part, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
        with lines_of("protege.cloning", lambda text: turn.say(text) if "\n" not in text else None):
            trained = train(self.config)
        if trained.interrupted:
            raise KeyboardInterrupt
        return Fitted(trained.steps)

    def score_held_back(self, turn: Turn, model: Path) -> Score:
        raise _arena_only(model)


def _arena_only(model: Path) -> UserError:
    return UserError(
        f"--model {model}: a policy from pixels is corrected in the arena only; to do it yourself, give a vision model"
    )
