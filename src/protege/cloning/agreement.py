"""What a run that goes on must have as it was begun, and what processes that train together must have alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from protege.cloning.config import CloningConfig
from protege.learn import resume
from protege.learn.resume import Run
from protege.settings import to_fields

OWN: Final = {
    "dataset": ("cache",),
    "system": ("num_workers", "pin_memory", "compile_cache", "coordinator", "process_id"),
}
"""What each of several processes may have a value of its own of."""


def shared(config: CloningConfig) -> dict[str, Any]:
    """The sections of the configuration without what processes that train together may have their own values of."""
    return {
        section: {name: value for name, value in values.items() if name not in OWN.get(section, ())}
        for section, values in to_fields(config).items()
    }


def require_same(before: CloningConfig, now: CloningConfig, folder: Path) -> None:
    """UserError where a run would go on with settings that it was not begun with."""
    resume.require_same("cloning", to_fields(before), to_fields(now), folder, output="training.checkpoint_dir")


def record_of(about: Mapping[str, Any]) -> Run:
    """The record of the run that a checkpoint is of. Its data are known by what is in them, whatever their names."""
    identities, frames = about.get("identities", {}), about.get("frames", {})
    data = {str(known): (str(known), int(frames.get(name, 1))) for name, known in identities.items()}
    sides = {part: tuple(str(identities.get(n, n)) for n in names) for part, names in about["splits"].items()}
    chain = tuple(dict(link) for link in about.get("runs", ()))
    return Run(
        resume.dotted(about["config"]),
        data,
        trained=sides["train"],
        held=sides["validation"],
        tested=sides.get("test", ()),
        chain=chain,
        new=int(about.get("new", 0)),
        id=str(about.get("run", "")),
    )


def require_place(before: Run, now: Run, config: CloningConfig, folder: Path) -> None:
    """UserError where a run would go on with the episodes of another place, unless they are there, too."""
    was = Path(str(before.settings["dataset.path"]))
    resume.require_contained(before, now, "dataset.path", was, Path(config.dataset.path), folder)
