"""Earlier data: what the model that a run begins with was trained on, and the run's own data does not have.

It is rehearsed: a share of each batch is drawn from it. What of it was held back tells how much is forgotten.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.core.card import ModelCard
from protege.core.files import Json
from protege.core.labeled import LabeledSegment
from protege.core.once import relatives
from protege.errors import UserError
from protege.learn.loose import read_loose
from protege.learn.resume import Run
from protege.training.config import VisionConfig
from protege.training.data import LabeledData, find_segments
from protege.training.score import METRICS
from protege.training.split import Sides, TrainedOn, Unit, units

log = logging.getLogger(__name__)

TRAINED_ON: Final = "trained_on"
HELD_BACK: Final = "held_back"
EARLIER: Final = "earlier"
"""Of metrics.json."""
NOTHING: Final[Mapping[str, Json]] = {"forgotten": None, "forgotten_samples": 0}
"""In metrics.json where there is no earlier data to score."""


@dataclass(frozen=True)
class History:
    """What a model says about its data.

    sides: names of what it was trained on, and of what was held back.
    folders: where that data lay.
    complete: whether `sides.held` is known; else (an older version) all that was not trained on was held back.
    """

    sides: Sides
    folders: tuple[Path, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class Earlier:
    """Earlier data that a run's own data does not have.

    trained: samples to rehearse.
    held: samples that no run has trained on; scored: those of them whose goals the run's own data does not have.
    folders: where all of them lie.
    """

    trained: LabeledData
    held: LabeledData
    scored: LabeledData
    folders: tuple[Path, ...]

    @property
    def both(self) -> LabeledData:
        return self.trained.joined(self.held)


def about_data(run: Run, earlier: Earlier | None) -> dict[str, Json]:
    """What metrics.json says of a run's data: what its weights have seen, and what was held back."""
    trained, held = set(run.trained), set(run.held)
    about: dict[str, Json] = {"runs": [*run.chain, run.link]}
    if earlier is not None:
        trained |= _names(earlier.trained, Sides.of(run).by)
        held |= _names(earlier.held, Sides.of(run).by)
        segments = {"trained": sorted(_names(earlier.trained)), "held": sorted(_names(earlier.held))}
        about[EARLIER] = {"folders": [str(folder) for folder in earlier.folders], **segments}
    sides = Sides(Sides.of(run).by, frozenset(trained), frozenset(held - trained))
    return {TRAINED_ON: sides.trained_on.to_json(), HELD_BACK: {"by": sides.by, "names": sorted(sides.held)}, **about}


def _names(data: LabeledData, by: Unit = "segment") -> set[str]:
    """Names of what the samples are of."""
    names = units(data, by)
    return {names[i] for i in np.unique(data.segment)}


def histories(config: VisionConfig, before: Run | None) -> list[History]:
    """Of the run that this one goes on from, and of its base where we trained that; none for a new adapter on a base
    from elsewhere.
    """
    found: list[History] = []
    if before is not None and before.trained:
        folders = [before.settings.get("data.folder"), *_texts(before.settings.get("data.earlier"))]
        found.append(History(Sides.of(before), _paths(folders), bool(before.data)))
    return found + base_histories(config)


def base_histories(config: VisionConfig) -> list[History]:
    """Of the base, as its metrics.json and its card say; none where it is not ours."""
    base = Path(config.model.base)
    if not (base / METRICS).is_file():
        return []
    try:
        card, metrics = ModelCard.load(base), read_loose(base / METRICS)
        if not isinstance(metrics, dict) or not metrics.get(TRAINED_ON):
            return []
        known, held = TrainedOn.from_json(metrics[TRAINED_ON]), metrics.get(HELD_BACK)
        apart = TrainedOn.from_json(held).names if held else frozenset[str]()
    except (OSError, ValueError, UserError) as error:
        log.warning("%s: what it was trained on cannot be told (%s)", base, error)
        return []
    options = card.config.get("data")
    folders = [options.get("folder")] if isinstance(options, Mapping) else []
    older: Any = metrics.get(EARLIER)
    older = older if isinstance(older, Mapping) else {}
    sides = Sides("segment", frozenset(_texts(older.get("trained"))), frozenset(_texts(older.get("held"))))
    paths = _paths([*folders, *_texts(older.get("folders"))])
    return [History(Sides(known.by, known.names, apart), paths, bool(held)), History(sides, paths)]


