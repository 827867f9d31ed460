"""The decoder against `generate`, constrained to valid answers and taking one token after another."""

import random

import pytest

from bench.decode import WAYS, continuations, generated, measure, play_questions
from protege.agent.decode import ChunkDecoder
from protege.agent.vision import VisionAgent, VisionOptions, shifted
from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace
from protege.errors import UserError
from protege.vlm.load import load_model
from protege.vlm.shape import AnswerShape, valid_actions

W, S, LEFT = frozenset("w"), frozenset("s"), frozenset(("left",))


@pytest.fixture(scope="module")
def agent(tiny):
    return VisionAgent(tiny, options=VisionOptions(frame_size=(160, 120)))


@pytest.fixture(scope="module")
def chords(agent):
    """The same model, asked for chords."""
    shape = AnswerShape.of(agent.processor.tokenizer, KEYBOARD_12, chords=True)
    return ChunkDecoder(agent.loaded, shape)


def test_greedy_chunks_are_those_of_constrained_token_by_token_decoding(agent, questions):
    times = measure(agent, questions, lambda text: None)
    assert times.identical() == len(questions)
    assert max(times.passes["no_draft"]) == 7
    assert set(times.passes["constrained"]) == {25}
    assert times.mean_passes("draft") < 7
    assert set(WAYS) == set(times.ms)


def best_actions(model, shape, inputs, chunk):
    """What the stock model would choose in each slot after the chunk's own actions before it: the actions whose tokens
    score best, several where rounding alone tells them apart. All in one pass, as reading does not change by what
    follows.
    """
    import torch

    ids = torch.tensor([shape.ids(shape.choices(chunk.actions))])
    asked = {
        **inputs,
        "input_ids": torch.cat([inputs["input_ids"], ids], 1),
        "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(ids)], 1),
    }
    first = inputs["input_ids"].shape[1] + len(shape.head) - 1
    with torch.inference_mode():
        logits = model(**asked).logits[0, first :: 1 + len(shape.sep)][: shape.horizon]
    keys = shape.parts[0]
    scores = logits[:, [tokens[0] for tokens in keys.spelled]]
    near = scores > scores.max(1, keepdim=True).values - 1e-4
    return [{keys.choices[choice] for choice in row.nonzero()[:, 0].tolist()} for row in near]


def test_five_hundred_frames_of_play_are_decoded_as_the_stock_model_chooses_token_by_token(agent, tiny, tmp_path):
    stock = load_model(tiny)
    draft, same, passes = None, 0, 0
    questions = play_questions(tmp_path, (160, 120), 500)
    for frame, goal in questions:
        inputs = agent.inputs(frame.rgb, goal)
        plain, drafted = agent.decoder.decode(inputs), agent.decoder.decode(inputs, draft)
        best = best_actions(stock, agent.decoder.shape, inputs, drafted)
        assert all(action in found for action, found in zip(drafted.actions, best, strict=True))
        same += plain.actions == drafted.actions
        passes += drafted.passes
        draft = shifted(drafted.actions, 1)
    assert len(questions) == 500
    assert same >= 499  # a tie may fall otherwise
    assert passes < 7 * 500


@pytest.mark.parametrize("drafted", [False, True])
def test_chords_of_several_tokens_are_decoded_exactly(agent, chords, questions, drafted):
    before = None
    stop = agent.processor.tokenizer.eos_token_id
    for frame, goal in questions[::4]:
        inputs = agent.inputs(frame.rgb, goal)
        prompt = inputs["input_ids"].shape[1]
        ids = agent.loaded.generate(
            **inputs,
            max_new_tokens=80,
            do_sample=False,
            prefix_allowed_tokens_fn=lambda _, found, n=prompt: continuations(chords.shape, found[n:].tolist(), stop),
        )
        answer = agent.processor.tokenizer.decode(ids[0, prompt:], skip_special_tokens=True)
        chunk = chords.decode(inputs, before if drafted else None)
        assert answer == '{"actions": ["' + '", "'.join(map(KEYBOARD_12.spell, chunk.actions)) + '"]}'
        before = shifted(chunk.actions, 1)


