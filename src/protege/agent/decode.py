"""Exact decoding of an action chunk: only what carries information is computed, and drafts are verified in one pass.

The answer's fixed tokens are written by us and enter the model together with the last chosen action; in a slot only
tokens of valid actions are scored; a guess of the whole chunk is checked in one forward pass. The actions are those
that constrained decoding of one token after another gives, greedy or sampled.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protege.agent.reader import Reader
from protege.agent.shape import AnswerShape, Node
from protege.core.actions import Action

if TYPE_CHECKING:
    from torch import Tensor

Pick = Callable[[int, list[int]], tuple[int, float]]
"""Of a row of scores and the tokens that may follow: the chosen one and its probability among them."""


@dataclass(frozen=True)
class Chunk:
    """What was decoded. probabilities: (H,) of each slot's action among the valid ones; passes: forward passes."""

    actions: tuple[Action, ...]
    probabilities: tuple[float, ...]
    passes: int


class ChunkDecoder:
    """Decodes with one Qwen3-VL; one chunk at a time."""

    def __init__(self, model: Any, shape: AnswerShape) -> None:
        import torch

        whole = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.shape = shape
        longest = max(range(len(shape.actions)), key=lambda choice: len(shape.spelled[choice]))
        self.reader = Reader(whole.model, len(shape.ids([longest] * shape.horizon)))
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
    ) -> Chunk:
        """The chunk that answers a question.

        inputs: of one picture and prompt, as the model takes them; draft: H guessed actions, which change how many
        passes it takes and nothing else; temperature: above 0, slots are sampled with `rng`.
        """
        import torch

        walk = _Walk(self.shape, None if draft is None else [self.shape.choice(a) for a in draft])
        choose = _Chooser(temperature, rng)
        fed = passes = 0
        with torch.inference_mode():
            self.reader.look(inputs)
            while not walk.finished:
                ahead = walk.ahead()
                scores = self._scores(walk.out[fed:] + ahead, len(ahead) + 1)
                passes += 1
                known = len(walk.out)
                agreed = walk.advance(ahead, lambda row, options, s=scores: self._pick(s[row], options, choose))
                if (wrong := len(ahead) - agreed) and not walk.finished:
                    self.reader.take_back(wrong)
                fed = known + agreed
        actions = tuple(self.shape.actions[choice] for choice in walk.choices)
        return Chunk(actions, tuple(walk.probabilities), passes)

    def _scores(self, tokens: list[int], rows: int) -> NDArray[np.float32]:
        """(rows, choices) logits of `shape.tokens()` after each of the last `rows` of the tokens."""
        hidden = self.reader.read(tokens, rows)
        scores = hidden @ self._rows if self._rows is not None else self._head(hidden)[:, self._tokens]
        return scores.float().cpu().numpy()

    def _pick(self, scores: NDArray[np.float32], options: list[int], choose: "_Chooser") -> tuple[int, float]:
        """One of the tokens that may follow, and its probability among them."""
        logits = [float(scores[self._column[token]]) for token in options]
        best = max(logits)
        weights = [math.exp(logit - best) for logit in logits]
        number = choose(logits)
        return options[number], weights[number] / sum(weights)


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


class _Walk:
    """Where in an answer we are. out: its tokens so far, always up to the next real choice."""

    def __init__(self, shape: AnswerShape, draft: list[int] | None) -> None:
        self.shape = shape
        self.draft = draft
        self.out = list(shape.head)
        self.choices: list[int] = []
        self.probabilities: list[float] = []
        self._node: Node = shape.root
        self._probability = 1.0

    @property
    def finished(self) -> bool:
        return len(self.choices) == self.shape.horizon

    def ahead(self) -> list[int]:
        """Tokens that probably follow: the shortest end of an action that was begun, then the draft."""
        slot = len(self.choices)
        guess: list[int] = []
        if self._node is not self.shape.root:
            guess = self._node.completion()
            slot += 1
            if slot < self.shape.horizon:
                guess += self.shape.sep
        if self.draft is not None:
            for number in range(slot, self.shape.horizon):
                guess += self.shape.spelled[self.draft[number]]
                guess += self.shape.sep if number < self.shape.horizon - 1 else ()
            if slot < self.shape.horizon and not self._choice_after(self.draft[-1]):
                guess.pop()  # nothing is decided after the last action's last token, so it need not be read
        return guess

    def _choice_after(self, choice: int) -> bool:
        node = self.shape.root
        for token in self.shape.spelled[choice]:
            node = node.children[token]
        return bool(node.children)

    def advance(self, ahead: list[int], pick: Pick) -> int:
        """Accept drafted tokens until the first mismatch; return how many of `ahead` matched.

        pick(row, options): the token chosen from options by the scores after `row` tokens of `ahead`.
        """
        agreed, known = 0, True
        while not self.finished:
            slot = len(self.choices)
            options = self.shape.options(self._node, slot)
            if len(options) == 1:
                token = options[0]
            elif known:
                token, probability = pick(agreed, options)
                self._probability *= probability
            else:
                break
            for taken in self._take(token, slot):
                self.out.append(taken)
                known = known and agreed < len(ahead) and ahead[agreed] == taken
                agreed += known
        return agreed

    def _take(self, token: int, slot: int) -> tuple[int, ...]:
        """Goes on by a token; returns it, or the whole separator if it ended an action."""
        if self._node.choice is None or token != self.shape.ender(slot):
            self._node = self._node.children[token]
            return (token,)
        choice = self._node.choice
        self.choices.append(choice)
        if self.draft is not None and self.draft[slot] != choice:
            # an action mostly goes on: guessing that takes 1.3 passes where keeping the old guess takes 1.5
            self.draft[slot:] = [choice] * (self.shape.horizon - slot)
        self.probabilities.append(self._probability)
        self._node, self._probability = self.shape.root, 1.0
        return self.shape.sep if slot < self.shape.horizon - 1 else ()
