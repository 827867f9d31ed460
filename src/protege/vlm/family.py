"""What differs between families of vision-language models."""

from dataclasses import dataclass
from typing import Final

LANGUAGE: Final = r".*language_model\.layers\.\d+\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
VISION: Final = (
    r".*visual\.(blocks\.\d+\.(attn\.(qkv|proj)|mlp\.linear_fc[12])"
    r"|merger\.linear_fc[12]|deepstack_merger_list\.\d+\.linear_fc[12])"
)


SMOL_WHOLE: Final = ("lm_head", "model.vision_model", "model.connector")
SMOL_LANGUAGE: Final = r".*text_model\.layers\.\d+\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
SMOL_VISION: Final = (
    r".*(vision_model\.encoder\.layers\.\d+\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.fc[12])"
    r"|connector\.modality_projection\.proj)"
)


@dataclass(frozen=True)
class Family:
    """A family of models.

    name: for people.
    language, vision: patterns of the linear layers that get an adapter.
    whole: modules that stay out of 4 bits: pictures suffer most from few bits, and weigh least.
    """

    name: str
    language: str = LANGUAGE
    vision: str = VISION
    whole: tuple[str, ...] = ("lm_head", "model.visual")

    def targets(self, *, language: bool, vision: bool) -> str:
        """The pattern of all layers that get an adapter."""
        return "|".join(f"({part})" for wanted, part in ((language, self.language), (vision, self.vision)) if wanted)


FAMILIES: Final = {
    "qwen3_vl": Family("Qwen3-VL"),
    "qwen3_vl_moe": Family("Qwen3-VL MoE"),  # the experts are no linear layers and stay as they are
    "qwen3_5": Family("Qwen3.5", LANGUAGE[:-1] + r"|in_proj_(qkv|z|a|b)|out_proj)"),
    "idefics3": Family("SmolVLM", SMOL_LANGUAGE, SMOL_VISION, SMOL_WHOLE),
    "smolvlm": Family("SmolVLM2", SMOL_LANGUAGE, SMOL_VISION, SMOL_WHOLE),
}
"""By the model_type of a config.json.

The rest of what differs is asked of a model's own files: the chat template says what stands around an answer
(`inputs.Tokens`), the processor how pictures are cut and which tokens stand for them (`pictures.pictures_of`), the
tokenizer how actions are spelled (`shape.AnswerShape`).
"""
QUICK: Final = ("qwen3_vl",)
"""Those that the agent reads with its own quick reader; others by their own forward pass and cache."""
