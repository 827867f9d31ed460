"""Exact decoding of an action chunk: only what carries information is computed, and drafts are verified in one pass.

The answer's fixed tokens are written by us and enter the model together with the last chosen action; of a slot's parts
(its keys, then an axis of the mouse after the other) only tokens of valid choices are scored; a guess of the whole
chunk is checked in one forward pass. The actions are those that constrained decoding of one token after another gives,
greedy or sampled.

Greedy decoding loses what is pressed for a moment: where one picture does not tell in which slot a key comes, "none" is
the likeliest in every one of them. With a `done_threshold` a chunk without a key is an answer only where all its slots
together are likely enough; otherwise the likeliest first press begins at once (see `Walk.pressing`).
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protege.agent.forward_reader import ForwardReader
from protege.agent.reader import Reader
from protege.core.actions import Action
from protege.vlm.family import QUICK
from protege.vlm.shape import AnswerShape
from protege.vlm.walk import Walk

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Chunk:
    """What was decoded. probabilities: (H,) of each slot's action among the valid ones; passes: forward passes."""

    actions: tuple[Action, ...]
    probabilities: tuple[float, ...]
    passes: int


class ChunkDecoder:
    """Decodes with one model; one chunk at a time."""

    def __init__(self, model: Any, shape: AnswerShape) -> None:
        import torch

        whole = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.shape = shape
        quick = whole.config.model_type in QUICK
        self.reader: Reader | ForwardReader = (
            Reader(whole.model, shape.longest) if quick else ForwardReader(whole.model)
        )
        tokens = shape.tokens()
        self._column = {token: column for column, token in enumerate(tokens)}
        self._tokens = torch.tensor(tokens, device=next(whole.parameters()).device)
        self._head = whole.lm_head
        plain = type(self._head) is torch.nn.Linear and self._head.bias is None
        self._rows = self._head.weight.detach()[self._tokens].T.contiguous() if plain else None

    def decode(
        self,
        inputs: "dict[str, Tensor]",
        draft: Sequence[Action] | None = None,
        temperature: float = 0.0,
        rng: random.Random | None = None,
        done_threshold: float | None = None,
    ) -> Chunk:
        """The chunk that answers a question.

        inputs: of one picture and prompt, as the model takes them; draft: H guessed actions, which change how many
        passes it takes and nothing else; temperature: above 0, slots are sampled with `rng`; done_threshold: how likely
        it must be that no slot holds a key for a greedy chunk to hold none, None for plain greedy decoding.
        """
        import torch

        walk = Walk(self.shape, None if draft is None else self.shape.choices(draft))
        choose = _Chooser(temperature, rng)
        with torch.inference_mode():
            self.reader.look(inputs)
            passes = self._finish(walk, 0, choose)
            if done_threshold is not None and temperature <= 0 and walk.idle and walk.probability < done_threshold:
                walk, known = walk.pressing()
                self.reader.keep(known)
                passes += self._finish(walk, known, choose)
        return Chunk(self.shape.actions(walk.choices), tuple(walk.probabilities), passes)

    def _finish(self, walk: Walk, fed: int, choose: "_Chooser") -> int:
        """Walk on to the answer's end; return the passes it took. fed: tokens of the answer that were read already."""
        passes = 0
        while not walk.finished:
            ahead = walk.ahead()
            scores = self._scores(walk.out[fed:] + ahead, len(ahead) + 1)
            passes += 1
            fed = len(walk.out)
            fed += walk.advance(ahead, lambda row, options, s=scores: self._pick(s[row], options, choose))
            self.reader.keep(fed)
        return passes

    def _scores(self, tokens: list[int], rows: int) -> NDArray[np.float32]:
        """(rows, choices) logits of `shape.tokens()` after each of the last `rows` of the tokens."""
        hidden = self.reader.read(tokens, rows)
        scores = hidden @ self._rows if self._rows is not None else self._head(hidden)[:, self._tokens]
        return scores.float().cpu().numpy()

    def _pick(self, scores: NDArray[np.float32], options: list[int], choose: "_Chooser") -> tuple[int, list[float]]:
        """The place of one of the tokens that may follow, and the probabilities of all of them."""
        logits = [float(scores[self._column[token]]) for token in options]
        best = max(logits)
        weights = [math.exp(logit - best) for logit in logits]
        total = sum(weights)
        return choose(logits), [weight / total for weight in weights]


class _Chooser:
    """Chooses the best of some logits, or samples them."""

    def __init__(self, temperature: float, rng: random.Random | None) -> None:
        self._temperature = temperature
        self._rng = rng or random.Random()

    def __call__(self, logits: list[float]) -> int:
        best = max(logits)
        if self._temperature <= 0:
            return logits.index(best)
        weights = [math.exp((logit - best) / self._temperature) for logit in logits]
        return self._rng.choices(range(len(logits)), weights)[0]
