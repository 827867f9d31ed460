"""Any keys go the whole way: recorded, labeled, written as a sample, read, decoded and pressed, they are the same."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.agent.baselines import BASELINES, TOUR, tour
from protege.agent.sequence import execute_action_sequence
from protege.agent.vision import VisionOptions
from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace, Plan, Session
from protege.core.chat import read_reply, reply
from protege.core.frame import Frame
from protege.core.labeled import find_segments, read_samples
from protege.devices.places import NAMES
from protege.games.profile import Profile, checked, space_of
from protege.labeling import Given, LabelOptions, label
from protege.training.data import LabeledData
from protege.vlm.shape import AnswerShape, valid_actions
from tests.fakes import FakeClock
from tests.recorder.test_recorder import Game

KEYS = sorted(NAMES - {"f11"})
FORTY = (*"abcdefghijklmnopqrstuvxyz", *"0123456789", "space", "left", "right", "enter", "shift")
FRAMES = 12


class Recorded(Game):
    """The recorder as `protege record` makes it, which stores the space it was given."""

    def create(self, window, rect):
        from protege.recorder.run import _create

        return _create(self.config, window, rect)

    def play(self, steps):
        self.recorder.toggle()
        for step in steps:
            self.release(*sorted(self.down - step))
            self.press(*sorted(step - self.down))
            self.frames(1)
        return self.finish()


class Held:
    def __init__(self):
        self.steps = []

    def hold(self, action):
        self.steps.append(action)

    def release_all(self):
        pass


@st.composite
def play(draw):
    """A space of 1 to 40 random keys, and what is held in each frame."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=40, unique=True))
    space = space_of("random", checked(Profile(keys=tuple(keys))))
    steps = st.lists(st.frozensets(st.sampled_from(space.pressable), max_size=3), min_size=FRAMES, max_size=FRAMES)
    return space, [frozenset(space.pressable[:1]), *draw(steps)[1:]]  # a segment without any key is left out


def goes_the_whole_way(space, steps):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session = Recorded(folder / "raw", space=space, toggle_key="f11").play(steps)
        assert session.info.space == space
        assert space.decode(session.actions(0.0)) == steps
        label([session.folder], folder / "out", Given("Go on"), LabelOptions(chords=True, keep_idle=True))
        (segment,) = find_segments(folder / "out")
        samples = list(read_samples(segment / "samples.jsonl", space))
        assert len(samples) == FRAMES
        kept = [*steps[:-1], *[NO_KEYS] * 7]  # a given goal is reached at the end, and its last plan says so
        windows = [[*steps, *[NO_KEYS] * 7][i : i + 7] for i in range(FRAMES - 1)] + [kept[-7:]]
        for sample, window in zip(samples, windows, strict=True):
            assert list(sample.plan.steps) == window
            assert read_reply(reply(sample.plan, space), space) == sample.plan
        data = LabeledData.open(folder / "out")
        assert [data[i].plan for i in range(len(data))] == [sample.plan for sample in samples]
        first = [step[0] for step in (sample.plan.steps for sample in samples)]
        columns = [min(map(space.index, step), default=len(space) - 1) for step in first]
        assert data.columns[:, 0].tolist() == columns
        keys = Held()
        execute_action_sequence([space.spell(step) for step in first], keys, FakeClock(), space)
        assert keys.steps == first == kept[:FRAMES]


@given(play())
@settings(max_examples=12)
def test_random_spaces_come_back_as_they_were_played(played):
    goes_the_whole_way(*played)


def test_a_space_of_forty_keys_comes_back_as_it_was_played():
    space = space_of("forty", checked(Profile(keys=FORTY)))
    assert len(space.pressable) == 40
    goes_the_whole_way(space, [frozenset((FORTY[(7 * i) % 40], FORTY[39 - i])) for i in range(FRAMES)])


@pytest.fixture(scope="module")
def tokenizer():
    transformers = pytest.importorskip("transformers")
    from protege import vlm

    return transformers.AutoTokenizer.from_pretrained(Path(vlm.__file__).parent / "data")


@pytest.mark.parametrize("keys", [("j",), ("j", "k"), ("space", "left", "right"), ("ctrl", "shift", "w", "s", "space")])
@pytest.mark.parametrize("chords", [False, True])
def test_answers_of_small_spaces_decode_to_what_was_spelled(tokenizer, keys, chords):
    space = ActionSpace("SMALL", (*keys, "none"))
    shape = AnswerShape.of(tokenizer, space, chords=chords)
    for number, action in enumerate(shape.parts[0].choices):
        text = reply(Plan((action,) * 7), space)
        assert [*shape.ids([number] * 7), *shape.tail] == tokenizer(text, add_special_tokens=False)["input_ids"]
        assert shape.choices((action,)) == [number]


def test_chords_of_forty_keys_do_not_explode():
    forty = ActionSpace("FORTY", (*FORTY, "none"))
    found = valid_actions(forty, chords=True)
    assert len(found) == 1 + 40 + 40 * 39 // 2 - 2  # neither a and d nor w and s at once
    assert not any({"a", "d"} <= action for action in found)
    assert frozenset(("a", "shift")) in found
    assert len(valid_actions(forty, chords=False)) == 41


def test_chords_of_the_twelve_keys_are_what_they_were():
    assert len(valid_actions(KEYBOARD_12, chords=True)) == 11 + 55 + 165 + 1


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("keys", [("j", "k"), ("left", "space")])
def test_policies_without_a_model_press_keys_of_their_space_alone(name, keys):
    import numpy as np

    space = ActionSpace("SMALL", (*keys, "none"))
    policy = BASELINES[name](VisionOptions(space=space))
    seen = set()
    for slot in range(40):
        steps = policy.predict(Frame(np.zeros((4, 4, 3), np.uint8), 100_000_000 * slot), "Go").steps
        seen |= set().union(*steps)
    assert seen
    assert seen <= set(keys)


def test_the_tour_of_the_twelve_keys_is_the_old_walk():
    assert tour(KEYBOARD_12) is TOUR


def test_what_is_never_stored_is_not_stored_though_the_space_has_it(tmp_path):
    space = ActionSpace("X", ("j", "k", "none"))
    game = Recorded(tmp_path, space=space, toggle_key="f11", never=frozenset("k"))
    both = frozenset("jk")
    session = game.play([both, both, NO_KEYS, both, frozenset("k")])
    assert space.decode(session.actions(0.0)) == [frozenset("j"), frozenset("j"), NO_KEYS, frozenset("j"), NO_KEYS]
    assert '"k"' not in (session.folder / "events.jsonl").read_text()


def test_a_session_keeps_what_its_keys_do(tmp_path):
    space = space_of("mine", checked(Profile(keys=("w", "ctrl"), actions={"ctrl": "fire"})))
    session = Recorded(tmp_path, space=space, toggle_key="f11").play([frozenset(("ctrl",))] * 3)
    assert Session.open(session.folder).info.space.told("ctrl") == "ctrl (fire)"
