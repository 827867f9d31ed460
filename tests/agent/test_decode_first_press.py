"""The first press: a chunk without a key that is not likely enough begins with the likeliest key, exactly."""

import math
import random
import shutil

import pytest

from bench.decode import continuations
from protege.agent.decode import ChunkDecoder
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace
from protege.core.card import ModelCard
from protege.core.looking import look
from protege.vlm.load import load_model
from protege.vlm.shape import AnswerShape

ENTER, W = frozenset(("enter",)), frozenset("w")
STOP = -1
SPACES = {
    "keys": (KEYBOARD_12, False),
    "chords": (KEYBOARD_12, True),
    "letters": (ActionSpace("LETTERS", ("no", "w", "none")), False),
    "mouse": (ActionSpace("MOUSE", ("w", "a", "d", "ctrl", "mouse_left", "none"), look=look()), False),
    "mouse and chords": (ActionSpace("MOUSE", ("w", "a", "d", "none"), look=look()), True),
    "several tokens": (ActionSpace("LONG", ("jump", "fireball", "nonec", "w", "none")), False),
}
THRESHOLDS = (0.02, 0.2, 0.5, 1.0)


class Letters:
    """A vocabulary of single letters, in which one key may be spelled as "none" begins; the end of all slots is one
    token, and not what ends each other slot.
    """

    END = 1

    def __call__(self, text, add_special_tokens=False, return_offsets_mapping=False):
        end = text.index('"]')
        places = [(i, i + 1) for i in range(end)] + [(end, end + 2)] + [(i, i + 1) for i in range(end + 2, len(text))]
        ids = [ord(text[start]) if start + 1 == stop else self.END for start, stop in places]
        return {"input_ids": ids, "offset_mapping": places}


@pytest.fixture(scope="module")
def agent(tiny):
    return VisionAgent(tiny, options=VisionOptions(frame_size=(160, 120)))


def with_head(model, weight, bias):
    """The model with an output head of its own, whose body stays shared."""
    import torch

    head = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=True)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    model.lm_head = head
    return model


class Naive:
    """The rule as it is told: the stock model reads everything anew for every token, and nothing is guessed."""

    def __init__(self, model, shape, inputs):
        self.model, self.shape, self.inputs = model, shape, inputs
        self.known = {}

    def shares(self, tokens):
        """By token that may follow the beginning of an answer, in ascending order, its probability among these."""
        import torch

        options = sorted(continuations(self.shape, tokens, STOP))
        if len(options) == 1:
            return {options[0]: 1.0}
        if (key := tuple(tokens)) not in self.known:
            ids = torch.tensor([tokens])
            asked = {
                **self.inputs,
                "input_ids": torch.cat([self.inputs["input_ids"], ids], 1),
                "mm_token_type_ids": torch.cat([self.inputs["mm_token_type_ids"], torch.zeros_like(ids)], 1),
            }
            with torch.inference_mode():
                logits = self.model(**asked).logits[0, -1, options]
            self.known[key] = dict(zip(options, logits.softmax(-1).tolist(), strict=True))
        return self.known[key]

    def greedy(self, begun):
        """The whole answer's tokens."""
        tokens = list(begun)
        while (token := max(shares := self.shares(tokens), key=shares.__getitem__)) != STOP:
            tokens.append(token)
        return tokens

    def first_presses(self):
        """The probability of no key in any slot, and by its first tokens that of each way to press the first key."""
        none = self.shape.idle
        answer = self.answer([NO_KEYS] * self.shape.horizon)
        quiet, ways = 1.0, {}
        for at in range(len(self.shape.head), len(answer)):
            slot, depth = divmod(at - len(self.shape.head), len(none) + len(self.shape.sep))
            shares = self.shares(answer[:at])
            for token, share in shares.items():
                if token != answer[at]:
                    first = self.shape.ender(0) if token == self.shape.ender(slot) else token
                    way = (*none[:depth], first)
                    ways[way] = ways.get(way, 0.0) + quiet * share
            quiet *= shares[answer[at]]
        return quiet, ways

    def answer(self, actions):
        return [*self.shape.ids(self.shape.choices(actions)), *self.shape.tail]

    def chunk(self, threshold):
        """The tokens of the answer, and how near a decision was: the smallest gap that made it."""
        tokens = self.greedy(self.shape.head)
        if threshold is None or tokens != self.answer([NO_KEYS] * self.shape.horizon):
            return tokens, 1.0
        quiet, ways = self.first_presses()
        if quiet >= threshold:
            return tokens, quiet - threshold
        way, *_ = sorted(ways, key=ways.__getitem__, reverse=True)
        return self.greedy([*self.shape.head, *way]), min(threshold - quiet, *_gaps(ways))


def _gaps(ways):
    first, *others = sorted(ways.values(), reverse=True)
    return [first - other for other in others[:1]]


