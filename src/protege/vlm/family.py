"""What differs between families of vision-language models."""

from dataclasses import dataclass
from typing import Final

LANGUAGE: Final = r".*language_model\.layers\.\d+\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
VISION: Final = (
    r".*visual\.(blocks\.\d+\.(attn\.(qkv|proj)|mlp\.linear_fc[12])"
    r"|merger\.linear_fc[12]|deepstack_merger_list\.\d+\.linear_fc[12])"
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
}
"""By the model_type of a config.json. All take Qwen3-VL's prompt, pictures and processor."""
QUICK: Final = ("qwen3_vl",)
"""Those that the agent reads with its own quick reader; others by their own forward pass and cache."""
