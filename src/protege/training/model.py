"""Loading the base model and its new adapter, with unsloth where it runs, else with transformers and peft."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protege.errors import ProtegeError
from protege.training.config import LoraOptions, VisionConfig
from protege.vlm.family import FAMILIES, Family
from protege.vlm.load import base_config, best_dtype, load_model, load_processor, resolve_device
from protege.vlm.unsloth import Loader, choose, fast_vision_model, gave_up, hold_out_of_4_bits, lora

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, Qwen3VLProcessor

    Network = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Trainable:
    """A base that is ready to be fine-tuned. peft_config is None where the adapter is in the model already."""

    model: "Network"
    processor: "Qwen3VLProcessor"
    peft_config: "LoraConfig | None"
    device: str
    unsloth: bool


def choose_loader(config: VisionConfig) -> Loader:
    """Decide between unsloth and transformers. unsloth is imported here: it must come before transformers and TRL."""
    loader = choose(config.model.unsloth, resolve_device(config.model.device))
    if loader.unsloth:
        fast_vision_model(config.model.base)
    return loader


def local_device(wanted: str) -> str:
    """The device of this process: with several processes each has a GPU of its own."""
    from accelerate import PartialState

    device = resolve_device(wanted)
    return f"cuda:{PartialState().local_process_index}" if device.startswith("cuda") and wanted == "auto" else device


def load_trainable(config: VisionConfig) -> Trainable:
    """Load the base model and describe its adapter. UserError says what is wrong with the base."""
    base = config.model.base
    device = local_device(config.model.device)
    loader = choose(config.model.unsloth, device)
    if loader.unsloth:
        return _with_unsloth(config, device)
    model = load_model(base, four_bit=config.model.four_bit, device=device)
    adapter = lora_config(config.lora, FAMILIES[str(model.config.model_type)])
    return Trainable(model, load_processor(base), adapter, device, unsloth=False)


def lora_config(lora: LoraOptions, family: Family = FAMILIES["qwen3_vl"]) -> "LoraConfig":
    """An adapter on the linear layers of language, vision or both; never on the head that TRL computes by itself."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=family.targets(language=lora.language, vision=lora.vision),
    )


def require_lora(model: "Network") -> None:
    """ProtegeError unless an adapter's weights are trained, and nothing else is."""
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    other = [name for name in trained if "lora_" not in name]
    if other or not trained:
        what = f"{len(other)} tensors of the base, {other[0]} the first," if other else "nothing"
        raise ProtegeError(
            f"{what} would be trained instead of a LoRA adapter alone: a library has changed how TRL takes it; "
            "set model.unsloth=never"
        )


def scalable(model: "Network") -> None:
    """Make an adapter's weights float32, in place: loss scaling needs such gradients, and TRL may have cut them."""
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def _with_unsloth(config: VisionConfig, device: str) -> Trainable:
    import torch

    fast: Any = fast_vision_model(config.model.base)
    options, checkpointing = config.lora, config.training.gradient_checkpointing
    family = FAMILIES[str(base_config(config.model.base)["model_type"])]
    try:
        if config.model.four_bit:
            hold_out_of_4_bits(family.whole)
        model, _ = fast.from_pretrained(
            config.model.base,
            dtype=best_dtype(device),
            load_in_4bit=config.model.four_bit,
            device_map={"": device},
            use_gradient_checkpointing="unsloth" if checkpointing else False,
        )
        model = lora(
            model,
            fast,
            family.targets(language=options.language, vision=options.vision),
            r=options.r,
            alpha=options.alpha,
            dropout=options.dropout,
            checkpointing=checkpointing,
            seed=config.training.seed,
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # it raises anything
        raise gave_up(error) from error
    return Trainable(model, load_processor(config.model.base), None, device, unsloth=True)
