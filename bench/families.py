"""python -m bench families: does our decoder answer as constrained token-by-token decoding, for every family of models?

Tiny models with random weights of each family's own classes, on pictures of noise.
"""

import json
import tempfile
from collections.abc import Callable
from importlib.resources import files
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
TILED: Final = ("idefics3", "smolvlm")
TILE: Final = 64
PATCH: Final = 16
SHUFFLE: Final = 2
"""Patches of a token's side: pixels of 2 x 2 patches become one token."""
SMOL_TEMPLATE: Final = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""That of SmolVLM, as transformers has it in its processor, without videos."""
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
    from transformers import AutoConfig

    if model_type in TILED:
        return build_tiled(folder, model_type, seed)
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
    return _save(folder, config, load_processor(folder), seed)


def build_tiled(folder: Path, model_type: str, seed: int = 0) -> Path:
    """Write a tiny SmolVLM with random weights and a processor of its own.

    Of SmolVLM the tokenizer is that of `tiny` with the tokens of its pictures; of SmolVLM2 one that knows hardly any
    word, so that actions are several tokens each, of one to five.
    """
    from transformers import AutoConfig, AutoTokenizer, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    shipped = Path(str(files("protege.vlm") / "data"))
    tokenizer = _letters() if model_type == "smolvlm" else AutoTokenizer.from_pretrained(shipped)
    rows = [f"<row_{row}_col_{column}>" for row in (1, 2, 3, 4) for column in (1, 2, 3, 4)]
    marks = ["<|im_start|>", "<|im_end|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"]
    tokenizer.add_tokens([*marks, *rows], special_tokens=True)
    tokenizer.eos_token, tokenizer.pad_token = "<end_of_utterance>", "<|im_end|>"
    image = Idefics3ImageProcessorPil(size={"longest_edge": 2 * TILE}, max_image_size={"longest_edge": TILE})
    processor = Idefics3Processor(
        image, tokenizer, image_seq_len=(TILE // PATCH // SHUFFLE) ** 2, chat_template=SMOL_TEMPLATE
    )
    config = AutoConfig.for_model(
        model_type,
        text_config={
            **{"model_type": "llama", "vocab_size": -(-len(tokenizer) // 64) * 64, "hidden_size": 128},
            **{"intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
            **{"max_position_embeddings": 4096, "tie_word_embeddings": True},
            **{"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id},
        },
        vision_config={
            **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
            **{"image_size": TILE, "patch_size": PATCH},
        },
        scale_factor=SHUFFLE,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    return _save(folder, config, processor, seed)


def _letters() -> Any:
    """A tokenizer of single bytes and a few joined ones; words, signs and digits apart, as SmolLM's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    plain.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    text = ["Predict the next 7 actions:", "right light", "down town", json.dumps({"actions": ["w", "s"]})]
    plain.train_from_iterator(text, trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=plain)


def _save(folder: Path, config: Any, processor: Any, seed: int) -> Path:
    """Write a model of a config with random weights, and its processor."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
    text = getattr(model.model, "language_model", None) or model.model.text_model
    text.norm.weight.data.fill_(4.0)  # or no answer is much likelier than another
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
