# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""Samples with earlier frames: which, as the stock processor makes them, left out now and then, and trained on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from protege.core import KEYBOARD_12, Plan
from protege.core.card import ModelCard
from protege.core.chat import Sample, question, reply
from protege.core.history import History
from protege.core.labeled import LabeledSegment
from protege.errors import UserError
from protege.settings import build
from protege.training.collate import Collator, model_inputs
from protege.training.config import AugmentOptions, HistoryOptions, VisionConfig
from protege.training.data import LabeledData
from protege.training.run import train
from protege.vlm.inputs import Tokens
from protege.vlm.load import load_processor
from protege.vlm.pixels import PixelSpec

TWO = History(frames=2, stride=5, scale=0.5)
CUTS = [("a", 0, 8, 20), ("a", 8, 16, 20), ("a", 16, 20, 20), ("a", 20, 26, 26), ("b", 0, 6, 12), ("b", 8, 12, 12)]
"""(recording, start, stop, where its goal ends) of segments; of b frames 6 and 7 were set aside."""


def play(root, cuts=CUTS, size=(64, 64)):
    """Labeled segments in which every picture is of another grey, and some of them are no sample."""
    for number, (session, start, stop, end) in enumerate(cuts):
        folder = root / f"{session}_seg{number:03d}"
        folder.mkdir(parents=True)
        goal = f"Go to {end}"
        lines = []
        for i in range(stop - start):
            grey = np.full((size[1], size[0], 3), 8 * (start + i), np.uint8)
            grey[: size[1] // 2, : size[0] // 3, 0] = 200
            Image.fromarray(grey).save(folder / f"frame_{i:04d}.jpg", quality=95)
            if i != 2:
                plan = Plan(tuple(KEYBOARD_12.parse(key) for key in ["w", "left", "w", "w", "d", "none", "none"]))
                lines.append(json.dumps(Sample(f"frame_{i:04d}.jpg", goal, plan).to_json(KEYBOARD_12)))
        (folder / "samples.jsonl").write_text("\n".join(lines) + "\n")
        labeled = LabeledSegment(folder.name, session, start, stop, goal, goal_stop=end)
        (folder / "segment.json").write_text(json.dumps(labeled.to_json()))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return LabeledData.open(play(tmp_path_factory.mktemp("play")))


@pytest.fixture(scope="module")
def processor(tiny):
    return load_processor(tiny)


def collator(processor, data, **options):
    return Collator(data, Tokens(processor, KEYBOARD_12), PixelSpec.of(processor), **options)


def named(data, segment, frame):
    """The position of a sample."""
    folder = next(n for n, path in enumerate(data.folders) if path.name.endswith(f"seg{segment:03d}"))
    return int(np.flatnonzero((data.segment == folder) & (data.names == f"frame_{frame:04d}.jpg".encode()))[0])


@pytest.mark.parametrize(
    ("segment", "frame", "expected"),
    [
        (0, 0, []), (0, 1, ["000/0"]), (0, 7, ["000/0", "000/5"]), (1, 3, ["000/5", "001/2"]),
        (2, 3, ["001/2", "001/7"]), (3, 0, []), (3, 5, ["003/0"]), (4, 5, ["004/0"]), (5, 0, []), (5, 3, ["005/0"]),
    ],
)  # fmt: skip
def test_earlier_frames_come_from_the_same_recording_and_the_same_goal_across_segments(data, segment, frame, expected):
    found = data.earlier(named(data, segment, frame), TWO)
    assert [f"{path.parent.name[-3:]}/{int(path.stem[-4:])}" for path in found] == expected


def test_earlier_frames_are_found_in_a_part_of_the_data_and_in_joined_data(data, tmp_path):
    row = named(data, 1, 3)
    wanted = data.earlier(row, TWO)
    assert data.take(np.array([row])).earlier(0, TWO) == wanted
    other = LabeledData.open(play(tmp_path, [("c", 0, 8, 16), ("c", 8, 16, 16)]))
    assert other.joined(data).earlier(len(other) + row, TWO) == wanted
    assert data.joined(other).earlier(row, TWO) == wanted


@pytest.mark.parametrize("size", [(64, 64), (160, 120), (100, 77)])
def test_batches_with_earlier_frames_equal_those_of_the_stock_processor(tmp_path, processor, size):
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    data = LabeledData.open(play(tmp_path, size=size))
    rows, examples = [named(data, 0, 0), named(data, 0, 1), named(data, 1, 3)], []
    for row in rows:
        pictures = []
        for path in data.earlier(row, TWO):
            with Image.open(path) as image:
                small = image.resize((round(size[0] / 2), round(size[1] / 2)), Image.Resampling.BILINEAR)
                pictures.append(small)
        pictures.append(Image.open(data.path(row)))
        content = question(data[row].goal, [{"type": "image"}] * len(pictures))
        answer = [{"role": "assistant", "content": reply(data[row].plan, KEYBOARD_12)}]
        examples.append({"images": pictures, "prompt": [{"role": "user", "content": content}], "completion": answer})
    stock = DataCollatorForVisionLanguageModeling(processor=processor, completion_only_loss=True)
    theirs = stock(examples)
    ours = model_inputs(collator(processor, data, history=TWO).batch(rows), PixelSpec.of(processor))
    assert len(ours["image_grid_thw"]) == 1 + 2 + 3
    for name in ("input_ids", "attention_mask", "mm_token_type_ids", "labels", "image_grid_thw"):
        assert torch.equal(ours[name], theirs[name]), name
    assert float((ours["pixel_values"] - theirs["pixel_values"]).abs().max()) <= 1e-5


def test_earlier_frames_are_left_out_now_and_then_by_the_key_alone_and_never_when_scored(data, processor):
    row = named(data, 1, 3)
    ours = collator(processor, data, history=TWO, dropout=0.5, seed=3)
    keys = [row + draw * len(data) for draw in range(60)]
    shown = [len(ours.sample(key).grids) for key in keys]
    assert 15 < shown.count(1) < 45
    assert set(shown) == {1, 3}
    assert [len(collator(processor, data, history=TWO, dropout=0.5, seed=3).sample(key).grids) for key in keys] == shown
    assert {len(ours.scoring().sample(key).grids) for key in keys} == {3}


def test_a_sample_whose_earlier_frames_are_left_out_is_one_without_a_history(data, processor):
    row = named(data, 1, 3)
    dropped = collator(processor, data, history=TWO, dropout=1.0).batch([row])
    plain = collator(processor, data).batch([row])
    for name in ("input_ids", "labels", "patches", "image_grid_thw"):
        assert torch.equal(dropped[name], plain[name]), name


def test_all_frames_of_a_sample_are_changed_alike_and_the_newest_as_without_a_history(data, processor):
    changes = AugmentOptions(brightness=0.5, shift=4, flip=1.0)
    whole = History(2, 5, 1.0)
    row = named(data, 1, 3)
    plain = collator(processor, data, changes=changes, seed=1).sample(row)
    ours = collator(processor, data, changes=changes, seed=1, history=whole).sample(row)
    oldest, _, newest = np.split(ours.patches.astype(int), 3)
    assert np.array_equal(newest, plain.patches)
    still = collator(processor, data, history=whole).sample(row)
    ratio = [frame[-1].mean() / before[-1].mean() for frame, before in zip((oldest, newest), (
        np.split(still.patches.astype(int), 3)[::2]), strict=True)]  # fmt: skip
    assert ratio[0] == pytest.approx(ratio[1], abs=0.03)
    assert abs(ratio[0] - 1) > 0.05


def settings(folder, tiny, output, **history):
    fields = {
        "output": str(output),
        "model": {"base": str(tiny), "four_bit": False, "device": "cpu"},
        "data": {"folder": str(folder), "workers": 0, "validation": 0.3, "history": history},
        "training": {"max_steps": 2, "batch": 2, "accumulation": 1, "score_samples": 50, "report_to": "none"},
    }
    return build(VisionConfig, fields)


def test_a_model_trained_with_a_history_says_so_is_scored_with_it_and_does_not_go_on_without(tmp_path, tiny):
    from protege.training.judge import ScoreOptions, score_model

    folder = play(tmp_path / "play")
    trained = train(settings(folder, tiny, tmp_path / "model", frames=2, stride=5, dropout=0.5))
    card = ModelCard.load(trained.output)
    assert (card.history, card.prompt_version) == (TWO, 2)
    again = score_model(trained.output, folder, ScoreOptions(only_held_back=True, untuned_base=False))
    assert again.scores.cross_entropy == pytest.approx(trained.scores["cross_entropy"], rel=1e-4)
    (trained.output / "card.json").write_text(
        (trained.output / "card.json").read_text().replace('"scale": 0.5', '"scale": 1.0')
    )
    other = score_model(trained.output, folder, ScoreOptions(only_held_back=True, untuned_base=False))
    assert other.scores.cross_entropy != pytest.approx(trained.scores["cross_entropy"], rel=1e-9)
    with pytest.raises(UserError, match=r"data.history.frames=2, this one has 0"):
        train(settings(folder, tiny, tmp_path / "model"))


def test_a_run_of_a_version_without_a_history_does_not_go_on_with_one(tmp_path, tiny):
    folder = play(tmp_path / "play")
    output = train(settings(folder, tiny, tmp_path / "model")).output
    record = json.loads((output / "run.json").read_text())
    assert record["settings"].pop("data.history.frames") == 0
    assert record["settings"].pop("data.change_weight") == 1
    assert not [name for name in record["settings"] if "history" in name]
    for place in (output, output / "checkpoints"):
        if (place / "run.json").is_file():
            (place / "run.json").write_text(json.dumps(record))
    assert train(settings(folder, tiny, output)).steps == 2
    with pytest.raises(UserError, match=r"data.history.frames=0, this one has 1"):
        train(settings(folder, tiny, output, frames=1))
    plain = settings(folder, tiny, output)
    with pytest.raises(UserError, match=r"data.change_weight=1.0, this one has 3.0"):
        train(replace(plain, data=replace(plain.data, change_weight=3.0)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": 4}, "data.history.frames"), ({"stride": 0}, "data.history.stride"),
        ({"scale": 0.0}, "data.history.scale"), ({"dropout": 1.5}, "data.history.dropout"),
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_is_refused_by_its_name(fields, message):
    with pytest.raises(UserError, match=message):
        HistoryOptions(**fields)
