"""Resuming a run: which settings may change, and how its data differs from what it was trained on.

A run is identified by its settings and its data, which `run.json` keeps. With other settings resuming is refused; with
other data the run goes on from the weights that are there.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from protege.core.files import Json, read_json, write_json
from protege.errors import UserError

RUN_NAME: Final = "run.json"
FORMAT_VERSION: Final = 1

MAY_CHANGE: Final[Mapping[str, frozenset[str]]] = {
    "vision": frozenset(
        {
            *("output", "model.device", "model.unsloth", "data.folder", "data.earlier", "data.workers"),
            *("training.epochs", "training.max_steps", "training.patience", "training.gradient_checkpointing"),
            *("training.log_steps", "training.save_steps", "training.eval_steps", "training.keep"),
            *("training.resume", "training.report_to"),
        }
    ),
    "cloning": frozenset(
        {
            *("dataset.path", "dataset.cache", "training.num_epochs", "training.max_steps"),
            *("training.checkpoint_dir", "training.save_every_n_epochs", "training.keep_last_n_checkpoints"),
            *("training.resume", "training.early_stopping.patience", "training.early_stopping.min_delta"),
            *("evaluation.eval_every_n_epochs", "evaluation.onset_buffer_frames", "system.num_workers"),
            *("system.pin_memory", "system.devices", "system.compile_cache", "logging"),
        }
    ),
    "controls": frozenset(
        {
            *("output", "data.recordings", "training.checkpoint_steps", "training.device", "training.resume"),
            "training.threads",
        }
    ),
}
"""By learner the settings, or groups of them, that may change on resume. The place of the data is one of them: what
counts is its content.
"""

Data = Mapping[str, tuple[str, int]]
"""By the name of each part (a segment, an episode, a recording): a digest of what is in it, and how many samples."""


@dataclass(frozen=True)
class Run:
    """What a run was made from, and how far it came.

    settings: by their dotted names.
    data: of every part a digest of its content and its number of samples.
    trained, held, tested: names of the parts that this run and those before it trained on, chose the model by, and only
    reported on.
    by: what the names are of, "recording" or "segment".
    chain: the runs before, oldest first, whose weights this one began with, as `link` has them.
    new: samples that the run before did not have.
    steps: optimiser steps (of controls: epochs) done when it was written.
    finished: it went to its end, and the model's files are its.
    """

    settings: Mapping[str, Json]
    data: Data
    trained: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    by: str = "recording"
    chain: tuple[Mapping[str, Json], ...] = ()
    new: int = 0
    steps: int = 0
    finished: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def parts(self) -> dict[str, str]:
        """By name: "train", "validation" or "test"."""
        named = {"train": self.trained, "validation": self.held, "test": self.tested}
        return {name: part for part, names in named.items() for name in names}

    @property
    def link(self) -> dict[str, Json]:
        """What the next run's chain keeps of this one; digest: of all its data."""
        names = (f"{name} {part[0]}".encode() for name, part in sorted(self.data.items()))
        count = samples(self.data)
        return {"id": self.id, "steps": self.steps, "samples": count, "new": self.new, "digest": digest(names)}

    def after(self, before: "Run") -> "Run":
        """This run, beginning with the weights of the run `before`."""
        return replace(self, chain=(*before.chain, before.link), new=changed(before.data, self.data).new)

    def to_json(self) -> dict[str, Json]:
        return {"format_version": FORMAT_VERSION, **vars(self)}

    def save(self, folder: Path, name: str = RUN_NAME) -> None:
        write_json(folder / name, self.to_json())

    @classmethod
    def load(cls, folder: Path, name: str = RUN_NAME) -> Self | None:
        """None where there is none; UserError where it cannot be read."""
        try:
            return cls.from_json(read_json(folder / name))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{folder / name}: not the record of a run ({error}); start over with training.resume=never, or "
                "choose another folder"
            ) from None

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """The inverse of `save`; ValueError, KeyError, TypeError or AttributeError on anything else."""
        if fields["format_version"] > FORMAT_VERSION:
            raise ValueError(f"format version {fields['format_version']}; update protege")
        chain = tuple(dict(link) for link in _list(fields["chain"]))
        names = {side: tuple(map(str, _list(fields[side]))) for side in ("trained", "held", "tested")}
        if fields["by"] not in ("recording", "segment") or not isinstance(fields["settings"], dict):
            raise ValueError("settings or by are not as a run writes them")
        return cls(
            settings=fields["settings"],
            data={str(name): (str(digest), int(count)) for name, (digest, count) in fields["data"].items()},
            trained=names["trained"],
            held=names["held"],
            tested=names["tested"],
            by=fields["by"],
            chain=chain,
            new=int(fields["new"]),
            steps=int(fields["steps"]),
            finished=bool(fields["finished"]),
            id=str(fields["id"]),
        )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not a {type(value).__name__}")
    return value


