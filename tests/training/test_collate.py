# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""Our batches hold what the stock processor and TRL make; what is random in them depends on the key alone."""

import pickle

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from protege.core import KEYBOARD_12, NO_KEYS, Plan
from protege.core.chat import prompt, reply
from protege.errors import UserError
from protege.training.augment import augment, shifted
from protege.training.collate import IGNORED, Collator, model_inputs
from protege.training.config import AugmentOptions
from protege.training.data import LabeledData
from protege.training.sampling import Draws, balance_weights, change_weights
from protege.vlm.inputs import Tokens
from protege.vlm.load import load_processor
from protege.vlm.pixels import PixelSpec

from .conftest import label


@pytest.fixture(scope="module")
def processor(tiny):
    return load_processor(tiny)


def collator(processor, data, **options):
    return Collator(data, Tokens(processor, KEYBOARD_12), PixelSpec.of(processor), **options)


def stock(processor, data, rows):
    """The same samples through TRL's collator and the model's own processor."""
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    examples = []
    for row in rows:
        example = data[row]
        question = [{"type": "image"}, {"type": "text", "text": prompt(example.goal)}]
        examples.append(
            {
                "images": [Image.open(example.path)],
                "prompt": [{"role": "user", "content": question}],
                "completion": [{"role": "assistant", "content": reply(example.plan, KEYBOARD_12)}],
            }
        )
    return DataCollatorForVisionLanguageModeling(processor=processor, completion_only_loss=True)(examples)


@pytest.mark.parametrize("size", [(64, 64), (160, 120), (100, 77), (640, 480), (800, 600)])
def test_batches_equal_those_of_the_stock_path(tmp_path, processor, size):
    data = LabeledData.open(label(tmp_path, segments=3, frames=2, size=size))
    rows = [0, 2, 5]
    theirs = stock(processor, data, rows)
    ours = model_inputs(collator(processor, data).batch(rows), PixelSpec.of(processor))
    assert {name for name in theirs if name != "labels"} == {name for name in ours if name != "labels"}
    for name in ("input_ids", "attention_mask", "mm_token_type_ids", "labels", "image_grid_thw"):
        assert torch.equal(ours[name], theirs[name]), name
    assert ours["pixel_values"].dtype == theirs["pixel_values"].dtype == torch.float32
    assert float((ours["pixel_values"] - theirs["pixel_values"]).abs().max()) <= 1e-5


def test_the_loss_is_on_the_answer_only_or_on_its_actions_only(labeled, processor):
    data = LabeledData.open(labeled)
    tokenizer = processor.tokenizer
    for actions_only, text in ((False, reply(data[0].plan, KEYBOARD_12) + "<|im_end|>\n"), (True, None)):
        labels = collator(processor, data, actions_only=actions_only).batch([0])["labels"][0]
        learned = labels[labels != IGNORED]
        if text is None:
            names = [tokenizer.decode(token) for token in learned]
            assert names == [KEYBOARD_12.spell(step) for step in data[0].plan.steps]
        else:
            assert tokenizer.decode(learned) == text


def test_a_batch_names_its_files_and_its_keys_may_lie_beyond_the_samples(labeled, processor):
    data = LabeledData.open(labeled)
    batch = collator(processor, data).batch([3, 3 + 5 * len(data)])
    assert batch["files"] == [str(data.path(3))] * 2
    assert torch.equal(batch["input_ids"][0], batch["input_ids"][1])


def test_a_collator_travels_to_a_worker(labeled, processor):
    ours = collator(processor, LabeledData.open(labeled))
    assert torch.equal(pickle.loads(pickle.dumps(ours)).batch([1])["patches"], ours.batch([1])["patches"])


def test_frames_are_shrunk_to_the_size_the_model_is_made_for(labeled, processor):
    data = LabeledData.open(labeled)
    batch = collator(processor, data, frame_size=(32, 32)).batch([0])
    assert batch["image_grid_thw"].tolist() == [[1, 2, 2]]


