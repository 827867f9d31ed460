"""Looking with the mouse as labels: any space goes from a session over its samples to tokens and back."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import NO_KEYS, ActionSpace, Session
from protege.core.chat import read_reply, reply
from protege.core.directions import mirrored, opposites
from protege.core.labeled import LabeledSegment, find_segments, read_samples
from protege.core.looking import look
from protege.core.quality import assess
from protege.devices.places import NAMES
from protege.games.profile import Profile, checked, space_of
from protege.labeling import Given, LabelOptions, label
from protege.labeling.contact_sheet import keys_in_words
from protege.labeling.labels import without_opposites
from protege.labeling.measure import measure
from protege.labeling.pieces import open_contents
from protege.labeling.warn import warnings
from protege.vlm.shape import AnswerShape
from protege.vlm.walk import Walk

from .recordings import record

FRAMES = 12
GAME = ActionSpace(
    "GAME", ("w", "s", "a", "d", "ctrl", "mouse_left", "none"), frozenset("wsad"),
    meanings={"ctrl": "fire"}, look=look(),
)  # fmt: skip
RIGHT, LEFT, UP = frozenset(("yaw4",)), frozenset(("yaw-4",)), frozenset(("pitch-2",))
W = frozenset("w")


@pytest.fixture(scope="module")
def tokenizer():
    transformers = pytest.importorskip("transformers")
    from protege import vlm

    return transformers.AutoTokenizer.from_pretrained(Path(vlm.__file__).parent / "data")


@st.composite
def play(draw):
    """A space of 2 to 40 random keys, with or without a mouse, and what is held and moved in each frame."""
    count = draw(st.sampled_from((2, 7, 40)))
    keys = draw(st.lists(st.sampled_from(sorted(NAMES)), min_size=count, max_size=count, unique=True))
    space = space_of("random", checked(Profile(keys=tuple(keys))))
    if draw(st.booleans()):
        space = ActionSpace(space.name, (*keys, "mouse_left", "none"), space.movement, space.camera, look=look())
    apart = opposites(space)
    held = st.frozensets(st.sampled_from(space.pressable), max_size=2).filter(
        lambda keys: not any(apart.get(key, NO_KEYS) & keys for key in keys)
    )
    moves = st.tuples(st.integers(0, 20), st.integers(0, 10)) if space.look else st.none()
    turned = moves.map(lambda bins: space.look.turned(bins) if space.look and bins else NO_KEYS)
    steps = draw(st.lists(st.builds(lambda a, b: a | b, held, turned), min_size=FRAMES, max_size=FRAMES))
    return space, [frozenset(space.pressable[:1]), *steps[1:]]


@given(play())
@settings(max_examples=15, deadline=None)
def test_a_session_becomes_samples_and_tokens_and_comes_back_for_any_space(tokenizer, played):
    space, steps = played
    with tempfile.TemporaryDirectory() as name:
        session = record(Path(name) / "raw", steps, space=space)
        label([session], Path(name) / "out", Given("Go on"), LabelOptions(chords=True, keep_idle=True))
        (segment,) = find_segments(Path(name) / "out")
        samples = list(read_samples(segment / "samples.jsonl", space))
        assert LabeledSegment.load(segment).held == tuple(steps)
    padded = [*steps[:-1], *[NO_KEYS] * 8]  # a given goal is reached at the end: its last plan is all none
    windows = [[*steps, *[NO_KEYS] * 7][i : i + 7] for i in range(FRAMES - 1)] + [padded[-7:]]
    assert [list(sample.plan.steps) for sample in samples] == windows
    shape = AnswerShape.of(tokenizer, space, chords=True)
    for sample in samples[::4]:
        text = reply(sample.plan, space)
        assert read_reply(text, space) == sample.plan
        assert decoded(shape, tokenizer(text, add_special_tokens=False)["input_ids"]) == sample.plan.steps
    for step in steps:  # what is pressed for it is what was done
        (again,) = space.turned(np.array([space.counts(step)]))
        assert again == step & space.symbols


def decoded(shape, tokens):
    """Greedy decoding by a model that likes these tokens best."""
    walk = Walk(shape, None)

    def pick(_, options):
        return options.index(tokens[len(walk.out)]), [1 / len(options)] * len(options)

    while not walk.finished:
        walk.advance(walk.ahead(), pick)
    return shape.actions(walk.choices)


def test_frames_in_which_only_the_mouse_moves_are_neither_idle_nor_done(tmp_path):
    label([record(tmp_path / "raw", [RIGHT] * 60, space=GAME)], tmp_path / "out", Given("Look around"))
    segments = find_segments(tmp_path / "out")
    assert len(segments) == 2
    samples = list(read_samples(segments[0] / "samples.jsonl", GAME))
    assert samples[0].plan.steps == (RIGHT,) * 7
    assert '"none O k"' in (segments[0] / "samples.jsonl").read_text().replace("\\", "")


def test_the_labeler_is_told_what_keys_do_and_how_far_the_view_turned():
    rows = GAME.encode([W | {"ctrl"}] * 10)
    motion = np.full((10, 2), (-15, 0))
    assert keys_in_words(rows, GAME, 10.0, motion) == "w 1.0 s, ctrl (fire) 1.0 s, looked left 10 degrees"


def told(folder):
    contents, pieces = open_contents(folder)
    data = measure(pieces)
    return data, [str(warning) for warning in warnings(contents, data)]


def test_the_report_warns_where_the_mouse_never_looked_or_mostly_one_way(tmp_path):
    record(tmp_path / "still", [W, frozenset(("ctrl",))] * 30, space=GAME)
    data, said = told(tmp_path / "still")
    assert any("the mouse never turned the view" in line for line in said)
    assert assess(Session.open(next((tmp_path / "still").iterdir()))).reasons

    record(tmp_path / "spin", ([W | RIGHT] * 9 + [W | LEFT | UP]) * 6, space=GAME)
    data, said = told(tmp_path / "spin")
    assert data.turning == pytest.approx({"mouse left": 0.1, "mouse right": 0.9, "mouse up": 0.1, "mouse down": 0.0})
    assert any(line.startswith("mouse right 90 %, mouse left 10 %") for line in said)
    assert not any("never" in line for line in said)

    record(tmp_path / "both", ([W | RIGHT] * 5 + [W | LEFT] * 5) * 6, space=GAME)
    assert not any("mouse" in line for line in told(tmp_path / "both")[1])


def test_of_opposite_keys_a_slot_names_the_newer_one():
    a, d = frozenset("a"), frozenset("d")
    rows = without_opposites(GAME.encode([a, a | d | {"w"}, a | d, d]), GAME)
    assert GAME.decode(rows) == [a, d | {"w"}, d, d]


def test_a_mirrored_action_turns_the_other_way():
    assert mirrored(frozenset("a") | RIGHT | UP, GAME) == frozenset("d") | LEFT | UP
    assert mirrored(W, GAME) == W
    one_sided = ActionSpace("ONE", ("q", "none"), meanings={"q": "step left"})
    assert mirrored(frozenset("q"), one_sided) is None
    both = ActionSpace("TWO", ("q", "e", "none"), meanings={"q": "lean left", "e": "lean right"})
    assert mirrored(frozenset("q"), both) == {"e"}
