"""The two policies of `protege bench vizdoom --all`, trained on sessions of a scripted player, one recipe for all."""

from pathlib import Path
from typing import Final

from protege.core.session import find_sessions
from protege.demo.progress import Progress, Say, lines_of
from protege.errors import ProtegeError

SIZE: Final = (80, 60)
RECIPE: Final = (
    *("model.name=pure_cnn", "model.pool=keypoints", "model.conv_features=[16,32,64,64]", "model.dropout_rate=0.2"),
    *("model.dense_features=[256,128]", "dataset.train_ratio=0.9", "dataset.val_ratio=0.1", "dataset.test_ratio=0"),
    *("dataset.augment.crop=1", "dataset.augment.brightness=0.15", "dataset.augment.contrast=0.15"),
    *(
        "training.batch_size=64",
        "training.max_steps=9000",
        "training.num_epochs=10000",
        "training.learning_rate=1.5e-3",
    ),
    *("training.use_class_weights=false", "evaluation.best=last", "evaluation.eval_every_n_epochs=10000"),
    *("evaluation.tune_thresholds=false", "logging.log_every_n_steps=20"),
)
"""Of the pixel policy: as configs/arena_goal.yaml, but without a goal, and with smaller shifts of the picture, since
whoever aims must know where the middle is.
"""


def pixels(folder: Path, sessions: Path, say: Say, overrides: tuple[str, ...] = ()) -> Path:
    """A pixel policy in `folder`, by the recipe and what overrides it; a second call goes on."""
    from protege.cloning import config
    from protege.cloning.episodes import export_sessions
    from protege.cloning.train import train

    store, model = folder / "steps.zarr", folder / "model"
    counted = Progress("sessions scaled", len(find_sessions(sessions)), say)
    export_sessions(sessions, store, SIZE, progress=lambda *_: counted.step())
    places = (f"dataset.path={store}", f"training.checkpoint_dir={model}")
    with lines_of("protege.cloning", lambda text: say(text) if "\n" not in text else None):  # not the whole recipe
        trained = train(config.load(None, [*places, *RECIPE, *overrides]))
    if trained.interrupted:
        raise KeyboardInterrupt
    return model


def vlm(folder: Path, sessions: Path, steps: int, say: Say) -> Path:
    """The tiny VLM in `folder`, fine-tuned by the demo's recipe in so many steps; a second call goes on."""
    import torch

    from protege.demo.places import Places
    from protege.demo.scale import Scale
    from protege.demo.stages import recipe
    from protege.labeling import Given, label
    from protege.training.run import train
    from protege.vlm.tiny import copy_base

    torch.set_num_threads(1)  # as in the demo: a model this small gains little from a second one
    places = Places(folder)
    if not places.base.exists():
        copy_base(places.base)
    found = find_sessions(sessions)
    counted = Progress("sessions labeled", len(found), say)
    result = label(found, places.labeled, Given(), tell=lambda _: counted.step())
    if result.problems:
        raise ProtegeError(f"the recordings cannot be labeled: {result.problems[0]}")
    with lines_of("protege.training.trainer", say):
        trained = train(recipe(places, Scale(steps=steps)))
    if trained.interrupted:
        raise KeyboardInterrupt
    return places.model