def test_a_damaged_picture_is_named(tmp_path, processor):
    data = LabeledData.open(label(tmp_path, segments=1, frames=2))
    data.path(1).write_bytes(data.path(1).read_bytes()[:300])
    with pytest.raises(UserError, match=r"frame_0001.jpg: not a picture"):
        collator(processor, data).batch([0, 1])


def test_the_same_key_gives_the_same_changed_picture_and_another_key_another(labeled, processor):
    data = LabeledData.open(labeled)
    changes = AugmentOptions(brightness=0.5, blur=1.0, shift=4, flip=0.5)
    ours = collator(processor, data, changes=changes, paraphrases=True, seed=1)
    again = collator(processor, data, changes=changes, paraphrases=True, seed=1)
    key, other = 7, 7 + len(data)
    assert torch.equal(ours.batch([key])["patches"], again.batch([key])["patches"])
    assert not torch.equal(ours.batch([key])["patches"], ours.batch([other])["patches"])


def test_paraphrases_are_asked_now_and_then(labeled, processor):
    data = LabeledData.open(labeled)
    ours = collator(processor, data, paraphrases=True)
    asked = {processor.tokenizer.decode(ours.sample(draw * len(data)).ids) for draw in range(20)}
    assert len(asked) == 2


def plan(*names):
    return Plan(tuple(KEYBOARD_12.parse(name) for name in names))


def test_a_mirrored_picture_gets_a_mirrored_answer():
    rgb = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    always = AugmentOptions(flip=1.0)
    picture, answer = augment(rgb, plan("w", "left", "d"), "Go to the tree", always, np.random.default_rng(0))
    assert np.array_equal(picture, rgb[:, ::-1])
    assert answer == plan("w", "right", "a")


def test_a_goal_that_names_a_side_is_never_mirrored():
    rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    kept = augment(rgb, plan("left"), "Turn LEFT at the door", AugmentOptions(flip=1.0), np.random.default_rng(0))
    assert np.array_equal(kept[0], rgb)
    assert kept[1] == plan("left")


def test_a_shift_moves_the_picture_and_repeats_its_edge():
    rgb = np.arange(9, dtype=np.uint8).reshape(1, 9, 1).repeat(3, 2)
    assert shifted(rgb, 2, 0)[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert np.array_equal(shifted(rgb, 0, 3), rgb)


def test_every_sample_is_drawn_once_an_epoch_and_epochs_differ():
    draws = Draws(10, seed=3)
    epochs = []
    for epoch in (0, 1):
        draws.set_epoch(epoch)
        keys = list(draws)
        epochs.append([key % 10 for key in keys])
        assert sorted(epochs[-1]) == list(range(10))
        assert [key // 10 for key in keys] == [epoch * 10 + place for place in range(10)]
    assert epochs[0] != epochs[1]
    draws.set_epoch(0)
    assert [key % 10 for key in draws] == epochs[0]


def test_samples_whose_actions_change_are_drawn_as_often_as_asked():
    columns = np.array([[0, 0, 0], [0, 0, 1], [2, 2, 2], [1, 0, 0]])
    weights = change_weights(columns, 3.0)
    assert weights.tolist() == [1 / 8, 3 / 8, 1 / 8, 3 / 8]
    assert change_weights(columns, 1.0).tolist() == [0.25] * 4


def test_balance_draws_rare_first_actions_more_often_but_not_above_the_cap():
    columns = np.array([[0]] * 90 + [[7]] * 9 + [[9]])
    even = balance_weights(columns, cap=1e6)
    assert np.isclose(even[:90].sum(), 1 / 3)
    assert np.isclose(even[99], 1 / 3)
    capped = balance_weights(columns, cap=2.0)
    assert capped[99] / capped.mean() < 4
    drawn = [key % 100 for key in Draws(100, 0, even)]
    assert 15 < sum(row < 90 for row in drawn) < 55


def test_a_held_key_that_is_not_there_means_none():
    assert plan("none").steps == (NO_KEYS,)
