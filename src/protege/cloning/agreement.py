"""What a run that goes on must have as it was begun, and what processes that train together must have alike."""

from pathlib import Path
from typing import Any, Final

from protege.cloning.config import CloningConfig
from protege.errors import UserError
from protege.settings import to_fields

FREE_TO_CHANGE: Final = {
    "dataset": ("cache",),
    "training": (
        *("num_epochs", "max_steps", "checkpoint_dir", "save_every_n_epochs", "keep_last_n_checkpoints", "resume"),
        "early_stopping",
    ),
    "evaluation": ("eval_every_n_epochs", "onset_buffer_frames"),
    "system": ("num_workers", "pin_memory", "devices", "compile_cache"),
}
"""What a run may be resumed with another value of."""
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
    """UserError where a run would go on with what it was not begun with."""
    was, wanted = to_fields(before), to_fields(now)
    for section in ("dataset", "model", "training", "evaluation", "system"):
        for name, value in wanted[section].items():
            if name not in FREE_TO_CHANGE.get(section, ()) and value != was[section].get(name):
                raise UserError(
                    f"{folder} holds a run with {section}.{name}={was[section].get(name)}, this one has {value}; "
                    "choose another training.checkpoint_dir, or start over with training.resume=never"
                )
