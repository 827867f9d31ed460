"""Vision models in the loop: corrections are labeled, and the adapter is trained further."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from protege.core.files import staged
from protege.core.labeled import LabeledSegment, Shape, find_segments
from protege.core.session import find_sessions
from protege.demo.progress import Progress, lines_of
from protege.errors import ProtegeError
from protege.improve.learner import require_config
from protege.improve.options import ImproveOptions
from protege.improve.state import Fitted, Labeled, Score
from protege.improve.steps import Turn
from protege.labeling import Given, LabelOptions, label
from protege.settings import load_config
from protege.training.config import VisionConfig
from protege.training.start import CHECKPOINTS, CONFIG_NAME


@dataclass(frozen=True)
class Vision:
    """Implements `Learner`. config: of training."""

    config: VisionConfig

    @classmethod
    def of(cls, options: ImproveOptions) -> Self:
        data = [] if options.data is None else [f"data.folder={options.data}"]
        path = require_config(options.model, CONFIG_NAME, "protege train")
        return cls(load_config(VisionConfig, path, [*data, *options.overrides]))

    @property
    def device(self) -> str:
        return self.config.model.device

    @property
    def data(self) -> Path:
        """Labeled segments."""
        return Path(self.config.data.folder)

    def into(self, folder: Path) -> "Vision":
        return Vision(replace(self.config, output=str(folder)))

    def add(self, turn: Turn) -> Labeled:
        """The corrections as segments beside those that the model was trained on, in the same shape."""
        sessions = find_sessions(turn.runs)
        progress = Progress("labeled", len(sessions), turn.say)
        result = label(sessions, self.data, Given(), _like(self.data), lambda _: progress.step())
        if result.problems:
            raise ProtegeError(f"a correction cannot be labeled: {result.problems[0]}")
        return Labeled(result.segments, result.samples)

    def fit(self, turn: Turn) -> Fitted:
        from protege.training.run import train

        if not turn.trained.exists():
            with staged(turn.trained, "protege improve") as part:
                shutil.copytree(turn.model, part, ignore=shutil.ignore_patterns(CHECKPOINTS, ".*"), dirs_exist_ok=True)
        with lines_of("protege.training", lambda text: turn.say(text) if "\n" not in text else None):
            trained = train(self.config)
        if trained.interrupted:
            raise KeyboardInterrupt
        return Fitted(trained.steps)

    def score_held_back(self, turn: Turn, model: Path) -> Score:
        """First actions that are right, in the recordings that the round's model held out; the older ones did, too."""
        from protege.training.judge import ScoreOptions, score_model

        options = ScoreOptions(
            samples=turn.options.episodes,
            only_held_back=True,
            of=turn.trained,
            untuned_base=False,
            device=self.device,
        )
        judged = score_model(model, self.data, options)
        return Score(round(judged.scores.first_action_accuracy * len(judged.rows)), len(judged.rows))


def _like(data: Path) -> LabelOptions:
    """The options by which the data was labeled."""
    shape = next((LabeledSegment.load(path, partial=True).shape for path in find_segments(data)), Shape())
    return LabelOptions(**vars(shape))
