"""Batched predictions where a slot is more than one token: long names of keys, chords, axes of the mouse.

Every slot is read as the agent reads it, by the small grammar of `vlm.shape`: each token among those that may follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from protege.training.collate import Batch
from protege.vlm.shape import AnswerShape, Node
from protege.vlm.walk import Walk

_BY_TOKEN: Final = ("input_ids", "attention_mask", "mm_token_type_ids")
"""Of a model's inputs, those with a number for every token."""
MOST_PASSES: Final = 24
"""The probabilities of all first keys are not worth more forward passes than these; chords would take hundreds."""


@dataclass(frozen=True)
class Spelled:
    """Predictions for a batch of B samples with H slots of P parts.

    choices: (B, H, P) greedy ones; truth_logp: (B, H) of the true slots, given the true ones before; first_probs:
    (B, C) of each choice of the first slot's keys, None with chords.
    """

    choices: NDArray[np.int64]
    truth_logp: NDArray[np.float64]
    first_probs: NDArray[np.float64] | None


class Speller:
    """A batch of questions, to which answers are read that are as long as they like."""

    def __init__(
        self, body: torch.nn.Module, weight: torch.Tensor, inputs: Batch, starts: list[int], shape: AnswerShape
    ) -> None:
        """body: a model without its head; weight: the head's; inputs: as it takes them; starts: where answers begin."""
        self.body, self.inputs, self.starts, self.shape = body, inputs, starts, shape
        self.columns = {token: column for column, token in enumerate(shape.tokens())}
        self.weight = weight[torch.tensor(shape.tokens(), device=weight.device)]

    def predict(self, truth: Sequence[Sequence[int]]) -> Spelled:
        """truth: (B, places) the true choices."""
        walks = [Walk(self.shape, list(choices)) for choices in truth]
        true = [Walk(self.shape, list(choices)) for choices in truth]
        ahead = [walk.ahead() for walk in walks]
        scores = self.scores([walk.out for walk in walks], ahead)
        for walk, choices, tokens, rows in zip(true, truth, ahead, scores, strict=True):
            said = self.shape.ids(choices)[len(self.shape.head) :]
            walk.advance(tokens, lambda row, options, t=said, s=rows: self._said(s[row], options, t, row))
        while True:
            for walk, tokens, rows in zip(walks, ahead, scores, strict=True):
                walk.advance(tokens, lambda row, options, s=rows: self._best(s[row], options))
            if all(walk.finished for walk in walks):
                break
            ahead = [[] if walk.finished else walk.ahead() for walk in walks]
            scores = self.scores([walk.out for walk in walks], ahead)
        chosen = np.array([walk.choices for walk in walks]).reshape(len(walks), self.shape.horizon, -1)
        logp = np.log(np.maximum([walk.probabilities for walk in true], 1e-300))
        return Spelled(chosen, logp, self.first_probs())

    def done(self) -> NDArray[np.float64]:
        """(B,) how likely no slot holds a key or turns the view; 0 where greedy decoding does, which never means done.

        One pass is enough: greedy decoding takes the same tokens as long as each is the best.
        """
        rest = [part.rest for part in self.shape.parts] * self.shape.horizon
        walks = [Walk(self.shape, list(rest)) for _ in self.starts]
        ahead = walks[0].ahead()
        for walk, rows in zip(walks, self.scores([walk.out for walk in walks], [ahead] * len(walks)), strict=True):
            walk.advance(ahead, lambda row, options, s=rows: self._best(s[row], options))
        return np.array([walk.probability if walk.finished and walk.idle else 0.0 for walk in walks])

    def first_probs(self) -> NDArray[np.float64] | None:
        """(B, C) how likely the first slot's keys are each of their choices."""
        part = self.shape.parts[0]
        if _undecided(part.root) > MOST_PASSES:
            return None
        found = np.zeros((len(self.starts), len(part.choices)))

        def visit(tokens: list[int], node: Node, reach: NDArray[np.float64]) -> None:
            """Share out among what may follow the probability that the answer begins with these tokens."""
            ends = reach
            if node.children and (len(node.children) > 1 or node.choice is not None):
                options = self.shape.options(node, 0)
                scores = self.scores([[*self.shape.head, *tokens]] * len(found), [[]] * len(found))
                shares = np.array([self._of(row[0], options)[1] for row in scores])
                for token, child in node.children.items():
                    visit([*tokens, token], child, reach * shares[:, options.index(token)])
                ends = reach * shares[:, [i for i, token in enumerate(options) if token not in node.children]].sum(1)
            else:
                for token, child in node.children.items():
                    visit([*tokens, token], child, reach)
            if node.choice is not None:
                found[:, node.choice] = ends

        visit([], part.root, np.ones(len(found)))
        return found

    def scores(self, out: Sequence[list[int]], ahead: Sequence[list[int]]) -> list[NDArray[np.float32]]:
        """For each sample the scores of `shape.tokens()` after `out` and after each token of `ahead`: (1 + a, T)."""
        old = {name: self.inputs[name] for name in _BY_TOKEN if name in self.inputs}
        answers = [[*said, *guess] for said, guess in zip(out, ahead, strict=True)]
        length = max(start + len(answer) for start, answer in zip(self.starts, answers, strict=True))
        read = {name: row.new_zeros(len(answers), length) for name, row in old.items()}
        for i, (start, answer) in enumerate(zip(self.starts, answers, strict=True)):
            for name, row in old.items():
                read[name][i, :start] = row[i, :start]
            said = torch.tensor(answer, device=read["input_ids"].device)
            read["input_ids"][i, start : start + len(answer)] = said
            read["attention_mask"][i, start : start + len(answer)] = 1
        hidden = self.body(**{**self.inputs, **read}, use_cache=False).last_hidden_state
        found = []
        for i, (start, said, guess) in enumerate(zip(self.starts, out, ahead, strict=True)):
            rows = hidden[i, start + len(said) - 1 : start + len(said) + len(guess)]
            found.append((rows @ self.weight.T.to(rows.dtype)).float().cpu().numpy())
        return found

    def _of(self, scores: NDArray[np.float32], options: list[int]) -> tuple[NDArray[np.float64], list[float]]:
        logits = scores[[self.columns[token] for token in options]].astype(np.float64)
        weights = np.exp(logits - logits.max())
        return logits, (weights / weights.sum()).tolist()

    def _best(self, scores: NDArray[np.float32], options: list[int]) -> tuple[int, list[float]]:
        logits, shares = self._of(scores, options)
        return int(logits.argmax()), shares

    def _said(
        self, scores: NDArray[np.float32], options: list[int], tokens: list[int], row: int
    ) -> tuple[int, list[float]]:
        """The token that the answer has; behind its last one, the end."""
        token = tokens[row] if row < len(tokens) else self.shape.ender(self.shape.horizon - 1)
        return options.index(token), self._of(scores, options)[1]


def _undecided(node: Node) -> int:
    """Nodes from here on at which something is decided before the keys end."""
    here = bool(node.children) and (len(node.children) > 1 or node.choice is not None)
    return here + sum(map(_undecided, node.children.values()))