@pytest.mark.parametrize("kind", SPACES)
def test_chunks_are_those_of_the_rule_told_plainly_for_any_threshold_with_and_without_drafts(
    agent, tiny, questions, kind
):
    import torch

    space, with_chords = SPACES[kind]
    tokenizer = Letters() if kind == "letters" else agent.processor.tokenizer
    shape = AnswerShape.of(tokenizer, space, chords=with_chords)
    rng, kinds = random.Random(0), set()
    weight = agent.loaded.lm_head.weight.detach()
    for seed, liking in enumerate((0.5, 2.5, 4.5)):
        torch.manual_seed(seed)
        bias = torch.zeros(len(weight))
        bias[list(shape.idle)] = liking
        bias[[shape.ender(0), shape.ender(shape.horizon - 1)]] = 2.0
        heads = weight + torch.randn_like(weight) * weight.std(), bias
        decoder = ChunkDecoder(with_head(load_model(tiny), *heads), shape)
        stock = with_head(load_model(tiny), *heads)
        frame, goal = questions[9 * seed]
        inputs = agent.inputs(frame.rgb, goal)
        naive = Naive(stock, shape, inputs)
        plain = decoder.decode(inputs)
        for threshold in (None, *THRESHOLDS):
            expected, gap = naive.chunk(threshold)
            drafts = [
                None,
                plain.actions,
                shape.actions([rng.randrange(len(shape.part(i).choices)) for i in range(shape.places)]),
            ]
            chunks = [decoder.decode(inputs, draft, done_threshold=threshold) for draft in drafts]
            if gap < 1e-4:
                continue  # rounding alone decides
            assert [naive.answer(chunk.actions) for chunk in chunks] == [expected] * len(drafts)
            idle = plain.actions == (NO_KEYS,) * 7
            pressed = chunks[0].actions != plain.actions
            kinds.add((idle, pressed))
            if not pressed:
                assert chunks[0].passes == plain.passes
                assert chunks[1].passes == 1
        quiet, ways = naive.first_presses()
        assert quiet + sum(ways.values()) == pytest.approx(1)
    assert kinds == {(False, False), (True, False), (True, True)}


@pytest.fixture(scope="module")
def unsure(agent, tiny):
    """A model for which the picture does not say when: in every slot none has 0.877, and enter almost all the rest, so
    that no key at all has 0.4 and enter as the first key 0.6.
    """
    import torch

    model = load_model(tiny)
    bias = torch.full((len(model.lm_head.weight),), -30.0)
    shape = AnswerShape.of(agent.processor.tokenizer, KEYBOARD_12)
    keys = shape.parts[0]
    none = 0.4 ** (1 / 7)
    bias[shape.idle[0]] = math.log(none)
    bias[keys.spelled[keys.choice(ENTER)][0]] = math.log(1 - none)
    return ChunkDecoder(with_head(model, torch.zeros_like(model.lm_head.weight), bias), shape)


def test_a_key_that_no_slot_is_sure_of_is_pressed_at_once_where_the_whole_chunk_is_sure_of_it(agent, unsure, noise):
    inputs = agent.inputs(noise().rgb, "Open the door")
    idle = (NO_KEYS,) * 7
    greedy = unsure.decode(inputs, idle)
    assert (greedy.actions, greedy.passes) == (idle, 1)
    assert greedy.probabilities == pytest.approx([0.4 ** (1 / 7)] * 7)

    pressed = unsure.decode(inputs, idle, done_threshold=0.5)
    assert pressed.actions == (ENTER, *idle[1:])
    assert pressed.probabilities == pytest.approx([1 - 0.4 ** (1 / 7)] + [0.4 ** (1 / 7)] * 6)
    assert pressed.passes == 2

    done = unsure.decode(inputs, idle, done_threshold=0.3)
    assert (done.actions, done.passes) == (idle, 1)


def test_a_key_that_only_the_last_slot_could_end_is_pressed_in_the_first(agent, tiny, noise):
    """Of "no" and "none" the letters and what follows the last slot decide; before the others it is always "none"."""
    import torch

    model = load_model(tiny)
    shape = AnswerShape.of(Letters(), SPACES["letters"][0])
    bias = torch.full((len(model.lm_head.weight),), -30.0)
    bias[ord("n")], bias[Letters.END], bias[ord('"')] = 5.0, 4.8, -4.0
    decoder = ChunkDecoder(with_head(model, torch.zeros_like(model.lm_head.weight), bias), shape)
    inputs = agent.inputs(noise().rgb, "Open the door")
    assert decoder.decode(inputs).actions == (NO_KEYS,) * 7
    assert decoder.decode(inputs, done_threshold=0.9).actions[0] == frozenset(("no",))


@pytest.mark.parametrize(
    ("threshold", "decoding", "pressed"),
    [(0.5, "auto", True), (0.3, "auto", False), (None, "auto", False), (0.5, "greedy", False)],
)
def test_an_agent_plays_by_its_card_unless_it_is_told_to_be_greedy(
    tiny, unsure, noise, tmp_path, threshold, decoding, pressed
):
    folder = shutil.copytree(tiny, tmp_path / "model")
    ModelCard("vision", "tiny", frame_size=(160, 120), done_threshold=threshold).save(folder)
    agent = VisionAgent(folder, options=VisionOptions(decoding=decoding))
    agent.decoder = unsure
    plan = agent.predict(noise(), "Open the door")
    assert plan.steps[0] == (ENTER if pressed else NO_KEYS)
    assert plan.done != pressed


def test_sampling_is_not_changed_by_a_threshold(agent, unsure, noise):
    inputs = agent.inputs(noise().rgb, "Open the door")
    plain = [unsure.decode(inputs, None, 1.0, random.Random(n)).actions for n in range(8)]
    assert plain == [unsure.decode(inputs, None, 1.0, random.Random(n), done_threshold=1.0).actions for n in range(8)]
    assert (NO_KEYS,) * 7 in plain
