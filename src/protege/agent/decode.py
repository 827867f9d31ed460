"""Exact decoding of an action chunk: only what carries information is computed, and drafts are verified in one pass.

The answer's fixed tokens are written by us and enter the model together with the last chosen action; in a slot only
tokens of valid actions are scored; a guess of the whole chunk is checked in one forward pass. The actions are those
that constrained decoding of one token after another gives, greedy or sampled.

Greedy decoding loses what is pressed for a moment: where one picture does not tell in which slot a key comes, "none" is
the likeliest in every one of them. With a `done_threshold` a chunk without a key is an answer only where all its slots
together are likely enough; otherwise the likeliest first press begins at once (see `_Walk.pressing`).
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protege.agent.forward_reader import ForwardReader
from protege.agent.reader import Reader
from protege.agent.shape import AnswerShape, Node
from protege.core.actions import NO_KEYS, Action
from protege.vlm.family import QUICK

if TYPE_CHECKING:
    from torch import Tensor

Pick = Callable[[int, list[int]], tuple[int, list[float]]]
"""Of a row of scores and the tokens that may follow: the place of the chosen one, and the probabilities of all."""


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
        quick = whole.config.model_type in QUICK
        room = len(shape.ids([longest] * shape.horizon))
        self.reader: Reader | ForwardReader = Reader(whole.model, room) if quick else ForwardReader(whole.model)
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

        walk = _Walk(self.shape, None if draft is None else [self.shape.choice(a) for a in draft])
        choose = _Chooser(temperature, rng)
        with torch.inference_mode():
            self.reader.look(inputs)
            passes = self._finish(walk, 0, choose)
            if done_threshold is not None and temperature <= 0 and walk.idle and walk.probability < done_threshold:
                walk, known = walk.pressing()
                self.reader.keep(known)
                passes += self._finish(walk, known, choose)
        actions = tuple(self.shape.actions[choice] for choice in walk.choices)
        return Chunk(actions, tuple(walk.probabilities), passes)

    def _finish(self, walk: "_Walk", fed: int, choose: "_Chooser") -> int:
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


class _Walk:
    """Where in an answer we are. out: its tokens so far, always up to the next real choice; first_press: how likely the
    first key of a chunk begins with these tokens, in each slot it could come in, as far as the walk went without a key.
    """

    def __init__(self, shape: AnswerShape, draft: list[int] | None) -> None:
        self.shape = shape
        self.draft = draft
        self.out = list(shape.head)
        self.choices: list[int] = []
        self.probabilities: list[float] = []
        self.first_press: dict[tuple[int, ...], list[float]] = {}
        self._none = shape.actions.index(NO_KEYS)
        self._node: Node = shape.root
        self._begun: tuple[int, ...] = ()  # tokens of the action at `_node`
        self._probability = 1.0

    @property
    def finished(self) -> bool:
        return len(self.choices) == self.shape.horizon

    @property
    def idle(self) -> bool:
        """Whether no key was chosen so far."""
        begun = self.shape.spelled[self._none][: len(self._begun)]
        return self._begun == begun and all(choice == self._none for choice in self.choices)

    @property
    def probability(self) -> float:
        """Of all that was chosen so far."""
        return math.prod(self.probabilities) * self._probability

    def pressing(self) -> "tuple[_Walk, int]":
        """A walk whose first slot begins the likeliest first press of this one, which is over and found no key; and how
        many of its tokens both have in common.

        That a press begins with some tokens has the probability, summed over the slots, that no slot before holds a key
        and this one begins with them. Together with that of no key at all these add up to 1.
        """
        way = max(self.first_press, key=lambda tokens: sum(self.first_press[tokens]))
        walk = _Walk(self.shape, None)
        walk._probability = self.first_press[way][0]
        for token in way:
            walk.out += walk._take(token, 0)
        while not walk.finished and len(forced := self.shape.options(walk._node, len(walk.choices))) == 1:
            walk.out += walk._take(forced[0], len(walk.choices))
        walk.draft = [self._none] * self.shape.horizon  # what is pressed from standing still is mostly let go at once
        return walk, len(self.shape.head) + len(way) - 1

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

        pick(row, options): the place of the token chosen from options by the scores after `row` tokens of `ahead`, and
        the probabilities of all of them.
        """
        agreed, known = 0, True
        while not self.finished:
            slot = len(self.choices)
            options = self.shape.options(self._node, slot)
            if len(options) == 1:
                token = options[0]
            elif known:
                number, shares = pick(agreed, options)
                if self.idle:
                    self._note_first_press(options, shares)
                token = options[number]
                self._probability *= shares[number]
            else:
                break
            for taken in self._take(token, slot):
                self.out.append(taken)
                known = known and agreed < len(ahead) and ahead[agreed] == taken
                agreed += known
        return agreed

    def _note_first_press(self, options: list[int], shares: list[float]) -> None:
        """Note of each token but that of "none" that a key, the first one, may come now and begin with it."""
        slot, depth = len(self.choices), len(self._begun)
        ender, none = self.shape.ender(slot), self.shape.spelled[self._none]
        quiet = none[depth] if depth < len(none) else ender
        for token, share in zip(options, shares, strict=True):
            if token != quiet:
                way = (*self._begun, self.shape.ender(0) if token == ender else token)
                self.first_press.setdefault(way, []).append(self.probability * share)

    def _take(self, token: int, slot: int) -> tuple[int, ...]:
        """Goes on by a token; returns it, or the whole separator if it ended an action."""
        if self._node.choice is None or token != self.shape.ender(slot):
            self._node = self._node.children[token]
            self._begun += (token,)
            return (token,)
        choice = self._node.choice
        self.choices.append(choice)
        if self.draft is not None and self.draft[slot] != choice:
            # an action mostly goes on: guessing that takes 1.3 passes where keeping the old guess takes 1.5
            self.draft[slot:] = [choice] * (self.shape.horizon - slot)
        self.probabilities.append(self._probability)
        self._node, self._begun, self._probability = self.shape.root, (), 1.0
        return self.shape.sep if slot < self.shape.horizon - 1 else ()
