"""Whether unsloth is used, decided before it is imported.

unsloth rewrites transformers, TRL and peft for the rest of a process: from its import on, a TRL trainer ignores
`peft_config`, so going on without it would train every weight. It is therefore tried in a process of its own first,
and once it is imported here there is no way back but an error.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from protege.core.text import one_line
from protege.errors import MissingExtra, ProtegeError, UserError
from protege.vlm.family import FAMILIES
from protege.vlm.load import base_config, base_of, best_dtype, is_adapter, nf4

ON_CPU: Final = "UNSLOTH_ALLOW_CPU"
"""unsloth's own switch for machines without a GPU; its tests and ours set it to 1."""
TRIAL_SECONDS: Final = 900
NOT_INSTALLED: Final = "unsloth is not installed"
NEVER: Final = "start again with model.unsloth=never"


@dataclass(frozen=True)
class Loader:
    """What loads and patches a model. why: the reason, for the log."""

    unsloth: bool
    why: str

    @property
    def name(self) -> str:
        return "unsloth" if self.unsloth else "transformers + peft"


def choose(wanted: str, device: str) -> Loader:
    """Decide for "auto", "never" or "always", without importing unsloth here; UserError where "always" cannot be."""
    if wanted == "never":
        return Loader(False, "model.unsloth=never")
    obstacle = _obstacle(device)
    if obstacle is None and (failed := trial()) is not None:
        obstacle = f"unsloth fails here ({failed})"
    if obstacle is None:
        return Loader(True, "it is installed, and a short training in a process of its own went well")
    if wanted == "always":
        if obstacle == NOT_INSTALLED:
            raise MissingExtra("unsloth", "unsloth")
        raise UserError(f"model.unsloth=always: {obstacle}; use model.unsloth=auto or never")
    return Loader(False, obstacle)


def _obstacle(device: str) -> str | None:
    """What speaks against unsloth without trying it."""
    if not device.startswith("cuda") and os.environ.get(ON_CPU) != "1":
        return f"unsloth needs a CUDA device, this is {device}"
    if importlib.util.find_spec("unsloth") is None:
        return NOT_INSTALLED
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # set by accelerate launch and torchrun
        return "several processes train together, which unsloth was not tried with"
    return None


@cache
def trial() -> str | None:
    """Load and train a tiny model with unsloth in another process; None, or one line of what went wrong."""
    if "unsloth" in sys.modules:
        return None  # too late for a choice
    _keep_its_cache_at_home()
    command = [sys.executable, "-m", "protege.vlm.unsloth_trial"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no step of training in {TRIAL_SECONDS} s"
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return one_line(said[-1])[:200] if said else f"its process ended with code {done.returncode}"


def fast_vision_model(source: str | Path, instead: str = NEVER) -> Any:
    """unsloth's FastVisionModel. ProtegeError where it cannot be imported: there is no going on without it.

    instead: what to do then.
    """
    if _on_this_machine(source):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # it looks folders up on the hub, too
    _keep_its_cache_at_home()
    with or_give_up(instead):
        return _imported().FastVisionModel


def load(
    source: str | Path, *, four_bit: bool, device: str, checkpointing: bool = False, instead: str = NEVER
) -> tuple[Any, Any]:
    """(a model or an adapter on its base, unsloth's FastVisionModel): what `load_model` loads, as it loads it.

    ProtegeError where unsloth fails, with what to do instead.
    """
    fast = fast_vision_model(source, instead)
    base = base_of(Path(source)) if is_adapter(source) else source
    fields, dtype = base_config(base), best_dtype(device)
    stored = bool(fields.get("quantization_config"))
    options: dict[str, Any] = {"load_in_4bit": stored}
    if four_bit and not stored:
        options["quantization_config"] = nf4(dtype, FAMILIES[str(fields["model_type"])].whole)
    with or_give_up(instead):
        model, _ = fast.from_pretrained(
            str(source),
            dtype=dtype,
            device_map={"": device},
            use_gradient_checkpointing=checkpointed(checkpointing),
            use_exact_model_name=True,  # it would take a base of the same name, but more or fewer bits
            **options,
        )
    return model, fast


def checkpointed(wanted: bool) -> str | bool:
    """Its own way is its default, and both loading and adding an adapter restore that."""
    return "unsloth" if wanted else False


def _on_this_machine(source: str | Path) -> bool:
    return Path(source).is_dir() and (not is_adapter(source) or Path(base_of(Path(source))).is_dir())


def _keep_its_cache_at_home() -> None:
    """Have unsloth write its generated code there, and not into the working directory."""
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(Path.home() / ".cache" / "protege" / "unsloth"))


def _imported() -> ModuleType:
    import unsloth  # pyright: ignore[reportMissingImports]

    return unsloth


@contextmanager
def or_give_up(instead: str = NEVER) -> Iterator[None]:
    """Turn what unsloth raises, which may be anything, into a ProtegeError; what it has patched by then stays patched.

    A GPU's memory that is too small is told by its own error.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        said = one_line(str(error))[:200] or type(error).__name__
        raise ProtegeError(f"unsloth fails here ({said}); {instead}") from error


def lora(
    model: Any, fast: Any, targets: str, *, r: int, alpha: int, dropout: float, checkpointing: bool, seed: int
) -> Any:
    """A model of unsloth with a new adapter on the layers that a pattern names, ready to be trained."""
    how = checkpointed(checkpointing)
    model = fast.get_peft_model(
        model,
        target_modules=targets,  # as text it is taken as it is; its own choice leaves the merger layers out
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        bias="none",
        use_gradient_checkpointing=how,
        random_state=seed,
    )
    fast.for_training(model, use_gradient_checkpointing=how)
    return model
