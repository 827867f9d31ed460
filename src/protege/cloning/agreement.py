"""Config fields that must match on resume and across processes, and the record of the run that a checkpoint is of."""

from pathlib import Path
from typing import Final

from protege.cloning.checkpoint import About
from protege.cloning.config import CloningConfig
from protege.core.files import Json
from protege.learn import resume
from protege.learn.resume import Run
from protege.settings import to_fields

OWN: Final = {
    "dataset": ("cache",),
    "system": ("num_workers", "pin_memory", "compile_cache", "coordinator", "process_id"),
}
"""Config fields that may differ from process to process."""


def shared(config: CloningConfig) -> dict[str, dict[str, Json]]:
    """The configuration by section, without the fields that may differ from process to process."""
    return {
        section: {name: value for name, value in values.items() if name not in OWN.get(section, ())}
        for section, values in to_fields(config).items()
    }


def require_same(before: CloningConfig, now: CloningConfig, folder: Path) -> None:
    """UserError where a run would be resumed with other settings."""
    resume.require_same("cloning", to_fields(before), to_fields(now), folder, output="training.checkpoint_dir")


def record_of(about: About) -> Run:
    """The record of the run that a checkpoint is of; its episodes are known by their content, not by their names."""
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
    """UserError where `dataset.path` changed and the episodes of the run before are not all in the new store."""
    was = Path(str(before.settings["dataset.path"]))
    resume.require_contained(before, now, "dataset.path", was, Path(config.dataset.path), folder)
