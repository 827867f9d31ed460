"""Scores a trained model on whole episodes: those its training held back, or any other data set."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from protege.cloning import loader
from protege.cloning.cache import Cache, build
from protege.cloning.checkpoint import Loaded, load_model
from protege.cloning.compare import METRICS
from protege.cloning.goals import goal_table
from protege.cloning.loader import Batch
from protege.cloning.pages import write_page
from protege.cloning.predictions import Evaluation, collect, judge
from protege.cloning.store import Dataset
from protege.cloning.train import loader_options
from protege.errors import UserError

SPLITS: Final = ("test", "validation", "train", "all")
PAGE: Final = "evaluation.html"


@dataclass(frozen=True)
class Evaluated:
    """An evaluation and the pictures it was made from."""

    evaluation: Evaluation
    cache: Cache
    frame_hz: float
    intro: str

    def save(self, folder: Path, films: bool = True) -> Path:
        """Write metrics.json and the page into a folder; returns the page. films: with videos in it."""
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{METRICS}.part"
        beside.write_text(json.dumps(self.evaluation.to_json(), indent=1) + "\n", encoding="utf-8")
        beside.replace(folder / METRICS)
        write_page(self.evaluation, self.cache.frames, folder / PAGE, self.intro, self.frame_hz, films)
        return folder / PAGE


def evaluate(
    folder: Path,
    path: Path | None = None,
    split: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluated:
    """Score the model in a folder, with the thresholds that its training chose on the validation episodes.

    path: a data set; that of the training by default, with `split` "test", else "all" of it. progress: told the frames
    that are done and all frames. UserError where the data set does not fit the model.
    """
    loaded = load_model(folder)
    own = Path(loaded.config.dataset.path)
    path = path or own
    split = split or ("test" if _same(path, own) else "all")
    dataset = Dataset.open(path, use_state=loaded.setting.state is not None)
    if dataset.keys != loaded.keys:
        raise UserError(
            f"{path}: has the actions {' '.join(dataset.keys)}; {folder} was trained on {' '.join(loaded.keys)}"
        )
    cache = _cache(loaded, dataset, _same(path, own))
    names = _names(loaded, dataset, split, _same(path, own))
    # A horizon of 1: every frame is scored, the same ones for every model, and the actions ahead are looked up after.
    options = replace(loader_options(loaded.config), shuffle=False, horizon=1)
    total = len(loader.index(cache, names))
    with_goal = goals_for(loaded, dataset.goals)
    found = collect(
        loader.batches(cache, names, options),
        lambda batch: loaded.forward(with_goal(batch)),
        loaded.keys,
        cache.offsets,
        lambda done: progress(done, total),
    )
    found = replace(found, truth=ahead(found.truth[:, 0], found.episode, loaded.config.model.horizon))
    train = loaded.about["splits"]["train"] if _same(path, own) else names
    about = {
        "model": folder.resolve().name,
        "kind": loaded.config.model.name,
        "parameters": num_weights(loaded),
        "dataset": str(path),
        "split": split,
    }
    judged = judge(
        found,
        loaded.thresholds,
        cache.actions[cache.rows(name for name in train if name in cache.offsets)],
        loaded.config.evaluation.onset_buffer_frames,
        about,
    )
    count = len(found.episodes)
    parts = [f"{len(found.rows)} frames of {count} episode{'s' if count > 1 else ''} ({split}) of {path.name}."]
    if _same(path, own) and split in ("train", "all"):
        parts.append("The model was trained on some or all of them.")
    parts.append("The thresholds were chosen on the validation episodes of its training.")
    return Evaluated(judged, cache, loaded.frame_hz, " ".join(parts))


def ahead(truth: NDArray[np.bool_], episode: NDArray[np.int64], horizon: int) -> NDArray[np.bool_]:
    """(N, horizon, A) the actions from each of N frames on, of (N, A); past its episode's end no key is held.

    episode: (N,) the episode of each frame, the frames of an episode together and in order.
    """
    at = np.arange(len(truth))[:, None] + np.arange(horizon)
    there = at < len(truth)
    at = np.minimum(at, len(truth) - 1)
    return truth[at] & (there & (episode[at] == episode[:, None]))[..., None]


def num_weights(loaded: Loaded) -> int:
    """Trained numbers of a model."""
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(nnx.state(loaded.model, nnx.Param)))


def goals_for(loaded: Loaded, goals: tuple[str, ...]) -> Callable[[Batch], Batch]:
    """Turns the goals of a batch, places in `goals`, into what the model takes. UserError for one it cannot know."""
    kind = loaded.config.model.goal
    if kind == "none" or goals == loaded.goals:
        return lambda batch: batch
    if kind == "sentence":
        words = goal_table(goals)
        return lambda batch: replace(batch, goal=words[batch.goal])
    if unknown := [goal for goal in goals if goal not in loaded.goals]:
        raise UserError(f"goals {'; '.join(unknown)}: this model knows only: {'; '.join(loaded.goals)}")
    places = np.array([*(loaded.goals.index(goal) for goal in goals), -1], np.int32)
    return lambda batch: replace(batch, goal=places[batch.goal])


def _same(path: Path, own: Path) -> bool:
    return path.resolve() == own.resolve()


def _cache(loaded: Loaded, dataset: Dataset, own: bool) -> Cache:
    """The pictures at the size that the model sees."""
    wanted = loaded.config.dataset
    if own:
        return build(dataset, Path(wanted.cache) if wanted.cache else None, wanted.frame_size)
    width, height = dataset.frame_size
    return build(dataset, None, None if (height, width) == loaded.setting.frame_size else loaded.setting.frame_size)


def _names(loaded: Loaded, dataset: Dataset, split: str, own: bool) -> list[str]:
    """The episodes to score."""
    there = [episode.name for episode in dataset.episodes]
    if split == "all":
        return there
    if split not in SPLITS:
        raise UserError(f"--split {split}: expected one of {', '.join(SPLITS)}")
    if not own:
        raise UserError(f"--split {split}: {dataset.path} is not what the model was trained on; score all of it")
    names = list(loaded.about["splits"][split])
    if gone := [name for name in names if name not in there]:
        raise UserError(f"{dataset.path}: {', '.join(gone)} of the {split} episodes are gone or broken since training")
    return names
