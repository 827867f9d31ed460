"""Whole runs on real stores: a model learns, early stopping, the log, what stops a run and how it says so."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

import importlib.util
import json
import logging
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace

import jax
import numpy as np
import pytest

from protege.cloning import loader
from protege.cloning.agreement import require_same
from protege.cloning.checkpoint import load_model
from protege.cloning.logs import Log
from protege.cloning.optim import schedule
from protege.cloning.steps import to_arrays
from protege.cloning.store import Dataset
from protege.cloning.train import Data, Run, train, where
from protege.cloning.writer import Writer
from protege.core.card import ModelCard
from protege.errors import ProtegeError, UserError
from tests.cloning.stores import store
from tests.cloning.tiny import interrupted, run

KEYS = ("left", "right")
LENGTHS = (24, 24, 24, 24)
LEARNS = (
    *("training.num_epochs=16", "training.early_stopping.patience=4", "model.pool=keypoints", "model.dropout_rate=0"),
    *(
        "logging.log_every_n_steps=2",
        "logging.log_gradients=true",
        "logging.use_tensorboard=true",
        "evaluation.best=f1",
    ),
)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """Left is held while the left half of the picture is bright, right while the right half is."""
    path = tmp_path_factory.mktemp("data") / "episodes.zarr"
    writer = Writer(path, (*KEYS, "never"))
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        actions = np.c_[rng.random((length, 2)) < 0.5, np.zeros(length, bool)]
        frames = rng.integers(0, 40, (length, 3, 16, 24), dtype=np.uint8)
        for half, (start, stop) in enumerate(((0, 12), (12, 24))):
            frames[..., start:stop] += (150 * actions[:, half]).astype(np.uint8)[:, None, None, None]
        writer.episode(frames, actions, attributes={"fps": 20.0})
    return path


@pytest.fixture(scope="module")
def trained(episodes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "learns"
    found = train(run(episodes, folder, *LEARNS))
    return found, folder


def test_a_model_learns_what_can_be_seen(trained):
    found, _ = trained
    assert found.scores["f1"] > 0.9
    assert found.losses[-1][1] < found.losses[0][1] / 2
    assert found.scores["absent"] == ["never"]


def test_the_best_weights_are_loaded_and_predict(trained, episodes):
    _, folder = trained
    loaded = load_model(folder)
    assert loaded.keys == (*KEYS, "never")
    assert loaded.frame_hz == 20
    episode = Dataset.open(episodes).episodes[0]
    frames = episode.read(0, 8)
    probs = np.stack([loaded.decide(frame[None], np.zeros((0, 3)))[0] for frame in frames])
    held = (probs > loaded.thresholds)[:, :2]
    assert (held == episode.actions[:8, :2]).mean() > 0.9


def test_the_card_says_what_the_model_was_made_for(trained):
    _, folder = trained
    card = ModelCard.load(folder)
    card.require(kind="cloning", frame_size=(24, 16), frame_hz=20.0, horizon=1, chords=True)
    assert card.space.keys == (*KEYS, "never", "none")
    assert card.config["model"]["name"] == "pure_cnn"


def test_the_local_log_has_losses_rates_and_scores(trained):
    found, folder = trained
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps[:3]] == [2, 4, 6]
    assert all(row["gradient_norm"] > 0 and row["samples_per_s"] > 0 for row in steps)
    assert max(row["rate"] for row in steps) == pytest.approx(0.01, rel=0.05)
    judged = [row for row in rows if "validation_f1" in row][-1]
    of_left = found.scores["actions"]["left"]
    for number in ("accuracy", "precision", "recall", "f1"):
        assert judged[f"validation_left/{number}"] == of_left[number] > 0.9
    assert not [name for name in judged if "never" in name], "of an action that nobody holds nothing can be told"
    (events,) = (folder / "tensorboard").glob("events*")
    assert b"validation_left/f1" in events.read_bytes()


def test_a_run_says_how_long_it_will_take(episodes, tmp_path, caplog):
    made = run(episodes, tmp_path, "training.num_epochs=2", "logging.log_every_n_steps=1")
    with caplog.at_level(logging.INFO, "protege.cloning"):
        steps = train(made).steps
    said = [line.split() for line in caplog.messages if line.startswith("step") and " of " in line]
    assert len(said) == steps
    for line in said:
        left = made.training.batch_size * (steps - int(line[1])) / float(line[line.index("samples/s") - 1]) / 60
        assert float(line[line.index("min") - 1]) == pytest.approx(left, abs=0.06)


def test_a_run_that_gets_no_better_stops_early(trained):
    found, _ = trained
    assert found.steps < 16 * 6, "scores were perfect before the end"


def test_an_action_that_nobody_holds_is_named_and_never_pressed(episodes, tmp_path, caplog):
    """After one step the model would press it in every other frame."""
    config = run(episodes, tmp_path / "m", "training.max_steps=1")
    with caplog.at_level(logging.WARNING):
        found = train(config)
    assert "never held in the training episodes: never; they weigh 1, and are never pressed" in caplog.text
    assert load_model(tmp_path / "m").about["thresholds"]["never"] == 1
    assert found.scores["actions"]["never"]["predicted"] == 0


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("system.devices=9", "system.devices is 9, but there are"),
        ("model.horizon=25", "the longest training episode has 24 frames, model.horizon is 25"),
        ("dataset.path=nowhere.zarr", "nowhere.zarr"),
        ("model.patch_size=64", "model.patch_size 64 is larger than a picture"),
        ("logging.use_tensorboard=true", "tensorboard is not installed"),
    ],
)
def test_a_refusal_leaves_every_file_as_it_was(episodes, trained, tmp_path, monkeypatch, override, words):
    """With resume=never, which would delete the trained model, and where there is no folder yet."""
    if override == "logging.use_tensorboard=true":
        real = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else real(name))
    name = "vit_policy" if "patch" in override else "pure_cnn"
    _, folder = trained
    before = files(folder)
    for there, resume in ((folder, "never"), (tmp_path / "new" / "m", "auto")):
        with pytest.raises(ProtegeError) as found:
            train(run(episodes, there, f"training.resume={resume}", override, name=name))
        assert words in str(found.value)
    assert files(folder) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("limit", "last"), [(0, 20), (12, 12), (99, 20)])
def test_the_rate_comes_down_where_training_ends(limit, last):
    """In steps of two batches: 4 epochs of 10 batches are 20 of them."""
    options = ("training.num_epochs=4", f"training.max_steps={2 * limit}", "training.accumulation=2")
    shape = ("training.lr_schedule.warmup_epochs=0.2", "training.lr_schedule.min_lr=1e-4")
    rates = schedule(run("e.zarr", "m", *options, *shape).training, 10)
    assert float(rates(1)) == pytest.approx(0.01)
    assert float(rates(last - 1)) > 1.05e-4
    assert float(rates(last)) == pytest.approx(1e-4)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_batch(tmp_path):
    path = store(tmp_path / "e.zarr", (12, 9, 15), size=(24, 16), state=3)
    config = run(path, tmp_path / "m", "dataset.use_state=true", name="state_cnn")
    data = Data.open(config)
    data = replace(data, cache=replace(data.cache, state=np.full_like(data.cache.state, np.nan)))
    made = Run(config, data, tmp_path / "m", Log(tmp_path / "m", config))
    words = r"the loss of step 1 is nan, from the batch of frame \d+ of episode_\d"
    with pytest.raises(ProtegeError, match=words) as found:
        made.first_epoch(2)
    assert "(8 in all)" in str(found.value)
    assert not [path for path in (tmp_path / "m" / "checkpoints").glob("*") if path.name.isdigit()]


def test_a_batch_is_named_by_its_frames(episodes, tmp_path):
    data = Data.open(run(episodes, tmp_path / "m"))
    batch = next(iter(loader.batches(data.cache, ["episode_1"], data.options, 0, 0)))
    named = where(batch, data.cache, most=2)
    assert named.startswith("frame ")
    assert named.count("of episode_1") == 2
    assert named.endswith(", … (8 in all)")


def test_ctrl_c_saves_and_the_run_goes_on_later(episodes, tmp_path):
    config = run(episodes, tmp_path / "m", "training.num_epochs=3", "logging.log_every_n_steps=1")
    first = interrupted(config, "step 1 of")
    assert first.interrupted
    assert first.steps == 2
    rest = train(config)
    assert not rest.interrupted
    assert [step for step, _ in rest.losses] == list(range(3, rest.steps + 1))
    again = train(config)
    assert (again.steps, again.losses) == (rest.steps, ()), "a finished run has nothing left to do"


def test_a_run_in_a_thread_leaves_signals_alone(episodes, tmp_path):
    found = []
    before = signal.getsignal(signal.SIGINT)
    config = run(episodes, tmp_path / "m", "training.max_steps=1")
    thread = threading.Thread(target=lambda: found.append(train(config)))
    thread.start()
    thread.join()
    assert found[0].steps == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_goes_on_only_with_what_it_was_begun_with(episodes, tmp_path):
    config = run(episodes, tmp_path)
    require_same(
        config, run(episodes, tmp_path, "training.num_epochs=9", "training.max_steps=3", "dataset.cache=x"), tmp_path
    )
    require_same(config, run(episodes, tmp_path, "system.num_workers=0", "system.devices=1"), tmp_path)
    require_same(config, run(episodes, tmp_path, "evaluation.onset_buffer_frames=2"), tmp_path)
    changes = ("training.batch_size=4", 8), ("dataset.split_seed=1", 42), ("model.goal=index", "none")
    scored = ("evaluation.best=exact_match", "loss"), ("evaluation.tune_thresholds=false", True)
    for override, was in (*changes, ("system.seed=7", 42), *scored):
        with pytest.raises(UserError, match=f"={was}, this one has .*; choose another training"):
            require_same(config, run(episodes, tmp_path, override), tmp_path)


def test_another_run_in_the_folder_is_refused_with_one_line_and_nothing_else(trained, episodes, caplog):
    """Scores of one kind would be compared with those of another. No word of the episodes comes first."""
    _, folder = trained
    before = files(folder)
    with caplog.at_level(logging.INFO), pytest.raises(UserError, match=r"evaluation\.best=f1, this one has last"):
        train(run(episodes, folder, *LEARNS, "evaluation.best=last"))
    assert caplog.text == ""
    assert files(folder) == before


def test_frames_are_counted_while_they_are_copied(episodes, tmp_path):
    told = []

    @contextmanager
    def progress():
        yield lambda done, total: told.append((done, total))
        told.append("over")

    Data.open(run(episodes, tmp_path / "m", f"dataset.cache={tmp_path / 'cache'}"), progress)
    assert told == [(24, 96), (48, 96), (72, 96), (96, 96), "over"]


def test_of_several_actions_those_past_an_episode_s_end_are_not_learnt(tmp_path):
    """Every frame is learnt from, the last one too; were no key held past the end, the loss would be another."""
    path = store(tmp_path / "e.zarr", (5, 5, 9), size=(24, 16))
    config = run(path, tmp_path / "m", "model.dropout_rate=0", "model.horizon=4", "training.max_steps=1")
    data = Data.open(config)
    (one,) = list(loader.batches(data.cache, data.splits.train, data.options))[:1]
    made = Run(config, data, tmp_path / "m", Log(tmp_path / "m", config))
    state = made.steps.init(jax.random.key(0))
    arrays = to_arrays(one, data.setting)
    changed = {**arrays, "actions": np.where(arrays["known"][..., None], arrays["actions"], 1)}
    assert (changed["actions"] != arrays["actions"]).any()
    losses = [
        float(made.steps.train(jax.tree.map(jax.numpy.copy, state), made.devices.place(each))[1]["loss"])
        for each in (arrays, changed)
    ]
    assert losses[0] == losses[1]


def test_broken_episodes_are_left_out_or_stop_the_run(tmp_path, caplog):
    path = store(tmp_path / "e.zarr", (9, 9, 9, 9))
    (path / "episode_2" / "frames" / "c" / "3" / "0" / "0" / "0").unlink()
    with caplog.at_level(logging.WARNING):
        data = Data.open(run(path, tmp_path / "m"))
    assert "episode_2: 1 of 9 chunks of frames missing" in caplog.text
    assert "episode_2" not in {e.name for part in vars(data.splits).values() for e in part}
    with pytest.raises(UserError, match="episode_2: 1 of 9 chunks of frames missing"):
        Data.open(run(path, tmp_path / "m", "dataset.validate_episodes=false"))


def test_state_is_encoded_from_the_training_episodes_alone(tmp_path):
    path = store(tmp_path / "e.zarr", (9, 9, 9, 9), state=3)
    data = Data.open(run(path, tmp_path / "m", "dataset.use_state=true"))
    own = np.concatenate([e.state for e in data.splits.train])
    assert data.setting.state.center == pytest.approx(own.mean(0))
    assert Data.open(run(path, tmp_path / "m")).setting.state is None


def test_fixed_thresholds_stay_but_for_an_action_that_nobody_held(episodes, tmp_path):
    options = ("evaluation.tune_thresholds=false", "evaluation.metrics_threshold=0.4", "evaluation.best=loss")
    found = train(run(episodes, tmp_path / "m", "training.max_steps=1", *options))
    assert found.scores["loss"] > 0
    assert load_model(tmp_path / "m").thresholds.tolist() == [0.4, 0.4, 1]


def test_with_best_last_the_last_weights_play_however_they_score(episodes, tmp_path):
    """A rate so high that later weights are worse than earlier ones."""
    options = ("training.learning_rate=0.5", "training.lr_schedule.type=constant", "training.num_epochs=6")
    played = {}
    for best in ("loss", "last"):
        found = train(run(episodes, tmp_path / best, *options, f"evaluation.best={best}"))
        played[best] = load_model(tmp_path / best).about.get("scores", {})["loss"]
    assert played["last"] == found.scores["loss"] > played["loss"]


def test_wandb_offline_keeps_its_record_in_the_model_s_folder(episodes, tmp_path, monkeypatch):
    import wandb

    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = ("logging.use_wandb=true", "logging.log_every_n_steps=1", "training.max_steps=1")
    try:
        train(run(episodes, tmp_path / "m", *options))
    finally:
        wandb.teardown()
    (record,) = (tmp_path / "m").glob("wandb/offline-run-*/*.wandb")
    assert b"samples_per_s" in record.read_bytes()
