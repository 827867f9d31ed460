"""Windows of actions against a brute-force reference, and the samples file to the last byte."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import KEYBOARD_12, NO_KEYS
from protege.core.labeled import LabeledSegment, Segment, read_samples, runs, unroll
from protege.errors import UserError
from protege.labeling.labels import held_for, one_key, samples_text, slots, windows

SPACE = KEYBOARD_12
actions = st.frozensets(st.sampled_from(["w", "a", "left", "up", "space"]), max_size=3)
plays = st.lists(actions, min_size=1, max_size=40)


def reference(steps, start, stop, goal_stop, reached, horizon, keep_idle):
    """The rules once more, frame by frame and slot by slot."""
    found = []
    for i in range(start, stop):
        plan, known = [], True
        for j in range(horizon):
            if i + j < goal_stop:
                plan.append(steps[i + j])
            elif reached:
                plan.append(NO_KEYS)
            else:
                known = False
        if not known:
            continue
        if reached and i == goal_stop - 1:
            found.append((i, [NO_KEYS] * horizon))
        elif any(plan) or keep_idle or (reached and i + horizon >= goal_stop):
            found.append((i, plan))
    return found


@settings(max_examples=200)
@given(plays, st.data(), st.integers(1, 9), st.booleans(), st.booleans())
def test_slot_j_of_frame_i_is_the_action_of_frame_i_plus_j(steps, data, horizon, reached, keep_idle):
    start = data.draw(st.integers(0, len(steps) - 1))
    stop = data.draw(st.integers(start + 1, len(steps)))
    goal_stop = data.draw(st.integers(stop, len(steps)))
    found = windows(steps, Segment(start, stop, "g", goal_stop, reached), horizon, keep_idle=keep_idle)
    expected = reference(steps, start, stop, goal_stop, reached, horizon, keep_idle)
    assert [(i, list(plan.steps)) for i, plan in found] == expected


@given(plays)
def test_seven_nones_inside_a_segment_always_mean_done(steps):
    for i, plan in windows(steps, Segment(0, len(steps))):
        assert any(plan.steps) or i + 7 >= len(steps)


def test_a_goal_that_is_not_over_has_no_terminal_sample_and_looks_into_the_next_segment():
    steps = [frozenset("w")] * 60
    found = windows(steps, Segment(0, 40, "g", goal_stop=60))
    assert len(found) == 40
    assert all(plan.steps == (frozenset("w"),) * 7 for _, plan in found)
    assert windows(steps, Segment(40, 60, "g"))[-1][1].done


def test_windows_whose_future_is_not_known_are_left_out():
    assert [i for i, _ in windows([frozenset("w")] * 20, Segment(0, 20, reached=False))] == list(range(14))


def held_reference(rows, i, k):
    count = 0
    while i >= 0 and rows[i, k]:
        i, count = i - 1, count + 1
    return count


@given(plays)
def test_how_long_keys_are_held_equals_counting_back(steps):
    rows = SPACE.encode(steps)
    expected = [[held_reference(rows, i, k) for k in range(len(SPACE))] for i in range(len(rows))]
    assert held_for(rows).tolist() == expected


def winner(steps, i):
    """The newest key; on a tie the one that neither moves nor turns, then movement, then the order of the columns."""
    rows = SPACE.encode(steps)
    kind = {"space": 0, "w": 1, "a": 1, "left": 2, "up": 2}
    names = sorted(steps[i], key=lambda k: (held_reference(rows, i, SPACE.index(k)), kind[k], SPACE.index(k)))
    return frozenset(names[:1])


@settings(max_examples=200)
@given(plays)
def test_one_key_a_slot_is_the_newest_and_never_shifts_time(steps):
    found = SPACE.decode(one_key(SPACE.encode(steps), SPACE))
    assert found == [winner(steps, i) for i in range(len(steps))]


@given(plays)
def test_chords_keep_every_frame_as_it_was(steps):
    assert slots(SPACE.encode(steps), [(0, len(steps))], SPACE, chords=True) == steps


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["w", "w+right", "w+right", "w"], ["w", "right", "right", "w"]),
        (["w+right"], ["w"]),
        (["right", "w+right"], ["right", "w"]),
        (["w+space"], ["space"]),
        (["none", "up+left"], ["none", "up"]),
    ],
)
def test_the_single_key_rule_on_plain_cases(steps, expected):
    rows = SPACE.encode([SPACE.parse(s) for s in steps])
    assert [SPACE.spell(a) for a in slots(rows, [(0, len(rows))], SPACE, chords=False)] == expected


def test_how_long_a_key_was_held_is_not_known_across_a_break():
    rows = SPACE.encode([SPACE.parse(text) for text in ("w", "w", "w+right", "w+right")])
    together = [SPACE.spell(a) for a in slots(rows, [(0, 4)], SPACE, chords=False)]
    apart = [SPACE.spell(a) for a in slots(rows, [(0, 3), (3, 4)], SPACE, chords=False)]
    assert together == ["w", "w", "right", "right"]
    assert apart == ["w", "w", "right", "w"]  # behind the break both are new, and movement comes first


GOLDEN = (
    '{"messages": [{"role": "user", "content": [{"type": "image", "image": "frame_0000.jpg"}, {"type": "text", "text": '
    '"Goal: Go to the lantern\\n\\nPredict the next 7 actions:"}]}, {"role": "assistant", "content": "{\\"actions\\": '
    '[\\"w\\", \\"right\\", \\"w\\", \\"w\\", \\"none\\", \\"none\\", \\"none\\"]}"}]}\n'
)


def test_the_samples_file_is_the_documented_one_to_the_last_byte(tmp_path):
    steps = tuple(SPACE.parse(s) for s in ("w", "right", "w", "w"))
    labeled = LabeledSegment("a_seg002", "a", 80, 84, "Go to the lantern", goal_stop=84, slots=steps)
    text = samples_text(labeled)
    assert text.split("\n")[0] + "\n" == GOLDEN
    assert json.loads(text.split("\n")[3])["messages"][1]["content"] == '{"actions": ' + json.dumps(["none"] * 7) + "}"
    (tmp_path / "samples.jsonl").write_bytes(text.encode())
    found = list(read_samples(tmp_path / "samples.jsonl", SPACE))
    assert [sample.image for sample in found] == [f"frame_000{i}.jpg" for i in range(4)]
    assert found[0].plan.steps == (*steps, *[NO_KEYS] * 3)


def test_a_line_that_is_no_sample_is_named(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text(GOLDEN + "{}\n")
    with pytest.raises(UserError, match=r"samples.jsonl:2: not a sample"):
        list(read_samples(path, SPACE))


@given(st.lists(st.sampled_from("ab")))
def test_counting_runs_is_undone(texts):
    assert unroll(runs(texts), len(texts)) == texts


def test_the_slots_of_a_long_recording_are_quick_to_find():
    rows = np.zeros((36_000, len(SPACE)), dtype=bool)
    rows[:, -1] = True
    assert len(slots(rows, [(0, 36_000)], SPACE, chords=False)) == 36_000
