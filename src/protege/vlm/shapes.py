"""The shapes of the published Qwen3-VL models: what a run needs can be told before anything is downloaded."""

import re
from collections.abc import Mapping
from typing import Any, Final

from protege.core.files import Json

_NAME: Final = re.compile(r"Qwen3-VL-(2B|4B|8B|32B)\b")
_SMALL_VISION: Final = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "deepstack_visual_indexes": [5, 11, 17],
}
_LARGE_VISION: Final = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "deepstack_visual_indexes": [8, 16, 24],
}
_SIZES: Final[Mapping[str, tuple[tuple[int, int, int, int], bool, dict[str, Any]]]] = {
    "2B": ((2048, 6144, 28, 16), True, _SMALL_VISION),
    "4B": ((2560, 9728, 36, 32), True, _SMALL_VISION),
    "8B": ((4096, 12288, 36, 32), False, _LARGE_VISION),
    "32B": ((5120, 25600, 64, 64), False, _LARGE_VISION),
}
"""(hidden size, intermediate size, layers, heads), whether the head is the embeddings, and the vision tower."""


def known_shape(name: str) -> dict[str, Json] | None:
    """The fields of the config.json of a published model, None where its name says no size we know."""
    match = _NAME.search(name)
    if match is None:
        return None
    (hidden, inner, layers, heads), tied, vision = _SIZES[match[1]]
    return {
        "model_type": "qwen3_vl",
        "tie_word_embeddings": tied,
        "text_config": {
            "vocab_size": 151_936,
            "hidden_size": hidden,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 262_144,
            "tie_word_embeddings": tied,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
        },
        "vision_config": {**vision, "out_hidden_size": hidden, "num_position_embeddings": 2304},
    }
