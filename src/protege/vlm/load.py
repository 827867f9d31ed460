"""Loads a Qwen3-VL model, its processor and a LoRA adapter, in 4 bits or not, on a GPU or a CPU."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from protege.core.files import Json, read_json
from protege.errors import MissingExtra, ProtegeError, UserError
from protege.vlm.family import FAMILIES

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel, Qwen3VLProcessor

ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"


def require_vision() -> None:
    """MissingExtra unless the libraries of the extra `vision` are there."""
    for library in ("torch", "transformers", "peft", "accelerate"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtra(library, "vision")
    if importlib.util.find_spec("torchvision") is not None and not torchvision_works():
        import torch

        raise UserError(
            f"torchvision {version('torchvision')} does not fit torch {torch.__version__}, and then peft "
            "cannot be imported; install the pair that https://pytorch.org names, or: pip uninstall torchvision"
        )
    # On import it warns about optional CPU kernels that it does not need.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


@cache
def torchvision_works() -> bool:
    """Whether torchvision can be imported: its wheel may be built for another torch."""
    try:
        import torchvision  # noqa: F401  # pyright: ignore[reportMissingImports]
    except (ImportError, RuntimeError, OSError):
        return False
    return True


def load_processor(source: str | Path) -> "Qwen3VLProcessor":
    """The processor in a folder or of a model on the hub."""
    require_vision()
    with reaching(source):
        if torchvision_works():
            from transformers import AutoProcessor

            return _checked(AutoProcessor.from_pretrained(str(source)))
        from protege.vlm.processor import FrameProcessor

        return _checked(FrameProcessor.from_pretrained(str(source)))


def _checked(processor: "Qwen3VLProcessor") -> "Qwen3VLProcessor":
    if processor.tokenizer.pad_token_id is None:
        raise ValueError("its tokenizer has no padding token")
    ids = processor.tokenizer.get_vocab().values()
    if (largest := max(ids, default=0)) > 10 * len(ids) + 10_000:  # room is made for every number up to it
        raise ValueError(f"its tokenizer has {len(ids):,} tokens, but numbers them up to {largest:,}")
    return processor


def is_adapter(source: str | Path) -> bool:
    """Whether a folder holds a LoRA adapter rather than a whole model."""
    return (Path(source) / ADAPTER_CONFIG).is_file()


def base_of(adapter: Path) -> str:
    """The base model of an adapter; a local one may have moved together with the adapter."""
    try:
        base = read_json(adapter / ADAPTER_CONFIG)["base_model_name_or_path"]
        if not (isinstance(base, str) and base and "\0" not in base):
            raise ValueError("base_model_name_or_path is no name")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{adapter / ADAPTER_CONFIG}: not an adapter ({error!r}); train it again") from None
    beside = adapter.parent / Path(base).name
    return str(beside) if not Path(base).exists() and beside.exists() else base


def check_qwen3_vl(source: str | Path) -> dict[str, Json]:
    """The fields of a model's config.json; UserError unless it is a Qwen3-VL."""
    require_vision()
    from transformers import PreTrainedConfig

    with reaching(source):
        fields, _ = PreTrainedConfig.get_config_dict(str(source))
    if not isinstance(fields, dict):
        raise UserError(f"{source}: its config.json holds no fields of a model; copy the model again")
    if not fields:
        raise UserError(f"{source}: no model here (no config.json); make a small one with: protege tiny-base {source}")
    if (found := fields.get("model_type")) not in FAMILIES:
        raise UserError(f"{source} is a {found} model; this needs a Qwen3-VL, e.g. Qwen/Qwen3-VL-8B-Instruct")
    return fields


def resolve_device(device: str = "auto") -> str:
    """The device that a name stands for: "auto" is the first CUDA device, else the CPU."""
    import torch

    if device != "auto":
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"device {device!r} asked for, but torch sees no CUDA device; use device cpu")
        return device
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def best_dtype(device: str, capability: tuple[int, int] | None = None) -> "torch.dtype":
    """Of a model's arithmetic on a device: float32 on a CPU, bfloat16 on a GPU that has it, else float16 (a T4).

    capability: of a CUDA device, (7, 5) for a T4; None asks the device.
    """
    import torch

    if device == "cpu":
        return torch.float32
    if not device.startswith("cuda"):
        return torch.bfloat16
    # Asked for a T4, torch answers that it can bfloat16: by emulation, many times slower than float16
    emulated = (
        not torch.cuda.is_bf16_supported(including_emulation=False) if capability is None else capability < (8, 0)
    )
    return torch.float16 if emulated else torch.bfloat16