def _texts(value: Json) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []


def _paths(texts: Iterable[Json]) -> tuple[Path, ...]:
    return tuple(Path(text) for text in texts if isinstance(text, str) and text and "\0" not in text)


def held_of(data: LabeledData, known: Sequence[History]) -> Sides | None:
    """Recordings (or segments) of the data that an earlier run held back, for `split`; None where there is none."""
    for history in known:
        if held := history.sides.held & set(units(data, history.sides.by)):
            return Sides(history.sides.by, frozenset(), held)
    return None


def find_earlier(config: VisionConfig, data: LabeledData, sides: Sides, known: Sequence[History]) -> Earlier | None:
    """The earlier data that can be found, None where there is none; sides: of the run's own data.

    UserError where a folder that data.earlier names cannot be read.
    """
    named = tuple(Path(folder) for folder in config.data.earlier)
    if not known:
        if named:
            log.info(
                "data.earlier: this run begins with no model that says what it was trained on; nothing is rehearsed"
            )
        return None
    own = Path(config.data.folder).absolute()
    places = named or tuple(dict.fromkeys(folder for history in known for folder in history.folders))
    names, found, folders = {folder.name for folder in data.folders}, None, []
    for folder in places:
        part = None if folder.absolute() == own else _open(folder, names, data, strict=bool(named))
        if part is not None:
            found = part if found is None else found.joined(part)
            names |= _names(part)
            folders.append(folder)
    return None if found is None else _parts(found, tuple(folders), data, sides, known)


def _open(folder: Path, names: set[str], data: LabeledData, *, strict: bool) -> LabeledData | None:
    """The samples of a folder without the segments `names`; strict: what cannot be read is an error."""
    try:
        if all(path.name in names for path in find_segments(folder)):
            return None
        part = LabeledData.open(folder)
        if part.shape != data.shape:
            raise UserError(f"{folder}: labeled with {part.shape}, the new data with {data.shape}; label it again")
    except UserError as error:
        if strict:
            raise UserError(f"data.earlier: {error}") from None
        log.warning("earlier data is neither rehearsed nor scored: %s", error)
        return None
    new = np.array([path.name not in names for path in part.folders])
    return part.take(np.flatnonzero(new[part.segment]))


def _parts(
    found: LabeledData, folders: tuple[Path, ...], data: LabeledData, sides: Sides, known: Sequence[History]
) -> Earlier | None:
    """What may be rehearsed, and what may be scored: what any run held back is never trained on, nor is what any run
    trained on scored, and the same holds for what shares a recording with it.
    """
    trained, held = np.zeros(len(found.folders), bool), np.zeros(len(found.folders), bool)
    for history in known:
        names = units(found, history.sides.by)
        trained |= [name in history.sides.trained for name in names]
        held |= [name in history.sides.held for name in names]
    unseen = ~trained if not all(history.complete for history in known) else held & ~trained
    again = trained & ~held
    if sides.by == "recording":  # of a single recording, split by segments, those of both are different ones
        groups = _families([*data.folders, *found.folders])
        own, theirs = groups[: len(data.folders)], groups[len(data.folders) :]
        for chosen, side in ((again, sides.held), (unseen, sides.trained)):
            names = {group for group, name in zip(own, data.session, strict=True) if name in side}
            chosen &= [group not in names for group in theirs]
    if not again.any() and not unseen.any():
        return None
    apart = found.take(np.flatnonzero(unseen[found.segment]))
    goals = {*data.goals, *(words for others in data.paraphrases for words in others)}
    other = np.array([goal not in goals for goal in found.goals], bool)
    scored = apart.take(np.flatnonzero(other[apart.goal]))
    return Earlier(found.take(np.flatnonzero(again[found.segment])), apart, scored, folders)


def _families(folders: Sequence[Path]) -> list[str]:
    return relatives([replace(LabeledSegment.load(path, partial=True), held=(), slots=()) for path in folders])
