"""Where in an answer decoding is: what was chosen, what is guessed, and what may come next."""

import math
from collections.abc import Callable

from protege.vlm.shape import AnswerShape, Node

Pick = Callable[[int, list[int]], tuple[int, list[float]]]
"""Of a row of scores and the tokens that may follow: the place of the chosen one, and the probabilities of all."""


class Walk:
    """out: tokens so far, always up to the next real choice; choices: by place, see `AnswerShape`; probabilities: of
    each slot that is over; first_press: how likely the first movement of a chunk begins with these tokens, in each slot
    it could come in, as far as the walk went without any.
    """

    def __init__(self, shape: AnswerShape, draft: list[int] | None) -> None:
        self.shape = shape
        self.draft = draft
        self.out = list(shape.head)
        self.choices: list[int] = []
        self.probabilities: list[float] = []
        self.first_press: dict[tuple[int, ...], list[float]] = {}
        self._node: Node = shape.parts[0].root
        self._begun: tuple[int, ...] = ()  # tokens of the slot so far
        self._probability = 1.0

    @property
    def finished(self) -> bool:
        return len(self.choices) == self.shape.places

    @property
    def idle(self) -> bool:
        """Whether nothing was pressed or moved so far."""
        shape = self.shape
        begun = shape.idle[: len(self._begun)]
        return self._begun == begun and all(c == shape.part(place).rest for place, c in enumerate(self.choices))

    @property
    def probability(self) -> float:
        """Of all that was chosen so far."""
        return math.prod(self.probabilities) * self._probability

    def pressing(self) -> "tuple[Walk, int]":
        """A walk whose first slot begins the likeliest first press of this one, which is over and found none; and how
        many of its tokens both have in common.

        That a press begins with some tokens has the probability, summed over the slots, that no slot before holds a key
        and this one begins with them. Together with that of no key at all these add up to 1.
        """
        way = max(self.first_press, key=lambda tokens: sum(self.first_press[tokens]))
        walk = Walk(self.shape, None)
        walk._probability = self.first_press[way][0]
        for token in way:
            walk.out += walk._take(token)
        while not walk.finished and len(forced := self.shape.options(walk._node, len(walk.choices))) == 1:
            walk.out += walk._take(forced[0])
        # what is pressed from standing still is mostly let go at once
        walk.draft = [part.rest for part in self.shape.parts] * self.shape.horizon
        return walk, len(self.shape.head) + len(way) - 1

    def ahead(self) -> list[int]:
        """Tokens that probably follow: the shortest end of what was begun, then the draft."""
        shape, place = self.shape, len(self.choices)
        guess: list[int] = []
        if self._node is not shape.part(place).root:
            guess = self._node.completion()
            guess += shape.after(place)
            place += 1
        if self.draft is not None:
            for number in range(place, shape.places):
                guess += shape.part(number).spelled[self.draft[number]]
                guess += shape.after(number)
            if place < shape.places and not self._choice_after(self.draft[-1]):
                guess.pop()  # nothing is decided after the last choice's last token, so it need not be read
        return guess

    def _choice_after(self, choice: int) -> bool:
        """Whether a last choice of the answer might go on."""
        part = self.shape.parts[-1]
        node = part.root
        for token in part.spelled[choice]:
            node = node.children[token]
        return bool(node.children)

    def advance(self, ahead: list[int], pick: Pick) -> int:
        """Accept drafted tokens until the first mismatch; return how many of `ahead` matched.

        pick(row, options): the place of the token chosen from options by the scores after `row` tokens of `ahead`, and
        the probabilities of all of them.
        """
        agreed, known = 0, True
        while not self.finished:
            options = self.shape.options(self._node, len(self.choices))
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
            for taken in self._take(token):
                self.out.append(taken)
                known = known and agreed < len(ahead) and ahead[agreed] == taken
                agreed += known
        return agreed

    def _note_first_press(self, options: list[int], shares: list[float]) -> None:
        """Note of each token but that of doing nothing that a press, the first one, may come now and begin with it."""
        slot, depth = len(self.choices) // len(self.shape.parts), len(self._begun)
        ender, still = self.shape.ender(slot), self.shape.idle
        quiet = still[depth] if depth < len(still) else ender
        for token, share in zip(options, shares, strict=True):
            if token != quiet:
                way = (*self._begun, self.shape.ender(0) if token == ender else token)
                self.first_press.setdefault(way, []).append(self.probability * share)

    def _take(self, token: int) -> tuple[int, ...]:
        """Goes on by a token; returns it, or the whole separator if it ended a slot."""
        if token in self._node.children:
            self._node = self._node.children[token]
            self._begun += (token,)
            return (token,)
        place, choice = len(self.choices), self._node.choice
        assert choice is not None, "only options are taken"
        self.choices.append(choice)
        if self.draft is not None and self.draft[place] != choice:
            # an action mostly goes on, the mouse too: guessing that takes 1.3 passes where keeping the old guess takes
            # 1.5, and 1.7 in place of 1.9 with a mouse
            for later in range(place, self.shape.places, len(self.shape.parts)):
                self.draft[later] = choice
        self._node = self.shape.part(place + 1).root
        if not self.shape.ends_slot(place):
            return self._take(token)
        self.probabilities.append(self._probability)
        self._begun, self._probability = (), 1.0
        return self.shape.after(place)
