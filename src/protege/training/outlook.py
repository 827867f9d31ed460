"""What a run will use and need, told before anything is downloaded (`protege doctor --train`, `protege train`)."""

import importlib.metadata
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from protege.core.files import Json
from protege.errors import UserError
from protege.training.config import VisionConfig
from protege.training.memory import GIB, RECORDED, Needs, estimate
from protege.vlm.load import base_config, best_dtype, is_adapter, reaching, resolve_device
from protege.vlm.shapes import known_shape
from protege.vlm.unsloth import Loader

TESTED: Final[Mapping[str, tuple[str, ...]]] = {
    "torch": ("2.13.0",),
    "transformers": ("5.23.0", "5.17.0"),
    "trl": ("1.16.0", "1.14.2"),
    "peft": ("0.21.2",),
    "bitsandbytes": ("0.50.2",),
    "datasets": ("5.2.0", "4.8.5"),
    "accelerate": ("1.15.0",),
}
"""The versions of constraints.txt, and where they differ those of constraints-unsloth.txt."""
OWN: Final = 0.6 * GIB
"""What CUDA and its libraries take for themselves."""


@dataclass(frozen=True)
class Outlook:
    """device, dtype: where and in what it is computed; memory: bytes the device has, None where nothing says so."""

    device: str
    memory: int | None
    dtype: str
    loader: Loader
    needs: Needs

    def lines(self) -> list[str]:
        """The first lines of a run."""
        has = "memory unknown" if self.memory is None else f"{self.memory / GIB:.1f} GiB"
        how = ", with loss scaling" if self.dtype == "float16" else ""
        needs, mine = self.needs, self.needs.memory
        groups = ", ".join(f"{name} {count:,}" for name, count in needs.trained.items() if count)
        parts = ", ".join(f"{name} {_size(size)}" for name, size in mine.parts().items())
        return [
            f"device: {self.device}, {has}; {self.dtype}{how}",
            f"loader: {self.loader.name} ({self.loader.why})",
            f"versions: {versions()}",
            f"trained: {sum(needs.trained.values()):,} of {sum(needs.parameters.values()):,} weights ({groups})",
            f"a sample: about {needs.tokens} tokens, {needs.picture_tokens} of them pictures",
            f"memory: about {_size(mine.total)} (estimated; {parts})",
        ]

    @property
    def fits(self) -> bool:
        own = OWN if self.device.startswith("cuda") else 0
        return self.memory is None or self.needs.memory.total + own <= self.memory


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB / 10 else f"{count / 2**20:.1f} MiB"


def outlook(config: VisionConfig, loader: Loader, recorded: tuple[int, int] = RECORDED) -> Outlook:
    """The outlook of a run. recorded: (width, height) of its data's frames."""
    device = resolve_device(config.model.device)
    needs = _estimate(config, base_fields(config.model.base), device, recorded, apart=loader.unsloth)
    return Outlook(device, memory_of(device), str(best_dtype(device)).removeprefix("torch."), loader, needs)


def require_fit(config: VisionConfig, found: Outlook, recorded: tuple[int, int] = RECORDED) -> None:
    """UserError where the device's memory is too small, with the settings that would make it fit."""
    if found.fits:
        return
    has, needed = (found.memory or 0) / GIB, found.needs.memory.total / GIB
    said = f"this run needs about {needed:.1f} GiB, and {found.device} has {has:.1f} GiB"
    fields = base_fields(config.model.base)
    for told, changed in _smaller(config):
        needs = _estimate(changed, fields, found.device, recorded, apart=found.loader.unsloth)
        if replace(found, needs=needs).fits:
            raise UserError(f"{said}; it would fit with: {told}")
    raise UserError(f"{said}; choose a smaller base, e.g. model.base=Qwen/Qwen3-VL-2B-Instruct")


def _smaller(config: VisionConfig) -> Iterator[tuple[str, VisionConfig]]:
    """Smaller runs, each with the changes of the one before: first what costs nothing but time."""
    training, told = config.training, []
    if training.batch > 1:
        told.append(f"training.batch=1 training.accumulation={training.batch * training.accumulation}")
        config = replace(
            config, training=replace(training, batch=1, accumulation=training.batch * training.accumulation)
        )
        yield " ".join(told), config
    if not training.gradient_checkpointing:
        told.append("training.gradient_checkpointing=true")
        config = replace(config, training=replace(config.training, gradient_checkpointing=True))
        yield " ".join(told), config
    if not config.model.four_bit:
        told.append("model.four_bit=true")
        config = replace(config, model=replace(config.model, four_bit=True))
        yield " ".join(told), config
    told.append("data.frame_size=[320,240]")
    config = replace(config, data=replace(config.data, frame_size=(320, 240)))
    yield " ".join(told), config
    if config.lora.vision and config.lora.language:
        told.append("lora.vision=false")
        yield " ".join(told), replace(config, lora=replace(config.lora, vision=False))


def _estimate(
    config: VisionConfig, fields: Mapping[str, Json], device: str, recorded: tuple[int, int], *, apart: bool
) -> Needs:
    """apart: in another process, since in this one unsloth has changed the classes that are measured."""
    asked = (config, fields, device, best_dtype(device), recorded)
    if not apart:
        with reaching(config.model.base):
            return estimate(*asked)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(estimate, *asked).result()


def out_of_memory(config: VisionConfig) -> str:
    """The error for a GPU whose memory is too small: what to lower, the most effective first."""
    import torch

    has = f" ({torch.cuda.get_device_properties(0).total_memory / GIB:.0f} GiB)" if torch.cuda.is_available() else ""
    hints = []
    if not config.model.four_bit:
        hints.append("set model.four_bit=true")
    if not config.training.gradient_checkpointing:
        hints.append("set training.gradient_checkpointing=true")
    if config.training.batch > 1:
        half = config.training.batch // 2
        hints.append(f"lower training.batch to {half} and raise training.accumulation to keep their product")
    hints += ["lower data.history.scale or data.history.frames"] if config.data.history.frames else []
    hints += ["lower data.frame_size, e.g. to [320,240]", "set lora.vision=false", "choose a smaller base"]
    return f"the device's memory{has} is too small for this run; {', then '.join(hints)}"


def base_fields(base: str) -> dict[str, Json]:
    """The fields of a base's config.json: of a folder as it is, of a published model known here, else from the hub."""
    if is_adapter(base):
        raise UserError(f"model.base={base} is an adapter; give its base, or merge it first: protege export")
    known = None if Path(base).is_dir() else known_shape(base)
    return known or base_config(base)


def memory_of(device: str) -> int | None:
    """Bytes of memory of a device, None where it does not say."""
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device != "cpu" or not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def versions() -> str:
    """The libraries' versions, and which of them this was not tested with."""
    found = {name: importlib.metadata.version(name) for name in TESTED}
    other = [
        f"{name} {version} (tested: {' and '.join(TESTED[name])})"
        for name, version in found.items()
        if version.partition("+")[0] not in TESTED[name]
    ]
    if other:
        return f"not tested with {', '.join(other)}; pip install -c constraints.txt has those that were"
    return ", ".join(f"{name} {version}" for name, version in found.items()) + ": as tested"
