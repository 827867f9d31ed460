"""The prompt, the reply and the chat line, to the last byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.core import HORIZON, KEYBOARD_12, NO_KEYS, Plan
from protege.core.chat import Sample, prompt, read_reply, reply

steps = st.frozensets(st.sampled_from(KEYBOARD_12.pressable), max_size=3)
plans = st.lists(steps, min_size=HORIZON, max_size=HORIZON).map(lambda s: Plan(tuple(s)))

LINE = (
    '{"messages": [{"role": "user", "content": [{"type": "image", "image": "frame_0000.jpg"}, {"type": "text", "text": '
    '"Goal: Go to the lantern\\n\\nPredict the next 7 actions:"}]}, {"role": "assistant", "content": "{\\"actions\\": '
    '[\\"w\\", \\"right\\", \\"w\\", \\"w\\", \\"none\\", \\"none\\", \\"none\\"]}"}]}'
)


def test_a_sample_is_the_documented_line():
    keys = [frozenset({k}) for k in ("w", "right", "w", "w")] + [NO_KEYS] * 3
    sample = Sample("frame_0000.jpg", "Go to the lantern", Plan(tuple(keys)))
    assert json.dumps(sample.to_json(KEYBOARD_12)) == LINE
    assert Sample.from_json(json.loads(LINE), KEYBOARD_12) == sample


@given(plans, st.text(min_size=1))
def test_reading_undoes_writing(plan, goal):
    assert read_reply(reply(plan, KEYBOARD_12), KEYBOARD_12) == plan
    sample = Sample("f.jpg", goal, plan)
    assert Sample.from_json(sample.to_json(KEYBOARD_12), KEYBOARD_12) == sample


@pytest.mark.parametrize(
    "text",
    ["", "none", "{}", "[]", '{"actions": 3}', '{"actions": ["w"]}', '{"actions": ["q","w","w","w","w","w","w"]}'],
)
def test_an_answer_that_cannot_be_read_is_an_error_and_never_means_done(text):
    with pytest.raises(ValueError, match="reply"):
        read_reply(text, KEYBOARD_12)


@pytest.mark.parametrize("fields", [None, {}, {"messages": []}, {"messages": [{"content": "x"}, {}]}])
def test_what_is_no_sample_is_refused(fields):
    with pytest.raises(ValueError, match="not a sample"):
        Sample.from_json(fields, KEYBOARD_12)


def test_another_wording_of_the_prompt_is_refused():
    fields = json.loads(LINE.replace("Predict the next", "Tell the next"))
    with pytest.raises(ValueError, match="prompt of this version"):
        Sample.from_json(fields, KEYBOARD_12)


def test_a_plan_without_steps_cannot_be_built_and_all_none_is_done():
    with pytest.raises(ValueError, match="at least one"):
        Plan(())
    assert Plan((NO_KEYS, NO_KEYS)).done
    assert not Plan((NO_KEYS, frozenset("w"))).done


def test_the_prompt_is_the_documented_one():
    assert prompt("Go to the lantern") == "Goal: Go to the lantern\n\nPredict the next 7 actions:"
