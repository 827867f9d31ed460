# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""The tiny base: its data, a few steps of its training, and the one that comes with the program."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from protege.arena.rooms import layout
from protege.core import KEYBOARD_12, encode_jpeg
from protege.core.card import ModelCard
from protege.errors import ProtegeError, UserError
from protege.settings import load_config
from protege.vlm.load import load_model, load_processor
from protege.vlm.tiny import build_tiny, copy_base
from scripts.tiny_base.data import beside_another
from scripts.tiny_base.train import BaseConfig, BaseData, rate, train_base


@pytest.fixture
def data(tmp_path):
    """What scripts.tiny_base.data writes, made up: 80 pictures of 64x32 in 80 rooms, two goals."""
    rng = np.random.default_rng(0)
    jpeg = [encode_jpeg(rng.integers(0, 255, (32, 64, 3), np.uint8)) for _ in range(80)]
    path = tmp_path / "base.npz"
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(jpeg), np.uint8),
        stop=np.cumsum([len(picture) for picture in jpeg]),
        goal=rng.integers(0, 2, 80).astype(np.int16),
        plan=rng.integers(0, 12, (80, 7)).astype(np.uint8),
        seen=np.where(rng.random((80, 2)) < 0.5, np.nan, rng.random((80, 2))).astype(np.float16),
        seed=np.arange(80, dtype=np.int32),
        sentences=np.array(["Go to the tree\nFind the tree", "Open the door\nUse the door"]),
        frame_size=np.array([64, 32]),
    )
    return path


def config(data, tmp_path, *overrides):
    fixed = [f"data={data}", f"output={tmp_path / 'base'}", "size=nano", "see_steps=3", "steps=4", "batch=4"]
    return load_config(BaseConfig, None, [*fixed, "log_steps=2", "score_steps=2", "warmup=1", *overrides])


def test_a_base_is_trained_saved_in_half_precision_and_loads_with_its_card(data, tmp_path):
    folder = train_base(config(data, tmp_path))
    about = json.loads((folder / "base.json").read_text())
    assert about["steps"] == 4
    assert ModelCard.load(folder).frame_size == (64, 32)
    plain = build_tiny(tmp_path / "plain", size="nano")
    assert (folder / "model.safetensors").stat().st_size < 0.6 * (plain / "model.safetensors").stat().st_size
    weights = load_model(folder, device="cpu").state_dict()
    before = load_model(plain, device="cpu").state_dict()
    assert any(not torch.allclose(weights[name], before[name], atol=1e-3) for name in weights)


def test_the_same_seed_trains_the_same_base(data, tmp_path):
    (tmp_path / "again").mkdir()
    made = [train_base(config(data, tmp_path / part)) for part in ("", "again")]
    first, second = ((folder / "model.safetensors").read_bytes() for folder in made)
    assert first == second


def test_who_begins_in_front_of_another_object_faces_it_and_is_not_at_the_goal():
    moved = 0
    for seed in range(40):
        made = layout(seed)
        begun = beside_another(made, random.Random(seed))
        assert replace(begun, start=made.start) == made
        if begun == made:
            continue
        moved += 1
        here = (begun.start.x, begun.start.y)
        near = min(made.distractors, key=lambda other: math.dist(here, other.at))
        assert 52 <= math.dist(here, near.at) <= 111
        assert math.dist(here, made.aim) > 129
        assert made.rooms[0].holds(here)
        assert not any(math.dist(here, each.at) < 51 for each in made.objects), "it would stand in it"
    assert moved >= 30


def test_rooms_held_back_are_not_trained_on(data):
    found = BaseData(data)
    train, held_back = found.split()
    assert found.seed[held_back].tolist() == [0, 40]
    assert len(train) == 78


def test_the_rate_warms_up_stays_and_falls():
    config = BaseConfig(warmup=10, decay=0.5)
    assert rate(0, 100, config) == pytest.approx(0.1)
    assert rate(40, 100, config) == 1
    assert rate(99, 100, config) == pytest.approx(0.02)


def test_mistakes_are_one_line(data, tmp_path):
    with pytest.raises(UserError, match=r"no data for the base.*scripts\.tiny_base\.data"):
        BaseData(tmp_path / "none.npz")
    with pytest.raises(UserError, match="size is one of"):
        BaseConfig(size="huge")
    with pytest.raises(UserError, match="decay lies"):
        BaseConfig(decay=2)
    with pytest.raises(ProtegeError, match="lower the learning rate"):
        train_base(config(data, tmp_path, "see_rate=1e30", "see_steps=30"))


def test_the_base_that_comes_with_the_program_loads_everywhere(tmp_path):
    folder = copy_base(tmp_path / "base")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12e6
    card = ModelCard.load(folder)
    assert (card.kind, card.space, card.horizon) == ("vision", KEYBOARD_12, 7)
    assert type(load_model(folder, device="cpu")).__name__ == "Qwen3VLForConditionalGeneration"
    assert load_processor(folder).tokenizer.eos_token == "<|im_end|>"
    with pytest.raises(UserError, match="not empty"):
        copy_base(folder)
