"""What a fine-tuning run will need, known before a weight is loaded: torch's meta device has shapes and no memory.

Of activations nothing is guessed: the layers run on the meta device, and what autograd would save is counted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from protege.core.files import Json
from protege.training.config import VisionConfig
from protege.vlm.family import FAMILIES, Family

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Part = tuple[Tensor, Callable[[Tensor], Any]]

TEXT_TOKENS: Final = 56
"""Of a question and its answer of seven actions, without pictures: 50 and a few for a longer goal."""
RECORDED: Final = (640, 480)
NF4_BYTES: Final = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight in 4 bits, its share of a block's 8-bit scale and of the scales' own scale."""
LOGIT_COPIES: Final = 3
"""float32 rows as long as the vocabulary that a token needs at once: logits, their softmax, their gradient."""
LOGIT_CHUNK: Final = 32768
"""Columns of the vocabulary that TRL computes at a time from 1.15 on, into a buffer that is always as wide."""
EIGHT_BIT: Final = 2 + 2 * 4 / 256
GIB: Final = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes by what they hold. pictures: pixels; activations: what the backward pass needs of the forward pass."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    pictures: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """The bytes by name."""
        return {field.name: int(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True)
class Needs:
    """What a run needs. parameters, trained: counts by group; picture_tokens, tokens: of a sample."""

    parameters: Mapping[str, int]
    trained: Mapping[str, int]
    picture_tokens: int
    tokens: int
    memory: Memory


def estimate(
    config: VisionConfig,
    fields: Mapping[str, Json],
    device: str,
    dtype: "torch.dtype",
    recorded: tuple[int, int] = RECORDED,
) -> Needs:
    """The needs of a run. fields: of the base's config.json; recorded: (width, height) of the data's frames."""

    family = FAMILIES[str(fields["model_type"])]
    network, trained = _network(config, fields, family, dtype)
    tiled = hasattr(network.base_model.model.model, "vision_model")
    pictures, picture_tokens = (_tiles if tiled else _pictures)(config, network.config, recorded)
    tokens = picture_tokens + TEXT_TOKENS
    batch = config.training.batch
    adapter = sum(weight.numel() * weight.element_size() for weight in network.parameters() if weight.requires_grad)
    count = sum(trained.values())
    on_gpu = device.startswith("cuda")
    small = config.training.optimizer in ("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit") or (
        config.training.optimizer == "auto" and on_gpu
    )
    memory = Memory(
        weights=_weights(config, fields, network, family),
        adapter=adapter,
        gradients=adapter,
        optimizer=round(count * EIGHT_BIT) if small else 2 * adapter,
        pictures=_pixel_bytes(network.config.vision_config) * batch * sum(rows * columns for rows, columns in pictures),
        activations=_activations(network, pictures, batch, tokens, config),
        logits=4 * batch * tokens * _logit_columns(network.config.text_config.vocab_size),
    )
    whole = _groups((name, weight) for name, weight in network.named_parameters() if "lora_" not in name)
    return Needs(whole, trained, picture_tokens, tokens, memory)


def _network(
    config: VisionConfig, fields: Mapping[str, Json], family: Family, dtype: "torch.dtype"
) -> "tuple[Any, dict[str, int]]":
    """The model with its adapter on the meta device, and the weights trained by group."""
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForImageTextToText

    from protege.training.model import lora_config
    from protege.training.run import known_warnings

    plain = {name: value for name, value in fields.items() if name not in ("model_type", "quantization_config")}
    shape = AutoConfig.for_model(str(fields["model_type"]), **plain)
    shape._attn_implementation = "sdpa"
    with torch.device("meta"), known_warnings():
        bare = AutoModelForImageTextToText.from_config(shape, dtype=dtype)
        network = get_peft_model(
            bare, lora_config(config.lora, family), autocast_adapter_dtype=not config.model.four_bit
        )
    if config.model.four_bit:
        kind = torch.float32 if dtype == torch.float16 else torch.bfloat16  # for loss scaling; else as TRL does
        for weight in network.parameters():
            weight.data = weight.data.to(kind) if weight.requires_grad else weight.data
    trained = _groups((name, weight) for name, weight in network.named_parameters() if weight.requires_grad)
    return network, trained


def _pixel_bytes(vision: Any) -> int:
    """Of a patch: bytes once, then float32 for each of its repetitions."""
    values = 3 * vision.patch_size**2
    return values + 4 * values * getattr(vision, "temporal_patch_size", 1)


def _logit_columns(vocabulary: int) -> int:
    """float32 numbers that a token's loss needs at once."""
    import trl

    if tuple(map(int, trl.__version__.split(".")[:2])) < (1, 15):
        return LOGIT_COPIES * vocabulary
    return LOGIT_CHUNK + LOGIT_COPIES * min(LOGIT_CHUNK, vocabulary)


