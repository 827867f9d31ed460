"""Loading the base model and its new adapter, with unsloth where it runs, else with transformers and peft."""

import importlib.util
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protege.errors import MissingExtra, UserError
from protege.training.config import LoraOptions, VisionConfig
from protege.vlm.load import check_qwen3_vl, is_adapter, load_model, load_processor, resolve_device

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, Qwen3VLProcessor

    Network = PreTrainedModel | PeftModel

log = logging.getLogger(__name__)

LANGUAGE: Final = r".*language_model\.layers\.\d+\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
VISION: Final = (
    r".*visual\.(blocks\.\d+\.(attn\.(qkv|proj)|mlp\.linear_fc[12])"
    r"|merger\.linear_fc[12]|deepstack_merger_list\.\d+\.linear_fc[12])"
)


@dataclass(frozen=True)
class Trainable:
    """A base that is ready to be fine-tuned. peft_config is None where the adapter is in the model already."""

    model: "Network"
    processor: "Qwen3VLProcessor"
    peft_config: "LoraConfig | None"
    device: str
    unsloth: bool


def wants_unsloth(config: VisionConfig, device: str) -> bool:
    """Whether unsloth is to be used; UserError when it is asked for and cannot be."""
    there = importlib.util.find_spec("unsloth") is not None
    if config.model.unsloth == "always" and not device.startswith("cuda"):
        raise UserError("model.unsloth=always needs a CUDA device; use model.unsloth=auto")
    if config.model.unsloth == "always" and not there:
        raise MissingExtra("unsloth", "unsloth")
    return config.model.unsloth != "never" and there and device.startswith("cuda")


def unsloth_first(config: VisionConfig) -> None:
    """Import unsloth where it will be used: it patches transformers and trl, so it must come before them."""
    if wants_unsloth(config, resolve_device(config.model.device)):
        with suppress(ImportError, RuntimeError):  # `load_trainable` says what is wrong with it
            import unsloth  # noqa: F401  # pyright: ignore[reportMissingImports]


def local_device(wanted: str) -> str:
    """The device of this process: with several processes each has a GPU of its own."""
    from accelerate import PartialState

    device = resolve_device(wanted)
    return f"cuda:{PartialState().local_process_index}" if device.startswith("cuda") and wanted == "auto" else device


def load_trainable(config: VisionConfig) -> Trainable:
    """Load the base model and describe its adapter. UserError says what is wrong with the base."""
    base = config.model.base
    if is_adapter(base):
        raise UserError(f"model.base={base} is an adapter; give its base, or merge it first: protege export")
    check_qwen3_vl(base)
    device = local_device(config.model.device)
    if wants_unsloth(config, device):
        try:
            return _with_unsloth(config, device)
        except (ImportError, RuntimeError) as error:  # NotImplementedError, its word for "no GPU", is a RuntimeError
            if config.model.unsloth == "always":
                raise UserError(f"unsloth cannot be used here ({error}); set model.unsloth=never") from error
            log.warning("unsloth cannot be used here (%s); going on without it", str(error).splitlines()[0])
    model = load_model(base, four_bit=config.model.four_bit, device=device)
    return Trainable(model, load_processor(base), lora_config(config.lora), device, unsloth=False)


def lora_config(lora: LoraOptions) -> "LoraConfig":
    """An adapter on the linear layers of language, vision or both; never on the head that TRL computes by itself."""
    from peft import LoraConfig

    parts = [pattern for wanted, pattern in ((lora.language, LANGUAGE), (lora.vision, VISION)) if wanted]
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules="|".join(f"({part})" for part in parts),
    )


def _with_unsloth(config: VisionConfig, device: str) -> Trainable:
    from unsloth import FastVisionModel  # pyright: ignore[reportMissingImports]

    model, processor = FastVisionModel.from_pretrained(
        config.model.base,
        load_in_4bit=config.model.four_bit,
        use_gradient_checkpointing="unsloth" if config.training.gradient_checkpointing else False,
    )
    lora = config.lora
    model = FastVisionModel.get_peft_model(
        model,
        finetune_vision_layers=lora.vision,
        finetune_language_layers=lora.language,
        finetune_attention_modules=True,
        finetune_mlp_modules=True,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        bias="none",
        random_state=config.training.seed,
    )
    FastVisionModel.for_training(model)
    return Trainable(model, processor, None, device, unsloth=True)
