"""A Qwen3-VL reads a prompt and one answer, in as little time as a live picture allows.

Its own layers, called without what one stream does not need: where tokens and patches stand is the same for every frame
of a goal and is kept; the cache has room for the longest answer from the start, so rollback moves an
index; the last layer computes only the rows that somebody asks for.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor, device, nn

FEW_ROWS: Final = 12
FEW_WEIGHTS: Final = 1_000_000
"""Below both, calling oneDNN costs more than it saves."""

Rope = tuple["Tensor", "Tensor"]
"""cos and sin, (tokens, D) each, that turn D numbers by where they stand."""


@dataclass(frozen=True)
class _Prompt:
    """image: which of its tokens are the picture's; rope: of its tokens and of the longest answer's."""

    image: slice
    rope: Rope


class Reader:
    """Reads with one model, one picture at a time; not for two threads."""

    def __init__(self, body: Any, answer_tokens: int) -> None:
        """body: a Qwen3VLModel, whose matmuls are replaced in place on a CPU; answer_tokens: of the longest answer."""
        self._body, self._visual, self._text = body, body.visual, body.language_model
        if next(body.parameters()).device.type == "cpu":
            _quicken(body)
        self._answer_tokens = answer_tokens
        self._grids: dict[tuple[int, ...], tuple[Tensor, Rope]] = {}
        self._prompts: dict[tuple[int, ...], _Prompt] = {}
        self._cache: Tensor = next(body.parameters()).new_empty(0, 0)
        self._prompt: _Prompt | None = None
        self._asked = self._cache
        self._deep: list[Tensor] = []
        self._length = 0

    def look(self, inputs: "dict[str, Tensor]") -> None:
        """Begin anew with a picture and its prompt; inputs as the model takes them, of one picture."""
        ids, grid = inputs["input_ids"], tuple(inputs["image_grid_thw"][0].tolist())
        self._prompt = prompt = self._of_prompt(inputs, grid)
        features, self._deep = self._see(inputs["pixel_values"], grid)
        self._asked = self._text.embed_tokens(ids)
        self._asked[:, prompt.image] = features.to(self._asked.dtype)
        room = ids.shape[1] + self._answer_tokens
        if self._cache.shape[-2] != room:
            attention = self._text.layers[0].self_attn
            kv_heads = self._text.config.num_key_value_heads
            self._cache = self._asked.new_empty(len(self._text.layers), 2, 1, kv_heads, room, attention.head_dim)
        self._length = 0

    def read(self, tokens: list[int], rows: int) -> "Tensor":
        """(rows, hidden) after each of the last `rows` of the tokens read so far; the first call reads the prompt."""
        import torch

        hidden = self._text.embed_tokens(torch.tensor([tokens], device=self._cache.device))
        if self._length == 0:
            hidden = torch.cat([self._asked, hidden], 1)
        count = hidden.shape[1]
        last = len(self._text.layers) - 1
        for number, layer in enumerate(self._text.layers):
            hidden = self._layer(number, layer, hidden, rows if number == last else count)
            if self._length == 0 and number < len(self._deep):
                self._add_deep(hidden, number, count)
        self._length += count
        return self._text.norm(hidden)[0]

    def keep(self, count: int) -> None:
        """Forget all tokens of the answer but its first `count`; the prompt has been read."""
        self._length = self._asked.shape[1] + count

    def _layer(self, number: int, layer: Any, hidden: "Tensor", rows: int) -> "Tensor":
        """(1, rows, hidden) after a layer; keys and values of all tokens go into the cache."""
        import torch

        assert self._prompt is not None
        attention, count = layer.self_attn, hidden.shape[1]
        start, stop = self._length, self._length + count
        cos, sin = (part[start:stop] for part in self._prompt.rope)
        normed = layer.input_layernorm(hidden)
        keys, values = self._cache[number][..., :stop, :]
        shape = (1, count, -1, attention.head_dim)
        keys[..., start:, :] = _turned(attention.k_norm(attention.k_proj(normed).view(shape)).transpose(1, 2), cos, sin)
        values[..., start:, :] = attention.v_proj(normed).view(shape).transpose(1, 2)
        asked = attention.q_norm(attention.q_proj(normed[:, -rows:]).view(1, rows, *shape[2:])).transpose(1, 2)
        causal = start == 0 and rows == count
        seen = torch.nn.functional.scaled_dot_product_attention(
            _turned(asked, cos[-rows:], sin[-rows:]),
            keys,
            values,
            attn_mask=None if causal or rows == 1 else _earlier(rows, stop, hidden.device),
            is_causal=causal and rows > 1,
            scale=attention.scaling,
            enable_gqa=True,
        )
        hidden = hidden[:, -rows:] + attention.o_proj(seen.transpose(1, 2).reshape(1, rows, -1))
        return hidden + layer.mlp(layer.post_attention_layernorm(hidden))

    def _add_deep(self, hidden: "Tensor", number: int, count: int) -> None:
        """What an early layer of the vision tower saw goes into a text layer's rows of the picture."""
        assert self._prompt is not None
        left = count - hidden.shape[1]
        start, stop = (max(0, at - left) for at in (self._prompt.image.start, self._prompt.image.stop))
        if stop > start:
            hidden[:, start:stop] += self._deep[number][start - stop :].to(hidden.dtype)

    def _see(self, pixels: "Tensor", grid: tuple[int, ...]) -> "tuple[Tensor, list[Tensor]]":
        """(tokens, hidden) of a picture, and the same from each of the layers that feed text layers directly."""
        import torch

        table, (cos, sin) = self._of_grid(pixels, grid)
        visual = self._visual
        hidden = visual.patch_embed(pixels) + table
        deep = []
        for number, block in enumerate(visual.blocks):
            attention = block.attn
            mixed = attention.qkv(block.norm1(hidden)).view(len(hidden), 3, attention.num_heads, -1)
            asked, keys, values = mixed.permute(1, 2, 0, 3)[:, None]
            seen = torch.nn.functional.scaled_dot_product_attention(
                _turned(asked, cos, sin), _turned(keys, cos, sin), values, scale=attention.scaling
            )
            hidden = hidden + attention.proj(seen[0].transpose(0, 1).reshape(len(hidden), -1))
            hidden = hidden + block.mlp(block.norm2(hidden))
            if number in visual.deepstack_visual_indexes:
                merger = visual.deepstack_merger_list[list(visual.deepstack_visual_indexes).index(number)]
                deep.append(merger(hidden))
        return visual.merger(hidden), deep

    def _of_grid(self, pixels: "Tensor", grid: tuple[int, ...]) -> "tuple[Tensor, Rope]":
        """The position table and the rope of a grid's patches, as the vision tower itself finds them."""
        import torch

        if grid not in self._grids:
            found: dict[str, Any] = {}

            def keep(_: object, args: "tuple[Tensor, ...]", given: dict[str, Rope]) -> None:
                found.update(given, table=args[0])
                raise _Enough

            visual = self._visual
            hooks = [
                visual.patch_embed.register_forward_hook(lambda _, args, out: torch.zeros_like(out)),
                visual.blocks[0].register_forward_pre_hook(keep, with_kwargs=True),
            ]
            with suppress(_Enough):
                visual(pixels, grid_thw=torch.tensor([grid], device=pixels.device))
            for hook in hooks:
                hook.remove()
            self._grids[grid] = found["table"], found["position_embeddings"]
        return self._grids[grid]

    def _of_prompt(self, inputs: "dict[str, Tensor]", grid: tuple[int, ...]) -> _Prompt:
        """What is the same for every frame with this prompt."""
        import torch

        ids, kinds = inputs["input_ids"], inputs["mm_token_type_ids"]
        start = int(kinds[0].argmax())
        key = (ids.shape[1], start, *grid)
        if key not in self._prompts:
            answer = torch.zeros_like(ids[:, :1]).expand(1, self._answer_tokens)
            places, _ = self._body.get_rope_index(
                torch.cat([ids, answer], 1),
                torch.cat([kinds, torch.zeros_like(answer, dtype=kinds.dtype)], 1),
                image_grid_thw=inputs["image_grid_thw"],
            )
            cos, sin = self._text.rotary_emb(self._text.embed_tokens(ids), places)
            self._prompts[key] = _Prompt(slice(start, start + int(kinds.sum())), (cos[0], sin[0]))
        return self._prompts[key]