def _groups(named: "Iterable[tuple[str, Tensor]]") -> dict[str, int]:
    """Counts of weights by what they belong to."""
    found: dict[str, int] = {"language": 0, "vision": 0, "merger": 0, "embeddings and head": 0}
    for name, weight in named:
        group = "vision" if "visual" in name or "vision_model" in name else "language"
        group = "merger" if "merger" in name or "connector" in name else group
        group = "embeddings and head" if "embed_tokens" in name or "lm_head" in name else group
        found[group] += weight.numel()
    return found


def _weights(config: VisionConfig, fields: Mapping[str, Json], network: "nn.Module", family: Family) -> int:
    """Bytes of the base; what is quantised is told by its own config.json, where that says so."""
    import torch

    stored = fields.get("quantization_config")
    skipped: Any = stored.get("llm_int8_skip_modules") if isinstance(stored, dict) else family.whole
    four_bit = config.model.four_bit or bool(stored)
    linear = {
        id(module.weight)
        for name, module in network.named_modules()
        if type(module) is torch.nn.Linear
        and four_bit
        and not any(f".{part}." in f".{name}." for part in skipped or ("lm_head",))
    }
    seen: dict[int, float] = {}
    for name, weight in network.named_parameters():
        if "lora_" not in name:
            each = NF4_BYTES if id(weight) in linear else weight.element_size()
            seen[id(weight)] = weight.numel() * each
    return round(sum(seen.values()))


def _pictures(config: VisionConfig, shape: Any, recorded: tuple[int, int]) -> tuple[list[tuple[int, int]], int]:
    """(rows, columns) of patches of each picture of a sample, and the tokens of all."""
    from protege.vlm.pixels import PixelSpec

    vision = shape.vision_config
    patch, merge = vision.patch_size, vision.spatial_merge_size
    spec = PixelSpec(patch, merge, vision.temporal_patch_size, (0.5,) * 3, (0.5,) * 3, 1, 1 << 40)
    grids = [spec.grid(*size) for size in _sizes(config, recorded)]
    return [grid[1:] for grid in grids], sum(len(spec.tokens(grid)) for grid in grids)


def _tiles(config: VisionConfig, shape: Any, recorded: tuple[int, int]) -> tuple[list[tuple[int, int]], int]:
    """(rows, columns) of patches of each tile of a sample, and their tokens: the processor's own choice."""
    from protege.vlm.load import load_processor
    from protege.vlm.pictures import pictures_of

    pictures = pictures_of(load_processor(config.model.base))
    grids = [pictures.grid(*size) for size in _sizes(config, recorded)]
    side = shape.vision_config.image_size // shape.vision_config.patch_size
    tiles = sum(rows * columns + 1 for _, rows, columns in grids)
    return [(side, side)] * tiles, sum(len(pictures.tokens(grid)) for grid in grids)


def _sizes(config: VisionConfig, recorded: tuple[int, int]) -> list[tuple[int, int]]:
    """(width, height) of each picture of a sample."""
    size = config.data.frame_size or recorded
    history = config.data.history.shown
    return [size] if history is None else [size, *[history.size(*size)] * history.frames]


class _Saved:
    """Counts the bytes that autograd saves: within it, of tensors that are no weights, each memory once."""

    def __init__(self, network: "nn.Module") -> None:
        self.bytes = 0
        self._weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
        self._held: dict[int, Any] = {}  # kept, so that no other memory takes its number

    def pack(self, tensor: "Tensor") -> "Tensor":
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights and storage._cdata not in self._held:
            self._held[storage._cdata] = storage
            self.bytes += storage.nbytes()
        return tensor


