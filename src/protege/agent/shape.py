"""The shape of an answer: its fixed tokens, and in every slot a tree of the tokens that spell the valid actions."""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.core.chat import reply
from protege.core.plan import HORIZON, Plan
from protege.errors import UserError

CHORD_KEYS: Final = 3
"""Keys that a chord holds at most: walking, stepping aside and turning at once."""
MOST_ACTIONS: Final = 2_100
"""Of a slot, chords included: all chords of three of up to 23 keys, of two of up to 63. Every one of them is spelled
out when a model is loaded, in about a second.
"""
_MIXES: Final = 20


class Tokenizer(Protocol):
    """What is used of a tokenizer of transformers."""

    def __call__(
        self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool = False
    ) -> Mapping[str, Any]:
        """input_ids: T tokens; offset_mapping: T (start, stop) in the text, where they were asked for."""
        ...


@dataclass
class Node:
    """After some tokens of an action: what may follow. choice: the action that may end here, None if none does."""

    children: dict[int, "Node"] = field(default_factory=dict)
    choice: int | None = None

    def completion(self) -> list[int]:
        """The fewest tokens with which an action ends."""
        if self.choice is not None:
            return []
        token, child = min(self.children.items(), key=lambda item: len(item[1].completion()))
        return [token, *child.completion()]


def valid_actions(space: ActionSpace, chords: bool) -> tuple[Action, ...]:
    """What a slot may say: "none" and one key; with chords up to CHORD_KEYS of them, fewer where that would be more
    than MOST_ACTIONS.
    """
    most, count = 1, 1 + len(space.pressable)
    while chords and most < CHORD_KEYS and (count := count + math.comb(len(space.pressable), most + 1)) <= MOST_ACTIONS:
        most += 1
    held = [c for n in range(1, most + 1) for c in itertools.combinations(space.pressable, n)]
    return (*map(frozenset, held), NO_KEYS)


@dataclass(frozen=True)
class AnswerShape:
    """An answer is head, action, sep, action, … action, tail. spelled: the tokens of each of `actions`."""

    actions: tuple[Action, ...]
    head: tuple[int, ...]
    sep: tuple[int, ...]
    tail: tuple[int, ...]
    spelled: tuple[tuple[int, ...], ...]
    root: Node
    horizon: int = HORIZON

    @classmethod
    def of(cls, tokenizer: "Tokenizer", space: ActionSpace, horizon: int = HORIZON, chords: bool = False) -> Self:
        """Found by tokenising whole answers; UserError where a token reaches from an action into what is around it."""
        actions = valid_actions(space, chords)
        parts = [_parts(tokenizer, action, space, horizon) for action in actions]
        heads, seps, tails = ({part[i] for part in parts} for i in range(3))
        if not len(heads) == len(seps) == len(tails) == 1:
            raise UserError(f"the keys of {space.name} change the tokens around them in this model's vocabulary")
        spelled = tuple(part[3] for part in parts)
        root = Node()
        for number, tokens in enumerate(spelled):
            node = root
            for token in tokens:
                node = node.children.setdefault(token, Node())
            node.choice = number
        shape = cls(actions, heads.pop(), seps.pop(), tails.pop(), spelled, root, horizon)
        rng = random.Random(0)
        for _ in range(_MIXES):  # neighbours of another kind must not change a slot's tokens either
            mix = rng.choices(range(len(actions)), k=horizon)
            text = reply(Plan(tuple(actions[i] for i in mix)), space)
            if tokenizer(text, add_special_tokens=False)["input_ids"] != [*shape.ids(mix), *shape.tail]:
                raise UserError(f"the keys of {space.name} change their neighbours' tokens in this model's vocabulary")
        return shape

    def ids(self, choices: Sequence[int]) -> list[int]:
        """The tokens of an answer up to its last action, without the tail."""
        tokens = list(self.head)
        for slot, choice in enumerate(choices):
            tokens += self.sep if slot else ()
            tokens += self.spelled[choice]
        return tokens

    def ender(self, slot: int) -> int:
        """The token that ends the action of a slot."""
        return self.sep[0] if slot < self.horizon - 1 else self.tail[0]

    def options(self, node: Node, slot: int) -> list[int]:
        """The tokens that may follow, ascending, so that a tie falls as it does over the whole vocabulary."""
        return sorted([*node.children, *([] if node.choice is None else [self.ender(slot)])])

    def tokens(self) -> list[int]:
        """Every token that is ever a choice, ascending."""
        return sorted({self.sep[0], self.tail[0], *itertools.chain.from_iterable(self.spelled)})

    def choice(self, action: Action) -> int:
        """The number of an action; of the nearest valid one (its first keys) where a chord is not valid here."""
        if action in self.actions:
            return self.actions.index(action)
        return max(range(len(self.actions)), key=lambda i: len(self.actions[i] & action))


def _parts(tokenizer: "Tokenizer", action: Action, space: ActionSpace, horizon: int) -> tuple[tuple[int, ...], ...]:
    """head, sep, tail and the action's own tokens, from an answer that says it in every slot."""
    text = reply(Plan((action,) * horizon), space)
    name = f'"{space.spell(action)}"'
    spans: list[tuple[int, int]] = []
    at = text.index("[")
    for _ in range(horizon):
        at = text.index(name, at) + 1
        spans.append((at, at + len(name) - 2))
        at = spans[-1][1] + 1
    coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    pieces: list[list[int]] = [[] for _ in range(2 * horizon + 1)]  # fixed, action, fixed, action, … fixed
    for token, (start, stop) in zip(coded["input_ids"], coded["offset_mapping"], strict=True):
        passed = sum(begin < stop for begin, _ in spans)
        inside = passed > 0 and start >= spans[passed - 1][0] and stop <= spans[passed - 1][1]
        outside = passed == 0 or start >= spans[passed - 1][1]
        if not inside and not outside:
            raise UserError(f"{name} shares a token with what is around it in this model's vocabulary")
        pieces[2 * passed - inside].append(token)
    own, seps = pieces[1], pieces[2:-1:2]
    if any(piece != own for piece in pieces[1::2]) or any(sep != seps[0] for sep in seps):
        raise UserError(f"{name} is not spelled alike in every slot in this model's vocabulary")
    return tuple(pieces[0]), tuple(seps[0] if seps else pieces[-1]), tuple(pieces[-1]), tuple(own)
