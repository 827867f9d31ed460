"""python -m bench families: does our decoder answer as constrained token-by-token decoding, for every family of models?

Tiny models with random weights of each family's own classes, on pictures of noise.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.decode import generated
from protege.agent.vision import VisionAgent, VisionOptions, first_guess, shifted
from protege.core.chat import read_reply
from protege.evaluation.figures import Figure
from protege.vlm.family import FAMILIES
from protege.vlm.load import load_model, load_processor, without_bars
from protege.vlm.tiny import build_tiny, save_processor

SIZE: Final = (96, 64)
TEXT: Final = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim"),
    *("max_position_embeddings", "tie_word_embeddings", "rope_parameters", "num_hidden_layers"),
    *("bos_token_id", "eos_token_id", "pad_token_id"),
)
VISION: Final = (
    *("depth", "hidden_size", "intermediate_size", "num_heads", "patch_size", "temporal_patch_size"),
    *("spatial_merge_size", "out_hidden_size", "num_position_embeddings"),
)
WHOLE: Final = (
    *("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id", "tie_word_embeddings"),
)


def build(folder: Path, model_type: str, seed: int = 0) -> Path:
    """Write a tiny model of a family with random weights, with the tokenizer and processor of `tiny`."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    build_tiny(folder, seed=seed, size="nano")
    if model_type == "qwen3_vl":
        return folder
    like = AutoConfig.from_pretrained(folder).to_dict()
    text = {name: like["text_config"][name] for name in TEXT}
    vision = {name: like["vision_config"][name] for name in VISION}
    if model_type == "qwen3_5":  # three layers of linear attention to one of the other kind
        text |= {"num_hidden_layers": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16}
        text |= {"linear_num_key_heads": 4, "linear_num_value_heads": 4}
        text["rope_parameters"] = {**text["rope_parameters"], "partial_rotary_factor": 1.0}
    if model_type == "qwen3_vl_moe":
        text |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
        vision["deepstack_visual_indexes"] = [1]
    config = AutoConfig.for_model(
        model_type, text_config=text, vision_config=vision, **{name: like[name] for name in WHOLE}
    )
    processor = load_processor(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
    model.model.language_model.norm.weight.data.fill_(4.0)  # or no answer is much likelier than another
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    with without_bars():
        model.save_pretrained(folder)
    save_processor(processor, folder)
    return folder


def run(chunks: int = 20, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """Figures of every family, on `chunks` pictures each."""
    figures: list[Figure] = []
    for model_type, family in FAMILIES.items():
        say(family.name)
        with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
            same, passes = measure(build(Path(name) / "model", model_type), chunks)
        figures += [
            Figure(f"identical_chunks_{model_type}", same, f"{same} of {chunks}", "all", same == chunks),
            Figure(f"passes_draft_{model_type}", round(passes, 2), f"{passes:.2f} with drafts, random weights"),
        ]
    return [*figures, Figure("chunks", chunks, f"{chunks} of each family")]


def measure(model: Path, chunks: int) -> tuple[int, float]:
    """How many chunks are those of constrained decoding, with drafts and without, and the passes with drafts."""
    agent = VisionAgent(model, options=VisionOptions(frame_size=SIZE, device="cpu"))
    stock: Any = load_model(model, device="cpu")
    draft = first_guess(agent.card.horizon)
    same, passes = 0, []
    for seed in range(chunks):
        rgb = np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
        inputs = agent.inputs(rgb, "Go to the lantern")
        tokens, _ = generated(agent, stock, inputs, constrained=True)
        text = agent.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        wanted = read_reply(text, agent.card.space, agent.card.horizon).steps
        plain, drafted = agent.decoder.decode(inputs), agent.decoder.decode(inputs, draft)
        same += plain.actions == drafted.actions == wanted
        passes.append(drafted.passes)
        draft = shifted(drafted.actions, 1)
    return same, float(np.mean(passes))
