"""A data set opened for training: checked, split, cached, and its state's scales learned."""

import logging
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jax

from protege.cloning import loader
from protege.cloning.agreement import record_of
from protege.cloning.cache import Cache, build
from protege.cloning.checkpoint import About
from protege.cloning.config import CloningConfig
from protege.cloning.groups import FPS
from protege.cloning.loader import Batch, LoaderOptions
from protege.cloning.split import Splits, split
from protege.cloning.state import StateEncoder
from protege.cloning.steps import Setting
from protege.cloning.store import Dataset, Episode
from protege.errors import UserError

log = logging.getLogger(__name__)

Progress = Callable[[], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar that is called with how much is done, and how much there is."""
QUIET: Final[Progress] = lambda: nullcontext(lambda done, total: None)  # noqa: E731


@dataclass(frozen=True)
class Data:
    """A data set opened for a configuration.

    options: of the loader
    frame_hz: frames per second of its episodes
    """

    cache: Cache
    splits: Splits
    setting: Setting
    options: LoaderOptions
    frame_hz: float

    @classmethod
    def open(cls, config: CloningConfig, progress: Progress = QUIET, before: About | None = None) -> "Data":
        """Open, check, split and cache; UserError for what is wrong with the store.

        progress: of the cache. before: of the last checkpoint when a run is resumed, whose episodes keep their parts.
        """
        wanted = config.dataset
        dataset = Dataset.open(wanted.path, use_state=wanted.use_state, channel_order=wanted.channel_order)
        for line in dataset.assumed:
            log.warning("%s", line)
        for problem in dataset.problems:
            if not wanted.validate_episodes:
                raise UserError(f"{problem}; dataset.validate_episodes=true leaves such episodes out")
            log.warning("%s", problem)
        known = record_of(before).parts if before else None
        splits = split(dataset, wanted.ratios, wanted.split_seed, known)
        loader.require_horizon(splits.train, config.model.horizon, wanted.path)
        folder = Path(wanted.cache) if wanted.cache else None
        with progress() as told:
            cache = build(dataset, folder, wanted.frame_size, wait=jax.process_count() > 1, progress=told)
        encoder = None
        if wanted.use_state and cache.state is not None:
            encoder = StateEncoder.fit(cache.state[cache.rows(splits.train)], wanted.state)
            if before and before["state"]:  # the weights were trained on its scale
                encoder = StateEncoder.from_json(before["state"])
        height, width = cache.frames.shape[2:]
        setting = Setting(dataset.keys, dataset.goals, (int(height), int(width)), encoder, dataset.space)
        frame_hz = dataset.episodes[0].fps or FPS
        return cls(cache, splits, setting, loader_options(config), frame_hz)

    @property
    def episodes(self) -> list[Episode]:
        return [episode for part in vars(self.splits).values() for episode in part]

    @property
    def contents(self) -> dict[str, tuple[str, int]]:
        """By an episode's hash, that hash and how many frames it has."""
        return {episode.identity: (episode.identity, len(episode)) for episode in self.episodes}

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal on hosts with the same episodes."""
        return self.setting.to_json(), self.cache.offsets, zlib.crc32(self.cache.actions.tobytes())


def loader_options(config: CloningConfig) -> LoaderOptions:
    """The loader's part of a configuration."""
    model = config.model
    return LoaderOptions(
        batch_size=config.training.batch_size,
        frames=model.num_frames,
        skip=model.frame_skip,
        horizon=model.horizon,
        history=max(1, model.action_history),  # onsets are told from the action before
        threads=config.system.num_workers,
    )


def where(batch: Batch, cache: Cache, most: int = 4) -> str:
    """A batch's frames in words, such as "frame 3 of episode_1, frame 7 of episode_0, … (32 in all)"."""
    rows = batch.rows[batch.valid]
    named = []
    for row in rows[:most]:
        name, (start, _) = next((n, span) for n, span in cache.offsets.items() if span[0] <= row < span[1])
        named.append(f"frame {row - start} of {name}")
    return ", ".join(named) + (f", … ({len(rows)} in all)" if len(rows) > most else "")