def load_model(
    source: str | Path, *, four_bit: bool = False, device: str = "auto", dtype: str = "auto", merge: bool = False
) -> "PreTrainedModel":
    """A Qwen3-VL in eval mode: a model, or an adapter's folder on its base.

    four_bit: NF4 with double quantisation
    dtype: of weights and of 4-bit arithmetic: "float32", "bfloat16", "float16", or "auto" for `best_dtype`
    merge: fold an adapter's weights into the base (not in 4 bits)
    """
    require_vision()
    if is_adapter(source):
        folder = Path(source)
        from peft import PeftModel

        if not (folder / ADAPTER_WEIGHTS).is_file():
            raise UserError(f"{folder}: no {ADAPTER_WEIGHTS}; adapters are loaded as safetensors only, train it again")
        model = load_model(base_of(folder), four_bit=four_bit, device=device, dtype=dtype)
        with (
            reaching(folder),
            warnings.catch_warnings(),
        ):  # peft 0.21 reads an attribute that transformers 5.23 has renamed
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
            model = PeftModel.from_pretrained(model, str(folder))
        # A PeftModel passes on whatever is asked of the model in it, so callers need not tell the two apart.
        return cast("PreTrainedModel", model.merge_and_unload() if merge else model).eval()
    import torch
    from transformers import AutoModelForImageTextToText

    fields = check_qwen3_vl(source)
    where = resolve_device(device)
    kind = {"auto": best_dtype(where), "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
        dtype
    ]
    options: dict[str, Any] = {"dtype": kind, "device_map": where, "use_safetensors": True}
    if four_bit and not fields.get("quantization_config"):  # a base may be quantised already
        options["quantization_config"] = nf4(kind, FAMILIES[str(fields["model_type"])].whole)
    with reaching(source), without_bars():
        return AutoModelForImageTextToText.from_pretrained(str(source), **options).eval()


@contextmanager
def without_bars() -> Iterator[None]:
    """Turns off transformers' progress bars, one for every file that it reads or writes. What it logs goes the way of
    our own log lines, which steer no terminal; its report of a base that lacks weights has colours.
    """
    from transformers.utils import logging

    logging.disable_default_handler()
    logging.enable_propagation()
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def nf4(compute_dtype: "torch.dtype", whole: Sequence[str]) -> "BitsAndBytesConfig":
    """4-bit NormalFloat with double quantisation, as QLoRA has it. whole: modules that stay as they are."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "vision")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
        llm_int8_skip_modules=list(whole),
    )


class reaching:  # noqa: N801 (used as a verb)
    """Raises one line for the many errors of libraries that cannot find or read a model."""

    def __init__(self, source: str | Path) -> None:
        self.source = source

    def __enter__(self) -> None:
        path = Path(self.source)
        looks_local = path.is_absolute() or len(path.parts) != 2 or path.parts[0] in (".", "..", "models")
        if looks_local and not path.is_dir():
            raise UserError(
                f"{self.source}: no such folder; give a model's folder, a name on the hub such as "
                "Qwen/Qwen3-VL-8B-Instruct, or make a small model with: protege tiny-base FOLDER"
            )

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, ProtegeError) or _out_of_memory(error):
            return
        # Damaged files raise anything: SafetensorError, RecursionError, …
        if Path(self.source).is_dir():
            raise UserError(f"{self.source}: cannot be loaded as a Qwen3-VL model ({_first_line(error)})") from error
        if not isinstance(error, OSError | ValueError):
            return
        from huggingface_hub.constants import is_offline_mode

        offline = is_offline_mode()
        why = "the hub is switched off (HF_HUB_OFFLINE)" if offline else "the hub did not answer or has no such model"
        raise ProtegeError(
            f"{self.source}: not on this machine, and {why}; download it once with: hf download {self.source}"
        ) from error


def _out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