class _Enough(Exception):
    """The rest of a forward pass is not needed."""


def _turned(x: "Tensor", cos: "Tensor", sin: "Tensor") -> "Tensor":
    """Rotary position embedding of (…, tokens, D); computed as wide as cos and sin are."""
    import torch

    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), -1)
    return (x * cos + turned * sin).to(x.dtype)


def _earlier(rows: int, tokens: int, device: "device") -> "Tensor":
    """(rows, tokens) bool: which tokens each of the last `rows` may see."""
    import torch

    at = torch.arange(tokens, device=device)
    return at <= at[-rows:, None]


def _quicken(body: "nn.Module") -> None:
    """Faster CPU matmuls, in place, equal up to rounding.

    Plain products go to oneDNN, which torch itself asks only for other numbers than float32: two to three times quicker
    than its own for few rows, as here. The cut of a picture into patches is one of them too: its steps are as long as
    its kernel, and as a convolution it takes 15 times as long.
    """
    import torch

    product = getattr(torch.ops.mkldnn, "_linear_pointwise", None)

    class Product(torch.nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            rows = input.numel() // self.in_features
            small = rows == 1 or (rows < FEW_ROWS and self.weight.numel() < FEW_WEIGHTS)
            if product is None or small or input.dtype != torch.float32:
                return super().forward(input)
            return product(input, self.weight, self.bias, "none", [], "")

    class Patches(Product):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input.flatten(1))

    def made(kind: type[torch.nn.Linear], weight: torch.Tensor, bias: torch.Tensor | None) -> torch.nn.Linear:
        linear = kind(*weight.T.shape, bias=bias is not None, device="meta")
        linear.weight = torch.nn.Parameter(weight.detach(), requires_grad=False)
        if bias is not None:
            linear.bias = torch.nn.Parameter(bias.detach(), requires_grad=False)
        return linear

    for module in list(body.modules()):
        for name, part in list(module.named_children()):
            if type(part) is torch.nn.Linear:
                setattr(module, name, made(Product, part.weight, part.bias))
            elif type(part) is torch.nn.Conv3d and part.stride == part.kernel_size:
                setattr(module, name, made(Patches, part.weight.flatten(1), part.bias))
