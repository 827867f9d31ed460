# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""Playing with earlier frames: which are kept, that they equal training's, and exactness of what is kept of them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.decode import measure, with_history
from protege.agent.recall import Recall
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import Frame
from protege.core.card import ModelCard
from protege.core.history import History
from protege.errors import UserError

TWO = History(frames=2, stride=5, scale=0.5)
GOAL = "Go to the lantern"


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    """The tiny model with a card that says a history."""
    return with_history(tiny, tmp_path_factory.mktemp("history") / "model", TWO, (160, 120))


@pytest.fixture(scope="module")
def agent(model):
    return VisionAgent(model)


class Seen:
    """A recall that keeps the number in a frame's first pixel; `made`: what it was asked to make, in order."""

    def __init__(self, history=TWO):
        self.made = []
        self.recall = Recall(history, 10.0, self.see)

    def see(self, rgb):
        self.made.append(int(rgb[0, 0, 0]))
        return self.made[-1]

    def at(self, tenths, goal=GOAL):
        rgb = np.full((2, 2, 3), round(tenths) % 256, np.uint8)
        return self.recall.earlier(Frame(rgb, 10**12 + round(tenths * 1e8)), goal)


def test_frames_at_multiples_of_the_stride_are_shown_and_each_is_made_once():
    seen = Seen()
    shown = [seen.at(index) for index in range(17)]
    assert shown == [list(TWO.earlier(index)) for index in range(17)]
    assert seen.made == [0, 5, 10, 15]


def test_frames_that_are_not_quite_on_time_count_as_those_of_their_slot():
    seen = Seen()
    assert [seen.at(index + shake) for index, shake in enumerate((0, 0.3, -0.3, 0.2, 0.4, -0.4, -0.3))][-1] == [0, 5]


def test_a_slow_player_is_shown_the_newest_frame_up_to_each_time():
    seen = Seen()
    assert [seen.at(tenths) for tenths in (0, 4, 8, 12, 16)] == [[], [0], [0, 4], [4, 8], [8, 12]]
    slow = Seen(History(frames=3, stride=1, scale=1.0))
    assert [slow.at(tenths) for tenths in (0, 2, 4, 6)] == [[], [0, 0], [0, 2, 2], [2, 4, 4]]


@pytest.mark.parametrize(("tenths", "goal"), [(9, "Open the door"), (3, GOAL), (8, GOAL), (18.1, GOAL), (400, GOAL)])
def test_another_goal_and_a_jump_in_time_begin_anew(tenths, goal):
    seen = Seen()
    for index in range(9):
        seen.at(index)
    assert seen.at(tenths, goal) == []
    assert seen.at(tenths + 1, goal) == [round(tenths) % 256]


def test_a_pause_of_up_to_a_second_is_no_break():
    seen = Seen()
    for index in range(8):
        seen.at(index)
    assert seen.at(17) == [7, 7]


def test_what_is_played_from_is_what_was_trained_on(agent, tmp_path, tiny):
    pytest.importorskip("trl")
    from protege.core import KEYBOARD_12
    from protege.core.labeled import find_segments, read_samples
    from protege.training.collate import Collator, model_inputs
    from protege.training.data import LabeledData
    from protege.vlm.inputs import Tokens
    from protege.vlm.pixels import PixelSpec, read_picture
    from tests.training.test_history import play

    data = LabeledData.open(play(tmp_path, size=(200, 150)))
    pixels = PixelSpec.of(agent.processor)
    collator = Collator(data, Tokens(agent.processor, KEYBOARD_12), pixels, agent.card.frame_size, history=TWO)
    agent.warm_up()
    for number, folder in enumerate(folders := find_segments(tmp_path)[:3]):
        samples = {sample.image: sample for sample in read_samples(folder / "samples.jsonl", KEYBOARD_12)}
        begun = sum(len(list(before.glob("*.jpg"))) for before in folders[:number])
        for i, path in enumerate(sorted(folder.glob("*.jpg"))):
            frame = Frame(read_picture(path), (begun + i) * 100_000_000)
            inputs = agent.inputs(frame.rgb, "Go to 20", agent.earlier(frame, "Go to 20"))
            if path.name in samples:
                row = int(np.flatnonzero((data.segment == number) & (data.names == path.name.encode()))[0])
                theirs = model_inputs(collator.batch([row]), pixels)
                asked = inputs["input_ids"].shape[1]
                assert torch.equal(inputs["input_ids"], theirs["input_ids"][:, :asked])
                assert torch.equal(inputs["pixel_values"], theirs["pixel_values"])
                assert torch.equal(inputs["image_grid_thw"], theirs["image_grid_thw"])


