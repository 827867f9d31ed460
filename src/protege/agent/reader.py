"""A Qwen3-VL reads a prompt and one answer, in as little time as a live picture allows.

Its own layers, called without what one stream does not need: where tokens and patches stand is the same for every frame
of a goal and is kept; the cache has room for the longest answer from the start, so rollback moves an
index; the last layer computes only the rows that somebody asks for. Earlier frames stand first in a prompt: what was
seen of them is kept, and their keys and values stay in the cache until the first of them that is another.
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


Grid = tuple[int, int, int]
"""(time, rows, columns) of a picture's patches."""


@dataclass(frozen=True)
class _Prompt:
    """pictures: which of its tokens are each picture's; rope: of its tokens and of the longest answer's."""

    pictures: tuple[slice, ...]
    rope: Rope


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture that was looked at. pixels: (patches, D); features: (tokens, hidden); deep: the same from each of the
    layers that feed text layers directly.
    """

    grid: Grid
    pixels: "Tensor"
    features: "Tensor"
    deep: "list[Tensor]"


class Reader:
    """Reads with one model, one prompt at a time; not for two threads."""

    def __init__(self, body: Any, answer_tokens: int) -> None:
        """body: a Qwen3VLModel, whose matmuls are replaced in place on a CPU; answer_tokens: of the longest answer."""
        self._body, self._visual, self._text = body, body.visual, body.language_model
        if next(body.parameters()).device.type == "cpu":
            _quicken(body)
        self._answer_tokens = answer_tokens
        self._grids: dict[Grid, tuple[Tensor, Rope]] = {}
        self._prompts: dict[tuple[int, ...], _Prompt] = {}
        self._cache: Tensor = next(body.parameters()).new_empty(0, 0)
        self._prompt: _Prompt | None = None
        self._ids = self._asked = self._cache
        self._seen: list[_Seen] = []
        self._length = 0

    def look(self, inputs: "dict[str, Tensor]") -> None:
        """Begin anew with pictures and their prompt; inputs as the model takes them, the newest picture the last."""
        ids = inputs["input_ids"]
        grids: list[Grid] = [(t, h, w) for t, h, w in inputs["image_grid_thw"].tolist()]
        *earlier, newest = zip(inputs["pixel_values"].split([t * h * w for t, h, w in grids]), grids, strict=True)
        prompt = self._of_prompt(inputs, grids)
        known = [self._again(*picture) for picture in earlier]
        same = self._in_common(ids, prompt, known)
        self._prompt, self._ids, self._seen = prompt, ids, [*known, self._see(*newest)]
        self._asked = self._text.embed_tokens(ids)
        for place, seen in zip(prompt.pictures, self._seen, strict=True):
            self._asked[:, place] = seen.features.to(self._asked.dtype)
        room = ids.shape[1] + self._answer_tokens
        if self._cache.shape[-2] < room:
            attention = self._text.layers[0].self_attn
            kv_heads = self._text.config.num_key_value_heads
            self._cache = self._asked.new_empty(len(self._text.layers), 2, 1, kv_heads, room, attention.head_dim)
            same = 0
        self._length = same

    def read(self, tokens: list[int], rows: int) -> "Tensor":
        """(rows, hidden) after each of the last `rows` of the tokens read so far; the first call reads the prompt."""
        import torch

        return self.read_ids(torch.tensor([tokens], device=self._cache.device), rows)

    def read_ids(self, ids: "Tensor", rows: int) -> "Tensor":
        """The same for tokens (1, L) on the model's device."""
        import torch

        hidden = self._text.embed_tokens(ids)
        if asked := self._length < self._asked.shape[1]:
            hidden = torch.cat([self._asked[:, self._length :], hidden], 1)
        count = hidden.shape[1]
        last = len(self._text.layers) - 1
        for number, layer in enumerate(self._text.layers):
            hidden = self._layer(number, layer, hidden, rows if number == last else count)
            if asked:
                self._add_deep(hidden, number, count)
        self._length += count
        return self._text.norm(hidden)[0]

    def keep(self, count: int) -> None:
        """Forget all tokens of the answer but its first `count`; the prompt has been read."""
        self._length = self._asked.shape[1] + count

    def _again(self, pixels: "Tensor", grid: Grid) -> _Seen:
        """An earlier picture, looked at only where it was not one of the last prompt's."""
        import torch

        for seen in self._seen:
            if seen.grid == grid and torch.equal(seen.pixels, pixels):
                return seen
        return self._see(pixels, grid)

    def _in_common(self, ids: "Tensor", prompt: _Prompt, earlier: list[_Seen]) -> int:
        """How many tokens the last prompt began with, too, and were read: of their keys and values none is another.

        A prompt without an earlier picture is read from its beginning.
        """
        if not earlier or self._prompt is None or self._length < self._asked.shape[1]:
            return 0
        most = min(prompt.pictures[-1].start, self._prompt.pictures[-1].start)
        for place, now, before in zip(prompt.pictures, earlier, self._seen, strict=False):
            if now is not before:
                most = min(most, place.start)
                break
        return int((ids[0, :most] == self._ids[0, :most]).cumprod(0).sum())

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
        """What an early layer of the vision tower saw goes into a text layer's rows of the pictures."""
        assert self._prompt is not None
        left = self._length + count - hidden.shape[1]
        for place, seen in zip(self._prompt.pictures, self._seen, strict=True):
            start, stop = (max(0, at - left) for at in (place.start, place.stop))
            if stop > start and number < len(seen.deep):
                hidden[:, start:stop] += seen.deep[number][start - stop :].to(hidden.dtype)

    def _see(self, pixels: "Tensor", grid: Grid) -> _Seen:
        """Look at a picture."""
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
        return _Seen(grid, pixels, visual.merger(hidden), deep)

    def _of_grid(self, pixels: "Tensor", grid: Grid) -> "tuple[Tensor, Rope]":
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

    def _of_prompt(self, inputs: "dict[str, Tensor]", grids: list[Grid]) -> _Prompt:
        """What is the same for every frame with this prompt."""
        import torch

        ids, kinds = inputs["input_ids"], inputs["mm_token_type_ids"]
        places = _pictures(kinds[0], [t * h * w // self._visual.spatial_merge_size**2 for t, h, w in grids])
        key = (ids.shape[1], *(place.start for place in places), *(side for grid in grids for side in grid))
        if key not in self._prompts:
            answer = torch.zeros_like(ids[:, :1]).expand(1, self._answer_tokens)
            positions, _ = self._body.get_rope_index(
                torch.cat([ids, answer], 1),
                torch.cat([kinds, torch.zeros_like(answer, dtype=kinds.dtype)], 1),
                image_grid_thw=inputs["image_grid_thw"],
            )
            cos, sin = self._text.rotary_emb(self._text.embed_tokens(ids), positions)
            self._prompts[key] = _Prompt(places, (cos[0], sin[0]))
        return self._prompts[key]


class _Enough(Exception):
    """The rest of a forward pass is not needed."""


def _pictures(kinds: "Tensor", counts: list[int]) -> tuple[slice, ...]:
    """Which tokens are the pictures'. kinds: (L,), 1 for a picture's token; counts: of tokens, by picture."""
    if len(counts) == 1:
        start = int(kinds.argmax())
        return (slice(start, start + counts[0]),)
    at = kinds.nonzero()[:, 0].tolist()
    firsts = [sum(counts[:number]) for number in range(len(counts))]
    return tuple(slice(at[first], at[first] + count) for first, count in zip(firsts, counts, strict=True))


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