def test_a_right_draft_takes_one_pass_and_a_wrong_one_changes_nothing(agent, chords, questions):
    rng = random.Random(0)
    for decoder in (agent.decoder, chords):
        for frame, goal in questions[:6]:
            inputs = agent.inputs(frame.rgb, goal)
            chunk = decoder.decode(inputs)
            again = decoder.decode(inputs, chunk.actions)
            assert (again.passes, again.actions) == (1, chunk.actions)
            wrong = rng.choices(decoder.shape.parts[0].choices, k=7)
            other = decoder.decode(inputs, wrong)
            assert other.actions == chunk.actions
            assert other.probabilities == pytest.approx(chunk.probabilities, rel=1e-4)


def test_probabilities_of_a_slot_are_those_among_valid_actions(agent, questions):
    import torch

    frame, goal = questions[0]
    inputs = agent.inputs(frame.rgb, goal)
    chunk = agent.decoder.decode(inputs)
    shape = agent.decoder.shape
    ids = torch.tensor([shape.ids(shape.choices(chunk.actions))])
    kinds = torch.zeros_like(ids)
    asked = {
        **inputs,
        "input_ids": torch.cat([inputs["input_ids"], ids], 1),
        "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"], kinds], 1),
    }
    with torch.inference_mode():
        logits = agent.loaded(**asked).logits[0]
    at = -2 - (len(shape.sep) + 1) * 6
    tokens = [spelled[0] for spelled in shape.parts[0].spelled]
    expected = logits[at, tokens].softmax(-1).max()
    assert chunk.probabilities[0] == pytest.approx(float(expected), rel=1e-4)


def test_sampling_is_the_same_with_and_without_a_draft_and_repeats_with_its_seed(agent, chords, questions):
    seen = set()
    for decoder in (agent.decoder, chords):
        for number, (frame, goal) in enumerate(questions[:5]):
            inputs = agent.inputs(frame.rgb, goal)
            plain = decoder.decode(inputs, None, 1.5, random.Random(number))
            drafted = decoder.decode(inputs, [W, S, LEFT, NO_KEYS, W, W, W], 1.5, random.Random(number))
            assert plain.actions == drafted.actions
            assert set(plain.actions) <= set(decoder.shape.parts[0].choices)
            seen.update(plain.actions)
    assert len(seen) > 8


def test_naive_generation_of_random_weights_is_no_answer_and_counted(agent, questions):
    frame, goal = questions[0]
    tokens, passes = generated(agent, agent.loaded, agent.inputs(frame.rgb, goal), constrained=False)
    assert len(tokens) == passes


def test_a_chord_space_has_its_chords_and_names_outside_it_are_brought_inside():
    assert len(valid_actions(KEYBOARD_12, chords=False)) == 12
    assert len(valid_actions(KEYBOARD_12, chords=True)) == 12 + 55 + 165
    assert valid_actions(KEYBOARD_12, chords=False)[-1] == NO_KEYS


def test_a_guess_that_is_not_valid_here_becomes_the_nearest_that_is(agent):
    keys = agent.decoder.shape.parts[0]
    assert keys.choices[keys.choice(frozenset(("w", "right")))] in (W, frozenset(("right",)))


def test_keys_of_several_tokens_are_decoded_too(agent, questions):
    space = ActionSpace("LONG", ("jump", "fireball", "w", "none"))
    shape = AnswerShape.of(agent.processor.tokenizer, space)
    assert max(map(len, shape.parts[0].spelled)) > 1
    decoder = ChunkDecoder(agent.loaded, shape)
    frame, goal = questions[0]
    inputs = agent.inputs(frame.rgb, goal)
    chunk = decoder.decode(inputs)
    assert decoder.decode(inputs, chunk.actions).passes == 1


class CharTokenizer:
    """Merges a quote with the letter after it, as some vocabularies do."""

    def __call__(self, text, add_special_tokens=False, return_offsets_mapping=False):
        pieces = []
        at = 0
        while at < len(text):
            size = 2 if text[at] == '"' and text[at + 1 : at + 2].isalpha() else 1
            pieces.append((at, at + size))
            at += size
        return {"input_ids": [hash(text[a:b]) for a, b in pieces], "offset_mapping": pieces}


def test_a_vocabulary_that_merges_a_key_with_its_quote_is_refused():
    with pytest.raises(UserError, match="shares a token"):
        AnswerShape.of(CharTokenizer(), KEYBOARD_12)
