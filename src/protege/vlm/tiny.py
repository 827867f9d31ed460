"""A small real Qwen3-VL made from nothing, offline, in seconds: for tests, CI and machines without a GPU.

The same classes, processor and chat template as the 8B model, a trimmed copy of its vocabulary, random weights.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.core.files import staged
from protege.errors import ProtegeError, UserError
from protege.vlm.load import require_vision, without_bars

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    from protege.vlm.processor import FrameProcessor

HEAD_DIM: Final = 32
MAX_PIXELS: Final = 640 * 480
POSITION_GRID: Final = 24
FINAL_NORM: Final = 4.0
POSITION_SCALE: Final = 0.5


@dataclass(frozen=True)
class TinySize:
    """Widths are multiples of 32. deepstack: vision layers that also feed the first text layers."""

    hidden: int = 128
    layers: int = 2
    vision_hidden: int = 64
    vision_layers: int = 2
    deepstack: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        for name, value in (("hidden", self.hidden), ("vision_hidden", self.vision_hidden)):
            if value < 64 or value % HEAD_DIM:
                raise UserError(f"{name} is a multiple of {HEAD_DIM} from 64 on, got {value}")
        if len(self.deepstack) > self.layers or any(not 0 <= i < self.vision_layers for i in self.deepstack):
            raise UserError(f"deepstack names vision layers, at most one for each text layer, got {self.deepstack}")


SIZES: Final = {
    "nano": TinySize(),
    "micro": TinySize(128, 3, 96, 3, (1,)),
    "small": TinySize(192, 4, 128, 4, (2,)),
    "medium": TinySize(256, 4, 128, 4, (1, 2, 3)),
}
"""From 1 million parameters to 6; "nano" is for tests."""


def build_tiny(folder: Path, *, seed: int = 0, size: str | TinySize = "small") -> Path:
    """Write a tiny Qwen3-VL with random weights and its processor to `folder`; returns the folder.

    The same seed and size give the same weights. UserError if the folder has files in it.
    """
    require_vision()
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    if isinstance(size, str):
        if size not in SIZES:
            raise UserError(f"no tiny size {size!r}; the sizes are: {', '.join(SIZES)}")
        size = SIZES[size]
    require_free(folder)
    processor = _processor()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(_config(processor.tokenizer, size))
    _make_trainable(model)
    stop = [processor.tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")]
    model.generation_config.eos_token_id = stop
    model.generation_config.pad_token_id = stop[-1]
    with filling(folder, "protege tiny-base") as part:
        with without_bars():
            model.save_pretrained(part)
        save_processor(processor, part)
    return folder


def copy_base(folder: Path) -> Path:
    """Copy the tiny base that comes with protege, trained on the arena (see its base.json); returns the folder."""
    require_free(folder)
    source = Path(str(files("protege.vlm") / "data" / "base"))
    with filling(folder, "protege tiny-base") as part:
        shutil.copytree(source, part, dirs_exist_ok=True)
    return folder


def require_free(folder: Path) -> None:
    """UserError unless a new folder can be made there, or an empty one is."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; choose another folder or remove it first")


@contextmanager
def filling(folder: Path, doing: str) -> Iterator[Path]:
    """Yields a folder to write a model into, which becomes `folder` as a whole. doing: the command, for its lock.

    ProtegeError that names the folder where the libraries that write there cannot, since the disk is full, say.
    """
    require_free(folder)
    with staged(folder, doing, replace=folder.is_dir()) as part:
        try:
            yield part
        except OSError as error:
            reason = error.strerror or str(error)
        except Exception as error:  # safetensors has errors of its own
            if type(error).__name__ != "SafetensorError":
                raise
            reason = str(error)
        else:
            return
        raise ProtegeError(f"{folder}: cannot be written ({reason}); make room or choose another folder")


def save_processor(processor: "Qwen3VLProcessor", folder: Path) -> None:
    """Save a processor so that it loads with torchvision and without it."""
    from transformers import Idefics3Processor

    processor.save_pretrained(folder)
    if isinstance(processor, Idefics3Processor):
        return
    video = folder / "video_preprocessor_config.json"
    if vars(processor).get("video_processor") is None and not video.exists():
        # AutoProcessor, where torchvision works, refuses a folder without the video part
        image = processor.image_processor
        fields = {name: vars(image)[name] for name in ("patch_size", "temporal_patch_size", "merge_size")}
        fields |= {"image_mean": list(image.image_mean), "image_std": list(image.image_std)}
        video.write_text(json.dumps({"video_processor_type": "Qwen3VLVideoProcessor", **fields}, indent=1) + "\n")


def _processor() -> "FrameProcessor":
    from transformers import AutoTokenizer
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from protege.vlm.processor import FrameProcessor

    data = Path(str(files("protege.vlm") / "data"))
    image = Qwen2VLImageProcessorPil(
        patch_size=16,
        temporal_patch_size=2,
        merge_size=2,
        size={"shortest_edge": 32 * 32, "longest_edge": MAX_PIXELS},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    template = (data / "chat_template.jinja").read_text(encoding="utf-8")
    return FrameProcessor(image_processor=image, tokenizer=AutoTokenizer.from_pretrained(data), chat_template=template)


def _config(tokenizer: "PreTrainedTokenizerBase", size: TinySize) -> "Qwen3VLConfig":
    from transformers import Qwen3VLConfig

    def token(text: str) -> int:
        number = tokenizer.convert_tokens_to_ids(text)
        assert isinstance(number, int)
        return number

    heads = size.hidden // HEAD_DIM
    return Qwen3VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": size.hidden,
            "intermediate_size": size.hidden * 3,
            "num_hidden_layers": size.layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads // 2 if heads % 2 == 0 else heads,
            "head_dim": HEAD_DIM,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [6, 5, 5],  # time, height and width share the 16 pairs of a 32-wide head
                "mrope_interleaved": True,
            },
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_hidden,
            "intermediate_size": size.vision_hidden * 4,
            "num_heads": size.vision_hidden // HEAD_DIM,
            "patch_size": 16,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": size.hidden,
            "num_position_embeddings": POSITION_GRID**2,
            "deepstack_visual_indexes": list(size.deepstack),
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def _make_trainable(model: "Qwen3VLForConditionalGeneration") -> None:
    """Two corrections without which random weights hardly learn."""
    import torch

    # The last RMSNorm fixes the length of a hidden state, and with small tied embeddings every logit then stays
    # below 5: a model whose head is frozen (LoRA) could never be sure of anything.
    model.model.language_model.norm.weight.data.fill_(FINAL_NORM)
    # A random position table of scale 0.02 is drowned by the patch embedding: the model would not know where.
    line = torch.linspace(0, 1, POSITION_GRID)
    y, x = torch.meshgrid(line, line, indexing="ij")
    waves = torch.tensor([0.5, 1, 2, 4])[:, None, None] * torch.pi
    table = torch.cat([wave(waves * axis) for axis in (x, y) for wave in (torch.sin, torch.cos)])
    weight = model.model.visual.pos_embed.weight.data
    weight.copy_(POSITION_SCALE * table.reshape(len(table), -1).T.repeat(1, weight.shape[1] // len(table)))
