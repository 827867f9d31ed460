"""Batched predictions: the likelihood of what was pressed, and the greedy answer.

The agent decodes one frame at a time and fast; this decodes batches, plainly, to the same greedy result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel

from protege.core.actions import Action, ActionSpace
from protege.learn.progress import Steps, silent
from protege.training.collate import IGNORED, Batch, Collator, model_inputs
from protege.training.spelled import Speller
from protege.vlm.inputs import AnswerTemplate
from protege.vlm.shape import AnswerShape

if TYPE_CHECKING:
    from protege.training.model import Network

BATCH: Final = 16


@dataclass(frozen=True)
class Predictions:
    """Predictions for N samples.

    pred: (N, H) greedy columns; truth_logp: (N, H) of the true slots, given the true ones before;
    first_probs: (N, K) probabilities of the first action's keys, None with chords; turned: (N, H, 2) greedy bins of the
    mouse, (N, H, 0) without one.
    """

    pred: NDArray[np.int64]
    truth_logp: NDArray[np.float64]
    first_probs: NDArray[np.float64] | None
    turned: NDArray[np.uint8]

    def actions(self, i: int, space: ActionSpace) -> list[Action]:
        """The H actions predicted for a sample; of a chord its first key."""
        return space.decode(np.arange(len(space)) == self.pred[i][:, None], self.turned[i])


@torch.no_grad()
def predict(
    model: "Network",
    collator: Collator,
    rows: NDArray[np.int64],
    *,
    goals: Sequence[str] | None = None,
    batch: int = BATCH,
    progress: Steps = silent,
) -> Predictions:
    """The model's predictions for samples of the collator's data. goals: one per row, to ask for instead of its own."""
    if (shape := _spelled(collator)) is not None:
        return _predict_spelled(model, collator, rows, shape, goals, batch, progress)
    columns = collator.data.columns
    preds, logps, firsts = [], [], []
    for part, asker in _askers(model, collator, rows, goals, batch, progress):
        truth = torch.from_numpy(columns[part])
        logits = asker.slot_logits(truth)
        logp = logits.log_softmax(-1)
        logps.append(logp.gather(-1, truth[..., None])[..., 0].numpy())
        firsts.append(logp[:, 0].exp().numpy())
        preds.append(asker.greedy(logits.argmax(-1)).numpy())
    joined = (np.concatenate(parts) for parts in (preds, logps, firsts))
    pred, logp, first = joined
    turned = np.zeros((*pred.shape, 0), np.uint8)
    return Predictions(pred, logp.astype(np.float64), first.astype(np.float64), turned)


def _spelled(collator: Collator) -> AnswerShape | None:
    """The shape of answers whose slots are more than one token; None where each is one, which is quicker to score."""
    data = collator.data.shape
    shape = AnswerShape.of(collator.tokens.tokenizer, data.space, data.horizon, data.chords, collator.tokens.lead)
    plain = len(shape.parts) == 1 and not data.chords and all(len(tokens) == 1 for tokens in shape.parts[0].spelled)
    return None if plain else shape


def _predict_spelled(
    model: "Network",
    collator: Collator,
    rows: NDArray[np.int64],
    shape: AnswerShape,
    goals: Sequence[str] | None,
    batch: int,
    progress: Steps,
) -> Predictions:
    """`predict` for answers of any shape."""
    data, parts = collator.data, []
    space = data.shape.space
    for part, speller in _spellers(model, collator, rows, shape, goals, batch, progress):
        truth = [shape.choices(data[int(row)].plan.steps) for row in part]
        parts.append(speller.predict(truth))
    keys = space.encode(shape.parts[0].choices).argmax(1)  # of each choice the first key's column
    chosen = np.concatenate([found.choices for found in parts])
    firsts = [found.first_probs for found in parts if found.first_probs is not None]
    return Predictions(
        keys[chosen[..., 0]],
        np.concatenate([found.truth_logp for found in parts]),
        np.concatenate(firsts) if firsts and not data.shape.chords else None,
        chosen[..., 1:].astype(np.uint8),
    )


@torch.no_grad()
def done_probabilities(
    model: "Network", collator: Collator, rows: NDArray[np.int64], *, batch: int = BATCH, progress: Steps = silent
) -> NDArray[np.float64]:
    """(N,) how likely no slot holds a key, in one pass; 0 where greedy decoding holds one, which never means "done"."""
    if (shape := _spelled(collator)) is not None:
        spellers = _spellers(model, collator, rows, shape, None, batch, progress)
        return np.concatenate([speller.done() for _, speller in spellers])
    none = len(collator.data.shape.space) - 1
    found = []
    for part, asker in _askers(model, collator, rows, None, batch, progress):
        logp = asker.slot_logits(torch.full((len(part), collator.data.shape.horizon), none)).log_softmax(-1)
        idle = (logp.argmax(-1) == none).all(1)
        found.append(torch.where(idle, logp[:, :, none].double().sum(1).exp(), 0.0).numpy())
    return np.concatenate(found)


def _askers(
    model: "Network",
    collator: Collator,
    rows: NDArray[np.int64],
    goals: Sequence[str] | None,
    batch: int,
    progress: Steps,
) -> "Iterator[tuple[NDArray[np.int64], _Asker]]":
    """Batches of rows with their questions, while the model is in evaluation mode."""
    data = collator.data
    tokens = collator.tokens
    template = AnswerTemplate.of(tokens.tokenizer, data.shape.space, data.shape.horizon, tokens.lead)
    ask = replace(collator.scoring(), actions_only=True)
    was_training = model.training
    model.eval()
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        inputs = _inputs(ask, part, None if goals is None else goals[start : start + batch])
        yield part, _Asker(model, inputs, template, ask)
        progress(start + len(part), len(rows))
    model.train(was_training)


def _spellers(
    model: "Network",
    collator: Collator,
    rows: NDArray[np.int64],
    shape: AnswerShape,
    goals: Sequence[str] | None,
    batch: int,
    progress: Steps,
) -> Iterator[tuple[NDArray[np.int64], Speller]]:
    """As `_askers`, for answers of any shape."""
    ask = replace(collator.scoring(), actions_only=False)
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    weight = whole.get_submodule("lm_head").get_parameter("weight")
    was_training = model.training
    model.eval()
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        asked = _inputs(ask, part, None if goals is None else goals[start : start + batch])
        starts = [int((row != IGNORED).nonzero()[0]) for row in asked.pop("labels")]
        moved = {k: v.to(weight.device) if hasattr(v, "to") else v for k, v in asked.items()}
        yield part, Speller(whole.get_submodule("model"), weight, model_inputs(moved, ask.pixels), starts, shape)
        progress(start + len(part), len(rows))
    model.train(was_training)


def _inputs(ask: Collator, rows: NDArray[np.int64], goals: Sequence[str] | None) -> Batch:
    if goals is None:
        return ask.batch([int(row) for row in rows])
    numbers = np.array([ask.data.goals.index(goal) for goal in goals], np.int32)
    part = ask.data.take(rows)
    return replace(ask, data=replace(part, goal=numbers)).batch(range(len(rows)))


class _Asker:
    """A batch of questions that is scored again and again, with other answers filled in."""

    def __init__(self, model: "Network", batch: Batch, template: AnswerTemplate, collator: Collator) -> None:
        whole = model.get_base_model() if isinstance(model, PeftModel) else model
        self.body, self.head = whole.get_submodule("model"), whole.get_submodule("lm_head")
        device = next(whole.parameters()).device
        labels = batch.pop("labels")
        self.slots = [torch.nonzero(row != IGNORED)[:, 0] for row in labels]  # actions only: exactly the H slots
        moved = {k: v.to(device) if hasattr(v, "to") else v for k, v in batch.items()}
        self.inputs = model_inputs(moved, collator.pixels)
        self.actions = torch.tensor(template.actions)
        self.rows = torch.arange(len(labels))[:, None]
        self.at = torch.stack(self.slots)

    def slot_logits(self, columns: torch.Tensor) -> torch.Tensor:
        """(B, H, K) float32 on the CPU: scores of every action in every slot, the slots before it being `columns`."""
        ids = self.inputs["input_ids"].clone()
        ids[self.rows, self.at] = self.actions[columns].to(ids.device)
        hidden = self.body(**{**self.inputs, "input_ids": ids}, use_cache=False).last_hidden_state
        before = hidden[self.rows.to(hidden.device), (self.at - 1).to(hidden.device)]
        weight = self.head.get_parameter("weight")[self.actions.to(hidden.device)]
        return (before @ weight.T.to(before.dtype)).float().cpu()

    def greedy(self, guess: torch.Tensor) -> torch.Tensor:
        """(B, H) what greedy decoding of slot after slot gives.

        Every pass makes at least one more slot right: a slot is final once all slots before it are. So H passes are
        enough, and a guess that its own pass confirms is final already.
        """
        for _ in range(guess.shape[1]):
            better = self.slot_logits(guess).argmax(-1)
            if torch.equal(better, guess):
                break
            guess = better
        return guess
