"""A model reads a prompt and one answer by its own forward pass and cache: slower than `Reader`, and its reference."""

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class ForwardReader:
    """Reads with one model, one prompt at a time; the same calls as `Reader`."""

    def __init__(self, body: Any) -> None:
        """body: a model of transformers without its head, such as a Qwen3_5Model."""
        self._body = body
        self._inputs: dict[str, Tensor] = {}
        self._answer: list[int] = []
        self._cache: Any = None

    def look(self, inputs: "dict[str, Tensor]") -> None:
        """Begin anew with pictures and their prompt; inputs as the model takes them."""
        self._inputs, self._answer, self._cache = inputs, [], None

    def read(self, tokens: list[int], rows: int) -> "Tensor":
        """(rows, hidden) after each of the last `rows` of the answer's tokens read so far."""
        import torch

        if self._cache is None:
            self._cache = self._body(**self._inputs, use_cache=True).past_key_values
        self._answer += tokens
        ids = torch.tensor([self._answer], device=self._inputs["input_ids"].device)
        # A copy each time: a cache with a recurrent state, as of linear attention, cannot be rolled back
        read = self._body(input_ids=ids, past_key_values=copy.deepcopy(self._cache), use_cache=True)
        return read.last_hidden_state[0, -rows:]

    def keep(self, count: int) -> None:
        """Forget all tokens of the answer but its first `count`."""
        del self._answer[count:]
