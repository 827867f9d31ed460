"""The shape of an answer: its fixed tokens, and what a slot may say as a small grammar.

A slot has parts: the keys, then a bin for each axis of the mouse. Each part is a tree of the tokens that spell it, and
where one may end the next begins; combinations of the parts are never listed.
"""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol, Self

from protege.core.actions import NO_KEYS, Action, ActionSpace
from protege.core.chat import reply
from protege.core.directions import apart
from protege.core.plan import HORIZON, Plan
from protege.errors import UserError

CHORD_KEYS: Final = 3
"""Keys that a chord holds at most: walking, stepping aside and turning at once."""
MOST_ACTIONS: Final = 2_100
"""Of a slot's keys, chords included: all chords of three of up to 23 keys, of two of up to 63. Every one of them is
spelled out when a model is loaded, in about a second.
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
    """After some tokens of a part: what may follow. choice: what may end here, None if nothing does."""

    children: dict[int, "Node"] = field(default_factory=dict)
    choice: int | None = None

    def completion(self) -> list[int]:
        """The fewest tokens with which the part ends."""
        if self.choice is not None:
            return []
        token, child = min(self.children.items(), key=lambda item: len(item[1].completion()))
        return [token, *child.completion()]


@dataclass(frozen=True)
class Part:
    """One part of a slot. choices: what it may say; spelled: the tokens of each; rest: the choice that does nothing."""

    choices: tuple[Action, ...]
    spelled: tuple[tuple[int, ...], ...]
    rest: int

    @cached_property
    def root(self) -> Node:
        root = Node()
        for number, tokens in enumerate(self.spelled):
            node = root
            for token in tokens:
                node = node.children.setdefault(token, Node())
            node.choice = number
        return root

    def choice(self, action: Action) -> int:
        """The number of what an action has of this part; of the nearest valid one (its first keys) of another chord."""
        own = action & self._names
        if own in self.choices:
            return self.choices.index(own)
        return max(range(len(self.choices)), key=lambda i: len(self.choices[i] & own))

    @cached_property
    def _names(self) -> Action:
        return NO_KEYS.union(*self.choices)


def valid_actions(space: ActionSpace, chords: bool) -> tuple[Action, ...]:
    """The keys that a slot may name: "none" and one key; with chords up to CHORD_KEYS of them, fewer where that would
    be more than MOST_ACTIONS.

    Opposite keys are never in one chord. With the twelve keys they are: models were trained on what people held.
    """
    most, count = 1, 1 + len(space.pressable)
    while chords and most < CHORD_KEYS and (count := count + math.comb(len(space.pressable), most + 1)) <= MOST_ACTIONS:
        most += 1
    never = apart(space)
    held = [frozenset(c) for n in range(1, most + 1) for c in itertools.combinations(space.pressable, n)]
    return (*(keys for keys in held if not any(never.get(key, NO_KEYS) & keys for key in keys)), NO_KEYS)


@dataclass(frozen=True)
class AnswerShape:
    """An answer is head, slot, sep, slot, … slot, tail; a slot is one choice of each of `parts`.

    Choices of a whole answer are numbered by place: those of the first slot's parts, then the second's, …
    """

    parts: tuple[Part, ...]
    head: tuple[int, ...]
    sep: tuple[int, ...]
    tail: tuple[int, ...]
    horizon: int = HORIZON

    @classmethod
    def of(
        cls,
        tokenizer: "Tokenizer",
        space: ActionSpace,
        horizon: int = HORIZON,
        chords: bool = False,
        lead: str = "",
    ) -> Self:
        """Found by tokenising whole answers; UserError where a token reaches from a part into what is around it.

        lead: what a chat template writes before an answer, see `inputs.Tokens`.
        """
        choices: list[tuple[Action, ...]] = [valid_actions(space, chords)]
        if space.look is not None:
            choices += [tuple(frozenset((s,)) - space.at_rest for s in axis.symbols) for axis in space.look.axes]
        found = [
            [_pieces(tokenizer, action, space, horizon, part, lead) for action in actions]
            for part, actions in enumerate(choices)
        ]
        fixed = {pieces[0] for row in found for pieces in row}
        if len(fixed) != 1:
            raise UserError(f"the keys of {space.name} change the tokens around them in this model's vocabulary")
        parts = tuple(
            Part(actions, tuple(pieces[1] for pieces in row), actions.index(NO_KEYS))
            for actions, row in zip(choices, found, strict=True)
        )
        head, sep, tail = fixed.pop()
        shape = cls(parts, head, sep, tail, horizon)
        rng = random.Random(0)
        for _ in range(_MIXES):  # neighbours of another kind must not change a slot's tokens either
            mix = [rng.randrange(len(shape.part(place).choices)) for place in range(shape.places)]
            text = lead + reply(Plan(shape.actions(mix)), space)
            if tokenizer(text, add_special_tokens=False)["input_ids"] != [*shape.ids(mix), *shape.tail]:
                raise UserError(f"the keys of {space.name} change their neighbours' tokens in this model's vocabulary")
        return shape

    @property
    def places(self) -> int:
        """Choices of a whole answer."""
        return self.horizon * len(self.parts)

    def part(self, place: int) -> Part:
        return self.parts[place % len(self.parts)]

    def ends_slot(self, place: int) -> bool:
        """Whether a slot is over after the choice at a place."""
        return (place + 1) % len(self.parts) == 0

    def choices(self, actions: Sequence[Action]) -> list[int]:
        """The choices, by place, that say these actions, or the nearest valid ones."""
        return [part.choice(action) for action in actions for part in self.parts]

    def actions(self, choices: Sequence[int]) -> tuple[Action, ...]:
        """The actions that choices say; the inverse of `choices`."""
        said = [self.part(place).choices[choice] for place, choice in enumerate(choices)]
        size = len(self.parts)
        return tuple(NO_KEYS.union(*said[at : at + size]) for at in range(0, len(said), size))

    def ids(self, choices: Sequence[int]) -> list[int]:
        """The tokens of an answer up to its last choice, without the tail."""
        tokens = list(self.head)
        for place, choice in enumerate(choices):
            tokens += self.part(place).spelled[choice]
            tokens += self.after(place) if place < len(choices) - 1 else ()
        return tokens

    def after(self, place: int) -> tuple[int, ...]:
        """The fixed tokens between the choice at a place and the next."""
        return self.sep if self.ends_slot(place) and place < self.places - 1 else ()

    @cached_property
    def idle(self) -> tuple[int, ...]:
        """The tokens of a slot that does nothing."""
        return tuple(itertools.chain.from_iterable(part.spelled[part.rest] for part in self.parts))

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest answer, without the tail."""
        slot = sum(max(map(len, part.spelled)) for part in self.parts)
        return len(self.head) + self.horizon * slot + (self.horizon - 1) * len(self.sep)

    def ender(self, slot: int) -> int:
        """The token that ends a slot."""
        return self.sep[0] if slot < self.horizon - 1 else self.tail[0]

    def options(self, node: Node, place: int) -> list[int]:
        """The tokens that may follow, ascending, so that a tie falls as it does over the whole vocabulary."""
        found = list(node.children)
        if node.choice is not None and self.ends_slot(place):
            found.append(self.ender(place // len(self.parts)))
        elif node.choice is not None:
            found += self.part(place + 1).root.children
        return sorted(found)

    def tokens(self) -> list[int]:
        """Every token that is ever a choice, ascending."""
        spelled = itertools.chain.from_iterable(part.spelled for part in self.parts)
        return sorted({self.sep[0], self.tail[0], *itertools.chain.from_iterable(spelled)})


def _pieces(
    tokenizer: "Tokenizer", action: Action, space: ActionSpace, horizon: int, part: int, lead: str
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """(head, sep, tail) and the tokens of one part, from an answer that says the action in every slot."""
    text = lead + reply(Plan((action,) * horizon), space)
    said = space.spelled_parts(action)
    name, size = f'"{space.spell(action)}"', len(said)
    edges, at = [0], text.index("[")  # where a new region begins: fixed, part, part, fixed, part, …
    for _ in range(horizon):
        at = text.index(name, at) + 1
        edges += itertools.accumulate(map(len, said), initial=at)
        at = edges[-1] + 1
    coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    pieces: list[list[int]] = [[] for _ in edges]
    region = 0
    for token, (start, stop) in zip(coded["input_ids"], coded["offset_mapping"], strict=True):
        while region + 1 < len(edges) and edges[region + 1] <= start:
            region += 1
        if region + 1 < len(edges) and stop > edges[region + 1]:
            raise UserError(f"{name} shares a token with what is around it in this model's vocabulary")
        pieces[region].append(token)
    own, seps = pieces[1 + part], pieces[size + 1 : -1 : size + 1]
    if any(piece != own for piece in pieces[1 + part :: size + 1]) or any(sep != seps[0] for sep in seps):
        raise UserError(f"{name} is not spelled alike in every slot in this model's vocabulary")
    return (tuple(pieces[0]), tuple(seps[0] if seps else pieces[-1]), tuple(pieces[-1])), tuple(own)
