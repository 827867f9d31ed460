# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""A model that goes on with other goals: earlier samples are rehearsed, and what it forgot of them is measured."""

import json
import logging
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

from protege.errors import UserError
from protege.learn.interrupt import Asked
from protege.learn.progress import silent
from protege.learn.resume import Run
from protege.training.data import LabeledData
from protege.training.judge import ScoreOptions, score_model
from protege.training.model import load_trainable
from protege.training.outputs import export_merged
from protege.training.run import known_warnings, make_trainer, train
from protege.training.sampling import Draws, Rehearsal
from protege.training.start import find_start

from .conftest import GOALS, label
from .test_run import config, same, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SHORT = ("training.max_steps=2", "training.save_steps=1", "training.score_samples=100", "training.best=cross_entropy")


def of_goal(root, goal, day, segments=6, frames=4):
    """Labeled segments of recordings of one day, all with the same goal."""
    label(root, segments=segments, frames=frames)
    for folder in list(root.iterdir()):
        for name in ("samples.jsonl", "segment.json"):
            text = (folder / name).read_text().replace("20261121", day)
            for other in GOALS:
                text = text.replace(other, goal)
            (folder / name).write_text(text)
        folder.rename(root / folder.name.replace("20261121", day))
    return root


@pytest.fixture(scope="module")
def lantern(tiny, tmp_path_factory):
    """(a model trained on one goal, merged; the adapter; its data)"""
    root = tmp_path_factory.mktemp("lantern")
    data = of_goal(root / "data", GOALS[0], "20261101")
    output = train(config(tiny, data, root / "adapter", *SHORT, "training.learning_rate=2e-2")).output
    return export_merged(output, root / "merged"), output, data


@pytest.fixture
def door(tmp_path):
    return of_goal(tmp_path / "door", GOALS[1], "20261102")


def recorded(folder):
    record = Run.load(folder)
    assert record is not None
    return record


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def sessions(data):
    return {data.session[i] for i in np.unique(data.segment)}


def made(options, output):
    """The trainer of a run that is not trained."""
    data = LabeledData.open(output.parent / "door")
    start = find_start(options, data, output)
    training, held_back = start.sides.part(data)
    found = load_trainable(options)
    with known_warnings():
        return start, make_trainer(options, found, training, held_back, Asked(), silent, start.earlier)