def _activations(network: Any, pictures: "list[tuple[int, int]]", batch: int, tokens: int, config: VisionConfig) -> int:
    """Bytes saved by a forward pass in training. With checkpointing: every layer's input, and all of one layer."""
    import torch

    body = network.base_model.model.model
    text = network.base_model.model.get_decoder()
    kind, factor = text.embed_tokens.weight.dtype, 1
    if getattr(text.config, "num_experts", 0) and kind == torch.float32:  # experts' products have no other on "meta"
        kind, factor = network.to(torch.bfloat16).dtype, 2
    read = torch.empty(batch, tokens, text.config.hidden_size, device="meta", dtype=kind, requires_grad=True)
    tiled = hasattr(body, "vision_model")
    looking = _looking_at_tiles if tiled else _looking
    parts = looking(body, pictures * batch, kind, config.lora.vision)
    places = torch.zeros((batch, tokens) if tiled else (3, batch, tokens), dtype=torch.long, device="meta")
    ropes = text.rotary_emb(read, places)
    parts += [(read, partial(layer, position_embeddings=ropes, attention_mask=None)) for layer in text.layers]
    with _counted_attention(network):
        found = [_saved(network, *part) for part in parts]
    if not config.training.gradient_checkpointing:
        return factor * sum(found)
    inputs = [given.numel() * given.element_size() for given, _ in parts]
    return factor * (sum(inputs) + max(found))


def _looking(body: Any, seen: "list[tuple[int, int]]", kind: "torch.dtype", learns: bool) -> "list[Part]":
    """The layers of Qwen3-VL's vision tower, each with its input: patches of all pictures are one stream."""
    import torch

    visual = body.visual
    counts = [rows * columns for rows, columns in seen]
    look = torch.empty(sum(counts), visual.config.hidden_size, device="meta", dtype=kind, requires_grad=learns)
    lengths = torch.tensor([0, *counts]).cumsum(0).int()
    half = visual.config.hidden_size // visual.config.num_heads
    turns = tuple(torch.empty(sum(counts), half, device="meta", dtype=kind) for _ in range(2))
    merged = [visual.merger, *getattr(visual, "deepstack_merger_list", ())]
    blocks = [partial(block, cu_seqlens=lengths, position_embeddings=turns) for block in visual.blocks]
    return [(look, layer) for layer in (*blocks, *merged)]


def _looking_at_tiles(body: Any, seen: "list[tuple[int, int]]", kind: "torch.dtype", learns: bool) -> "list[Part]":
    """The layers of SmolVLM's vision tower, each with its input: tiles are a batch of equal pictures."""
    import torch

    (rows, columns), width = seen[0], body.vision_model.config.hidden_size
    look = torch.empty(len(seen), rows * columns, width, device="meta", dtype=kind, requires_grad=learns)
    layers = [partial(layer, attention_mask=None) for layer in body.vision_model.encoder.layers]
    return [(look, layer) for layer in (*layers, body.connector)]


def _saved(network: "nn.Module", given: "Tensor", layer: "Callable[[Tensor], Any]") -> int:
    """Bytes that a layer saves, its input not counted twice where the layer before has saved it as its output."""
    import torch

    saved = _Saved(network)
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
        layer(given)
    return saved.bytes


@contextmanager
def _counted_attention(network: Any) -> "Iterator[None]":
    """Attention that saves what the fused kernels of a device save; on the meta device torch would take the plain way,
    which saves a number for every two tokens.
    """
    import torch
    from transformers import AttentionInterface

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: "Tensor", key: "Tensor", value: "Tensor") -> "Tensor":
            out = torch.empty_like(query)
            ctx.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1], dtype=torch.float32))
            return out

    def attention(_: object, query: "Tensor", key: "Tensor", value: "Tensor", *__: object, **___: object) -> Any:
        return Fused.apply(query, key, value).transpose(1, 2).contiguous(), None

    AttentionInterface.register("protege_counted", attention)
    network.train()
    before = network.config._attn_implementation
    for shape in (network.config, network.config.text_config, network.config.vision_config):
        shape._attn_implementation = "protege_counted"
    try:
        yield
    finally:
        network.config._attn_implementation = before