def test_chunks_with_a_history_are_those_of_the_stock_model(agent, questions):
    times = measure(agent, questions, lambda text: None)
    assert times.identical() == len(questions)


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_the_reader_reads_as_the_stock_model_whatever_it_kept(tiny, tmp_path, questions, scale):
    """Among others goals that change, so that the length of the prompt does, and prompts without earlier frames."""
    from protege.vlm.load import load_model

    agent = VisionAgent(with_history(tiny, tmp_path / "model", History(3, 2, scale), (160, 120)))
    stock = load_model(tiny)
    reader, head = agent.decoder.reader, agent.decoder.shape.head
    for number, (frame, _) in enumerate(questions[:24]):
        goal = GOAL if number < 14 else "Open the door and walk on"
        earlier = [] if number == 9 else agent.earlier(Frame(frame.rgb, number * 100_000_000), goal)
        inputs = agent.inputs(frame.rgb, goal, earlier)
        tail = torch.tensor([head])
        asked = {
            **inputs,
            "input_ids": torch.cat([inputs["input_ids"], tail], 1),
            "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(tail)], 1),
        }
        with torch.inference_mode():
            expected = stock.model(**asked).last_hidden_state[0, -3:]
            reader.look(inputs)
            found = reader.read(list(head), 3)
        assert torch.allclose(found, expected, atol=2e-4), number


def test_an_earlier_frame_is_looked_at_once_and_its_keys_and_values_stay(agent, questions):
    agent.warm_up()
    pictures, tokens = [], []
    visual, text = agent.decoder.reader._visual, agent.decoder.reader._text
    hooks = [
        visual.patch_embed.register_forward_hook(lambda _, args, out: pictures.append(len(args[0]))),
        text.layers[0].mlp.register_forward_hook(lambda _, args, out: tokens.append(args[0].shape[1])),
    ]
    try:
        asked = []
        for index in range(12):
            pictures.clear()
            tokens.clear()
            agent.predict(Frame(questions[index][0].rgb, 10**12 + index * 100_000_000), GOAL)
            asked.append((len(pictures), tokens[0]))
    finally:
        for hook in hooks:
            hook.remove()
    moved = {index for index, (looked, _) in enumerate(asked) if looked == 2}
    assert moved == {1, 6, 11}
    assert {looked for looked, _ in asked} == {1, 2}
    assert max(asked[i][1] for i in (2, 3, 4, 5, 7, 8)) < min(asked[i][1] for i in (1, 6, 11))


def test_a_picture_without_a_time_is_shown_alone(agent, questions):
    rgb = questions[0][0].rgb
    assert agent.predict_actions(rgb, GOAL) == agent.predict_actions(rgb, GOAL)
    assert agent.inputs(rgb, GOAL)["image_grid_thw"].shape == (1, 3)


def test_a_card_with_a_history_and_the_prompt_of_none_is_refused(tiny, tmp_path):
    folder = with_history(tiny, tmp_path / "model", TWO, (160, 120))
    ModelCard("vision", "tiny", frame_size=(160, 120), history=TWO, prompt_version=1).save(folder)
    with pytest.raises(UserError, match="prompt version 1, this needs 2"):
        VisionAgent(folder)
    ModelCard("vision", "tiny", frame_size=(160, 120), prompt_version=2).save(folder)
    with pytest.raises(UserError, match="prompt version 2, this needs 1"):
        VisionAgent(folder, options=VisionOptions())