def require_same(
    kind: str, before: Mapping[str, Json], now: Mapping[str, Json], folder: Path, *, output: str = "output"
) -> None:
    """UserError where a setting that must not change on resume has changed. kind: the learner, a key of MAY_CHANGE.

    before, now: settings by nested or dotted names; output: the setting that names `folder`.
    """
    was, wanted = dotted(before), dotted(now)
    # A setting that the old run did not know is new in this version, and was at its default then.
    different = [name for name, value in wanted.items() if name in was and was[name] != value]
    for name in different:
        if not _free(name, MAY_CHANGE[kind]):
            raise UserError(
                f"{folder} holds a run with {name}={_shown(was[name])}, this one has {_shown(wanted[name])}; "
                f"choose another {output}, or start over with training.resume=never"
            )


def require_contained(before: Run, now: Run, name: str, was: Path, here: Path, folder: Path, *, hint: str = "") -> None:
    """UserError where the data has moved and something that was trained on is missing in the new place.

    name: the setting of the data's place, which was `was` and is `here`; folder: the model's; hint: one more way to go
    on, with its comma.
    """
    if was.absolute() != here.absolute() and not all(now.data.get(part) == held for part, held in before.data.items()):
        raise UserError(
            f"{folder} holds a run with {name}={was}, and what it was trained on is not all in {here}; {hint}put new "
            "data beside the old, start over with training.resume=never, or choose another folder for the model"
        )


def _free(name: str, allowed: frozenset[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:n]) in allowed for n in range(1, len(parts) + 1))


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(fields: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """{"training": {"seed": 1}} as {"training.seed": 1}, values as JSON has them."""
    found: dict[str, Json] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= dotted(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = json.loads(json.dumps(value))  # tuples as lists: compared with what was read
    return found


@dataclass(frozen=True)
class Changed:
    """How data differs from what a run was trained on, in samples; a part whose content is another counts as both."""

    new: int
    gone: int

    def __bool__(self) -> bool:
        return bool(self.new or self.gone)

    def __str__(self) -> str:
        parts = [f"{self.new:,} new samples"] if self.new or not self.gone else []
        return ", ".join(parts + ([f"{self.gone:,} samples gone"] if self.gone else []))


def changed(before: Data, now: Data) -> Changed:
    """Samples that are new and samples that are gone. Parts without samples do not count."""
    return Changed(
        sum(part[1] for name, part in now.items() if before.get(name) != part),
        sum(part[1] for name, part in before.items() if now.get(name) != part),
    )


def samples(data: Data) -> int:
    return sum(count for _, count in data.values())


def digest(parts: Iterable[bytes]) -> str:
    """A hash of content, never of dates or places; each part's length is hashed too, so that ("ab", "c") differs from
    ("a", "bc").
    """
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.hexdigest()


def contents(paths: Mapping[str, Path], counts: Mapping[str, int]) -> Data:
    """By name, a digest of each file and how many samples it holds. UserError for a file that cannot be read."""
    found: dict[str, tuple[str, int]] = {}
    for name, path in paths.items():
        hashed = hashlib.blake2b(digest_size=16)
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    hashed.update(block)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        found[name] = (hashed.hexdigest(), counts[name])
    return found


def damaged(checkpoint: Path, error: object, instead: str = "") -> UserError:
    """The error for a checkpoint that cannot be read. instead: another way to go on, with its comma."""
    reason = " ".join(str(error).split())[:160]
    return UserError(
        f"{checkpoint}: damaged ({reason or 'it cannot be read'}); {instead}start over with training.resume=never"
    )
