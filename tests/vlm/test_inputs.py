"""Prompts, answers and the answer's template, token for token."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers")

from protege.core import KEYBOARD_12, Plan
from protege.core.actions import ActionSpace
from protege.core.chat import prompt, reply
from protege.errors import UserError
from protege.vlm.inputs import AnswerTemplate, Tokens
from protege.vlm.load import load_processor

columns = st.lists(st.integers(0, len(KEYBOARD_12) - 1), min_size=7, max_size=7)


@pytest.fixture(scope="module")
def tokens(tiny):
    return Tokens(load_processor(tiny), KEYBOARD_12)


def plan_of(numbers):
    return Plan(tuple(KEYBOARD_12.parse(KEYBOARD_12.keys[k]) for k in numbers))


@given(numbers=columns)
def test_the_template_spells_what_the_tokenizer_makes_of_the_reply(tokens, numbers):
    template = AnswerTemplate.of(tokens.tokenizer, KEYBOARD_12)
    text = reply(plan_of(numbers), KEYBOARD_12)
    assert template.ids(np.array(numbers)).tolist() == tokens.tokenizer(text, add_special_tokens=False)["input_ids"]


@given(numbers=columns)
def test_an_answer_knows_its_action_tokens(tokens, numbers):
    ids, action = tokens.answer(plan_of(numbers))
    template = AnswerTemplate.of(tokens.tokenizer, KEYBOARD_12)
    assert np.flatnonzero(action).tolist() == template.slots.tolist()
    assert ids[action].tolist() == [template.actions[k] for k in numbers]
    assert tokens.tokenizer.decode(ids).endswith("<|im_end|>\n")


def test_the_tokens_of_a_chord_are_action_tokens(tokens):
    chord = Plan((frozenset({"w", "right"}),) * 7)
    ids, action = tokens.answer(chord)
    assert [tokens.tokenizer.decode(ids[action])] == ["w+right" * 7]


@given(goal=st.text(min_size=1).filter(lambda text: "<|" not in text))
def test_prompts_equal_those_of_the_processor(tokens, goal):
    content = [{"type": "image"}, {"type": "text", "text": prompt(goal)}]
    text = tokens.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    theirs = tokens.tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * 3), add_special_tokens=False)["input_ids"]
    assert tokens.prompt(goal, np.full(3, tokens.image_id)).tolist() == theirs


def test_many_answers_at_once_are_the_same_as_one_by_one(tokens):
    template = AnswerTemplate.of(tokens.tokenizer, KEYBOARD_12)
    numbers = np.random.default_rng(0).integers(0, 12, (5, 7))
    assert np.array_equal(template.ids(numbers), np.stack([template.ids(row) for row in numbers]))


def test_a_horizon_of_one_has_a_template_too(tokens):
    template = AnswerTemplate.of(tokens.tokenizer, KEYBOARD_12, horizon=1)
    text = tokens.tokenizer.decode(template.ids(np.array([0])))
    assert text == '{"actions": ["w"]}'


def test_keys_that_are_not_one_token_each_are_refused(tokens):
    strange = ActionSpace("STRANGE", ("scrolllock", "w", "none"))
    with pytest.raises(UserError, match="not one token each"):
        AnswerTemplate.of(tokens.tokenizer, strange)
