"""Scores a trained model on whole episodes: the held-out ones of its data, or another data set."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.cloning import loader
from protege.cloning.cache import Cache, build
from protege.cloning.checkpoint import Loaded, load_model
from protege.cloning.compare import METRICS, PAGE
from protege.cloning.data import loader_options
from protege.cloning.goals import goal_table
from protege.cloning.loader import Batch
from protege.cloning.pages import page_of, write_files
from protege.cloning.predictions import Evaluation, Scored, collect, judge
from protege.cloning.store import Dataset
from protege.errors import UserError

SPLITS: Final = ("test", "validation", "train", "all")
log = logging.getLogger(__name__)
NAMED: Final = 5
"""Episodes that a list names before it is cut short."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, with the frames that it was made from."""

    evaluation: Evaluation
    cache: Cache
    frame_hz: float
    intro: str

    def save(self, folder: Path, films: bool = True) -> Path:
        """Write metrics.json and the page into a folder, both or neither; returns the page. films: with videos."""
        page = page_of(self.evaluation, self.cache.frames, self.intro, self.frame_hz, films)
        metrics = json.dumps(self.evaluation.to_json(), indent=1) + "\n"
        write_files({folder / METRICS: metrics, folder / PAGE: page})
        return folder / PAGE


def evaluate(
    folder: Path,
    path: Path | None = None,
    split: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluated:
    """Score the model in a folder, with the thresholds of its training.

    path: of a data set, None for that of the training
    split: of SPLITS; None is "test" ("validation" where training had no test episodes), or "all" for other data
    progress: called with the frames that are done and all frames

    UserError where the data set does not fit the model.
    """
    loaded = load_model(folder)
    own = Path(loaded.config.dataset.path)
    path = path or own
    order = loaded.config.dataset.channel_order
    dataset = Dataset.open(path, use_state=loaded.setting.state is not None, channel_order=order)
    for line in dataset.assumed:
        log.warning("%s", line)
    if dataset.keys != loaded.keys:
        raise UserError(
            f"{path}: has the actions {' '.join(dataset.keys)}; {folder} was trained on {' '.join(loaded.keys)}"
        )
    there = places(loaded, dataset, _same(path, own))
    parts = _parts(loaded, there)
    held_out = "test" if loaded.about["splits"]["test"] else "validation"
    split = split or (held_out if parts else "all")
    names = _names(loaded, dataset, split, there)
    cache = _cache(loaded, dataset, _same(path, own))
    # Batches of horizon 1, so that every model is scored on the same frames; `ahead` adds the later actions.
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
    train = [name for name, part in parts.items() if part == "train"] or names
    chosen = [episode for episode in dataset.episodes if episode.name in set(names)]
    used = {episode.name: parts[episode.name] for episode in chosen if episode.name in parts}
    about: Scored = {
        "model": folder.resolve().name,
        "kind": loaded.config.model.name,
        "parameters": loaded.num_weights,
        "dataset": str(dataset.path),
        "split": split,
        "parts": used,
        "frames_trained_on": sum(len(episode) for episode in chosen if used.get(episode.name) == "train"),
        "scored": sha256(" ".join(episode.identity for episode in chosen).encode()).hexdigest()[:16],
    }
    buffer = loaded.config.evaluation.onset_buffer_frames
    judged = judge(found, loaded.thresholds, cache.actions[cache.rows(train)], about, buffer, loaded.setting.space)
    return Evaluated(judged, cache, loaded.frame_hz, _intro(judged, path, split, used))


def _intro(found: Evaluation, dataset: Path, split: str, parts: Mapping[str, str]) -> str:
    """In words, what was scored and which of it training used."""
    frames, count = len(found.predictions.rows), len(found.predictions.episodes)
    said = [f"{frames} frames of {count} episode{'s' if count > 1 else ''} ({split}) of {dataset.name}."]
    train, validation = ([name for name, used in parts.items() if used == part] for part in ("train", "validation"))
    if train:
        said.append(f"The model was trained on {len(train)} of them ({_few(train)}).")
    if validation:
        said.append(f"Its weights and thresholds were chosen on {len(validation)} of them ({_few(validation)}).")
    else:
        said.append("The thresholds were chosen on the validation episodes of its training.")
    return " ".join(said)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def ahead(truth: NDArray[np.bool_], episode: NDArray[np.int64], horizon: int) -> NDArray[np.bool_]:
    """(N, horizon, A) actions from each of N frames on; past an episode's end no key is held.

    truth: (N, A). episode: (N,) each frame's episode; the frames of an episode are together and in order.
    """
    at = np.arange(len(truth))[:, None] + np.arange(horizon)
    there = at < len(truth)
    at = np.minimum(at, len(truth) - 1)
    return truth[at] & (there & (episode[at] == episode[:, None]))[..., None]


def goals_for(loaded: Loaded, goals: tuple[str, ...]) -> Callable[[Batch], Batch]:
    """A function that turns a batch's indices into `goals` into the model's inputs. UserError for an unknown goal."""
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
    """The cache of a data set, at the frame size of the model."""
    wanted = loaded.config.dataset
    if own:
        return build(dataset, Path(wanted.cache) if wanted.cache else None, wanted.frame_size)
    width, height = dataset.frame_size
    return build(dataset, None, None if (height, width) == loaded.setting.frame_size else loaded.setting.frame_size)


def places(loaded: Loaded, dataset: Dataset, own: bool) -> dict[str, list[str]]:
    """By an episode's name in training, the names that it has in a data set now.

    Episodes are found by their identity, since a store may have moved, grown or been renumbered. Models of earlier
    versions do not know it; then names count, and only in the model's own data set (own).
    """
    identities = loaded.about.get("identities")
    now: dict[str, list[str]] = {}
    for episode in dataset.episodes if identities or own else ():
        now.setdefault(episode.identity if identities else episode.name, []).append(episode.name)
    found = {}
    for name in chain.from_iterable(loaded.about["splits"].values()):
        alike = now.get(identities[name] if identities else name, [])
        found[name] = [name] if name in alike else alike
    return found


def _parts(loaded: Loaded, there: Mapping[str, list[str]]) -> dict[str, str]:
    """By an episode's name now, its part in training: train, validation or test."""
    splits = loaded.about["splits"]
    # Of equal episodes in several parts the last wins: what was trained on is no test.
    return {now: part for part in ("test", "validation", "train") for name in splits[part] for now in there[name]}


def _names(loaded: Loaded, dataset: Dataset, split: str, there: Mapping[str, list[str]]) -> list[str]:
    """Names of the episodes to score; UserError where the split does not have them."""
    if split not in SPLITS:
        raise UserError(f"--split {split}: expected one of {', '.join(SPLITS)}")
    if split == "all":
        return [episode.name for episode in dataset.episodes]
    if not any(there.values()):
        raise UserError(f"--split {split}: {dataset.path} is not what the model was trained on; score all of it")
    if not loaded.about["splits"][split]:
        raise UserError(f"--split {split}: the training kept no episodes for it; score with --split validation")
    if gone := [name for name in loaded.about["splits"][split] if not there[name]]:
        raise UserError(
            f"{dataset.path}: {', '.join(gone)} of the {split} episodes are gone, broken or changed since training; "
            "score what is there with --split all"
        )
    parts = _parts(loaded, there)
    return [episode.name for episode in dataset.episodes if parts.get(episode.name) == split]
