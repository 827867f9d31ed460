"""Token ids of prompts and answers, and the fixed template of an answer that training and decoding share."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.core.actions import ActionSpace
from protege.core.chat import question, reply
from protege.core.plan import HORIZON, Plan
from protege.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen3VLProcessor

CACHED: Final = 4096
"""Size of the caches of tokenised prompts and answers: a data set has few goals, and plans repeat."""


class Tokens:
    """Tokenises prompts and answers exactly as the stock processor does with its chat template.

    lead: what the template writes before an answer, a part of it; most write nothing.
    """

    def __init__(self, processor: "Qwen3VLProcessor", space: ActionSpace, horizon: int = HORIZON) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.space = space
        self.horizon = horizon
        self.image_id = int(processor.image_token_id)
        self.pad_id = int(self.tokenizer.pad_token_id)
        self.lead, self._end = self._around()
        self.prompt_parts = lru_cache(CACHED)(self._prompt_parts)
        self.answer = lru_cache(CACHED)(self._answer)

    def __reduce__(self) -> tuple[object, ...]:
        return Tokens, (self.processor, self.space, self.horizon)  # without the caches, which cannot be pickled

    def prompt(self, goal: str, *pictures: NDArray[np.int64]) -> NDArray[np.int64]:
        """(L,) ids of the question with its frames, up to where the answer starts.

        pictures: the tokens that stand for each frame (`Pictures.tokens`), the newest last.
        """
        first, *rest = self.prompt_parts(goal, len(pictures))
        parts = [first]
        for picture, text in zip(pictures, rest, strict=True):
            parts += [picture, text]
        return np.concatenate(parts)

    def _prompt_parts(self, goal: str, images: int) -> list[NDArray[np.int64]]:
        content = question(goal, [{"type": "image"}] * images, self.horizon)
        text = self._chat([{"role": "user", "content": content}])
        ids = np.array(self.tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
        at = np.flatnonzero(ids == self.image_id)[:images]  # a goal's own words come behind
        first, *rest = np.split(ids, at)
        return [first, *(part[1:] for part in rest)]

    def _chat(self, turns: list[dict[str, Any]], asks: bool = True) -> str:
        return str(self.processor.apply_chat_template(turns, add_generation_prompt=asks))

    def _around(self) -> tuple[str, str]:
        """What the chat template writes before an answer, behind the prompt's own end (SmolVLM: a space), and after."""
        turns: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
        asked = self._chat(turns)
        told = self._chat([*turns, {"role": "assistant", "content": [{"type": "text", "text": "ANSWER"}]}], asks=False)
        lead, answer, end = told.removeprefix(asked).partition("ANSWER")
        return (lead, end) if told.startswith(asked) and answer else ("", self.tokenizer.eos_token + "\n")

    def _answer(self, plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(A,) ids of the answer with its end of turn, and (A,) which of them spell actions."""
        text, end = self.lead + reply(plan, self.space), self._end
        coded = self.tokenizer(text + end, add_special_tokens=False, return_offsets_mapping=True)
        spells = np.zeros(len(text + end), bool)
        at = text.index("[")
        for step in plan.steps:
            name = json.dumps(self.space.spell(step))
            at = text.index(name, at)
            spells[at + 1 : at + len(name) - 1] = True
            at += len(name)
        action = [bool(spells[start:stop].any()) for start, stop in coded["offset_mapping"]]
        return np.array(coded["input_ids"], np.int64), np.array(action, bool)


@dataclass(frozen=True)
class AnswerTemplate:
    """The tokens of an answer: head, action, sep, action, … action, tail; only the H actions vary.

    actions: (K,) token of each column of the action space
    horizon: H
    """

    head: tuple[int, ...]
    sep: tuple[int, ...]
    tail: tuple[int, ...]
    actions: tuple[int, ...]
    horizon: int

    @classmethod
    def of(
        cls, tokenizer: "PreTrainedTokenizerBase", space: ActionSpace, horizon: int = HORIZON, lead: str = ""
    ) -> Self:
        """Find the template by tokenising whole answers, since a token may span a quote. lead: see `Tokens`.

        UserError where an action is not one token in every slot.
        """

        def ids(key: str) -> NDArray[np.int64]:
            plan = Plan((space.parse(key),) * horizon)
            return np.array(tokenizer(lead + reply(plan, space), add_special_tokens=False)["input_ids"], np.int64)

        answers = [ids(key) for key in space.keys]
        lengths = {len(answer) for answer in answers}
        slots = np.flatnonzero(answers[0] != answers[1]) if len(lengths) == 1 else np.array([], np.int64)
        if len(slots) != horizon:
            raise UserError(f"the keys of {space.name} are not one token each in this model's vocabulary")
        first = answers[0]
        rows = np.stack(answers)
        actions = rows[:, slots[0]]
        same = np.delete(rows, slots, axis=1)
        if (rows[:, slots] != actions[:, None]).any() or (same != same[0]).any():
            raise UserError(f"the keys of {space.name} change the tokens around them in this model's vocabulary")
        sep = first[slots[0] + 1 : slots[1]] if horizon > 1 else first[:0]
        return cls(
            head=tuple(map(int, first[: slots[0]])),
            sep=tuple(map(int, sep)),
            tail=tuple(map(int, first[slots[-1] + 1 :])),
            actions=tuple(map(int, actions)),
            horizon=horizon,
        )

    @property
    def slots(self) -> NDArray[np.int64]:
        """(H,) positions of the actions in the answer."""
        return len(self.head) + np.arange(self.horizon) * (1 + len(self.sep))

    def ids(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """(…, A) ids of the answers that name (…, H) columns of the action space."""
        actions = np.asarray(self.actions)[columns]
        frame = [*self.head, *([0, *self.sep] * self.horizon)]
        fixed = np.array(frame[: len(frame) - len(self.sep)] + list(self.tail), np.int64)
        answer = np.broadcast_to(fixed, (*columns.shape[:-1], len(fixed))).copy()
        answer[..., self.slots] = actions
        return answer