def test_a_share_of_each_batch_is_drawn_from_what_the_base_was_trained_on(tiny, lantern, door, tmp_path):
    base, adapter, _ = lantern
    start, trainer = made(config(base, door, tmp_path / "m", *SHORT), tmp_path / "m")
    paths = [trainer.collator.data.path(key % len(trainer.collator.data)) for key in trainer.draws]
    earlier = ["20261101" in str(path) for path in paths]
    assert [sum(earlier[i : i + 4]) for i in range(0, len(earlier), 4)][:-1] == [1] * (len(earlier) // 4)
    record = recorded(adapter)
    drawn = {path.parent.name.rpartition("_")[0] for path, old in zip(paths, earlier, strict=True) if old}
    assert drawn
    assert drawn <= set(record.trained), "what was held back stays held back"
    assert start.earlier is not None
    assert sessions(start.earlier.held) == set(record.held)
    assert list(trainer.draws) == list(made(config(base, door, tmp_path / "m", *SHORT), tmp_path / "m")[1].draws)
    for options, output in (((base, "data.rehearsal=0"), "off"), ((tiny,), "fresh")):
        _, plain = made(config(options[0], door, tmp_path / output, *SHORT, *options[1:]), tmp_path / output)
        assert list(plain.draws) == list(Draws(len(plain.collator.data), 3407)), output
        assert sessions(plain.collator.data) <= {f"20261102_1425{n:02d}" for n in range(3)}


@pytest.mark.parametrize("rehearsal", [0.25, 0])
def test_forgotten_is_how_much_worse_the_model_is_at_the_goals_it_had(lantern, door, tmp_path, rehearsal):
    base, adapter, data = lantern
    options = config(base, door, tmp_path / "m", *SHORT, "training.learning_rate=5e-2", f"data.rehearsal={rehearsal}")
    output = train(options).output
    metrics = metrics_of(output)
    held = tmp_path / "held"
    for name in recorded(adapter).held:
        for folder in data.glob(f"{name}_seg*"):
            shutil.copytree(folder, held / folder.name)
    before, now = (score_model(model, held, ScoreOptions(device="cpu")).scores for model in (base, output))
    assert metrics["forgotten_samples"] == now.samples > 0
    assert metrics["forgotten"] == pytest.approx(before.first_action_accuracy - now.first_action_accuracy)
    seen, apart = set(metrics["trained_on"]["names"]), set(metrics["held_back"]["names"])
    assert set(recorded(adapter).trained) < seen
    assert set(recorded(adapter).held) < apart
    assert not seen & apart
    assert metrics["earlier"]["folders"] == [str(data)]
    assert any("20261101" in name for name in recorded(output).data) == bool(rehearsal)


def test_two_steps_and_two_more_equal_four_with_rehearsal(lantern, door, tmp_path):
    drawn = (*SHORT, "data.balance=true", "augment.shift=2")
    four = train(config(lantern[0], door, tmp_path / "four", *drawn, "training.max_steps=4"))
    train(config(lantern[0], door, tmp_path / "two", *drawn))
    two = train(config(lantern[0], door, tmp_path / "two", *drawn, "training.max_steps=4"))
    last = [tmp_path / name / "checkpoints" / "checkpoint-4" for name in ("four", "two")]
    assert same(weights(last[0]), weights(last[1]))
    assert four.losses[2:] == two.losses[-2:]
    with pytest.raises(UserError, match=r"holds a run with data\.rehearsal=0\.25, this one has 0\.5"):
        train(config(lantern[0], door, tmp_path / "two", *drawn, "data.rehearsal=0.5"))


def test_where_earlier_data_cannot_be_found_forgotten_is_null(lantern, door, tiny, tmp_path, caplog):
    base = shutil.copytree(lantern[0], tmp_path / "merged")
    card = json.loads((base / "card.json").read_text())
    card["config"]["data"]["folder"] = str(tmp_path / "gone")
    (base / "card.json").write_text(json.dumps(card))
    for number, model in enumerate((base, tiny)):
        metrics = metrics_of(train(config(model, door, tmp_path / f"m{number}", *SHORT)).output)
        assert (metrics["forgotten"], metrics["forgotten_samples"]) == (None, 0)
        assert "earlier" not in metrics
    assert "earlier data is neither rehearsed nor scored" in caplog.text
    with pytest.raises(UserError, match=r"data\.earlier: .*nowhere: no labeled data here"):
        train(config(base, door, tmp_path / "m2", *SHORT, f"data.earlier=[{tmp_path / 'nowhere'}]"))
    moved = config(base, door, tmp_path / "m3", *SHORT, f"data.earlier=[{lantern[2]}]")
    assert metrics_of(train(moved).output)["forgotten_samples"] > 0


def test_goals_that_the_new_data_has_are_not_counted_as_forgotten(lantern, tmp_path):
    data = of_goal(tmp_path / "more", GOALS[0], "20261103")
    metrics = metrics_of(train(config(lantern[0], data, tmp_path / "m", *SHORT)).output)
    assert (metrics["forgotten"], metrics["forgotten_samples"]) == (None, 0)
    assert metrics["earlier"]["trained"]


def test_an_adapter_goes_on_with_other_data_where_the_old_is_named(tiny, lantern, door, tmp_path, caplog):
    _, adapter, data = lantern
    output = shutil.copytree(adapter, tmp_path / "m")
    with pytest.raises(UserError, match=r"is not all in .*; name the folder of the old data in data\.earlier, put"):
        train(config(tiny, door, output, *SHORT, "training.learning_rate=2e-2"))
    options = config(tiny, door, output, *SHORT, "training.learning_rate=2e-2", f"data.earlier=[{data}]")
    with caplog.at_level(logging.INFO):
        train(options)
    assert "24 new samples; going on from the weights that are there" in caplog.text
    assert "25 % of each batch are drawn from 16 earlier samples" in caplog.text
    metrics = metrics_of(output)
    held = metrics["forgotten_samples"]
    assert held == 8
    assert [link["steps"] for link in metrics["runs"]] == [2, 2]
    before = weights(output)
    assert train(options).steps == 2
    assert same(before, weights(output)), "nothing to do"


def test_a_recording_that_the_base_held_back_stays_held_back(tiny, lantern, door, tmp_path):
    base, adapter, data = lantern
    (held,) = recorded(adapter).held
    for folder in data.glob(f"{held}_seg*"):
        shutil.copytree(folder, door / folder.name)
    output = tmp_path / "m"
    together = LabeledData.open(door)

    def begun(model, seed):
        return find_start(config(model, door, output, *SHORT, f"data.split_seed={seed}"), together, output)

    seed = next(n for n in range(20) if held in begun(tiny, n).sides.trained)
    start = begun(base, seed)
    assert held in start.sides.held
    assert start.earlier is not None
    assert held not in sessions(start.earlier.trained)


def test_rehearsed_samples_are_spread_evenly_and_every_new_one_comes_once():
    draws = Draws(12, 3, rehearsal=Rehearsal(5, 0.25))
    keys = list(draws)
    assert len(keys) == len(draws) == 16
    rows = [key % 17 for key in keys]
    assert sorted(row for row in rows if row < 12) == list(range(12))
    assert [sum(row >= 12 for row in rows[i : i + 4]) for i in range(0, 16, 4)] == [1] * 4
    assert len({row for row in rows if row >= 12}) == 4, "none comes twice before all have come"
    draws.set_epoch(1)
    assert not set(keys) & set(draws)
    draws.set_epoch(0)
    assert list(draws) == keys
    many = [key % 13 for key in Draws(12, 3, rehearsal=Rehearsal(1, 0.5))]
    assert many.count(12) == 12
    assert len(Draws(16, 0, rehearsal=Rehearsal(3, 0.25))) == 16 + 6
    assert list(Draws(12, 3, rehearsal=Rehearsal(0, 0.25))) == list(Draws(12, 3))
