"""A run is its settings and its recordings: more of them are trained on, kills and Ctrl-C lose nothing."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from protege import cli
from protege.controls.synth import SynthOptions, write_recordings
from protege.core.files import locked
from protege.core.together import READY
from protege.errors import UserError
from protege.settings import load_config

torch = pytest.importorskip("torch")

from protege.controls.config import ControlsConfig  # noqa: E402
from protege.controls.files import load_model  # noqa: E402
from protege.controls.learn import Learner, weights_for  # noqa: E402
from protege.controls.losses import seed000  # noqa: E402
from protege.controls.predict import judge_all, tensors  # noqa: E402
from protege.controls.train import Run, find_before, load_data, means, train  # noqa: E402
from protege.controls.windows import prepare  # noqa: E402
from protege.core.card import ModelCard  # noqa: E402

from .test_train import SMALL, config  # noqa: E402


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Recordings and a finished model of two epochs."""
    folder = tmp_path_factory.mktemp("going_on")
    list(write_recordings(folder / "recordings", 5, 0, "inventory", SynthOptions(frames=120)))
    train(config(folder / "recordings", folder / "m"))
    return folder


@pytest.fixture
def copied(once, tmp_path):
    return shutil.copytree(once, tmp_path / "copied")


def more(folder, seed=50):
    list(write_recordings(folder / "recordings", 2, seed, "inventory", SynthOptions(frames=90)))


def weights(folder):
    return load_model(folder / "m")[0].state_dict()


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def record(folder):
    return json.loads((folder / "m" / "control_run_v2.json").read_text())


def test_more_recordings_reach_the_model_and_the_held_back_stay_so(copied):
    made, said = config(copied / "recordings", copied / "m"), []
    before, parts = weights(copied), record(copied)
    train(made, said.append)
    assert same(before, weights(copied)), "the same recordings change nothing"
    more(copied)
    train(made, said.append)
    assert "180 new samples (frames); going on from the weights that are there" in said
    assert not same(before, weights(copied))
    now = record(copied)
    for part in ("trained", "held", "tested"):
        assert set(now[part]) >= set(parts[part])
    assert len(now["trained"] + now["held"] + now["tested"]) == 7
    runs = json.loads((copied / "m" / "control_config_v2.json").read_text())["training"]["runs"]
    assert [(run["samples"], run["new"]) for run in runs] == [(600, 0), (780, 180)]


def test_a_run_on_more_recordings_begins_with_the_best_weights_and_their_scale(copied):
    more(copied)
    made = config(copied / "recordings", copied / "m")
    before = find_before(made)
    assert before is not None
    assert before.statistics is not None
    going = Run(made, load_data(made, before), lambda line: None)
    going.resume(before)
    assert same(weights(copied), going.learner.model.state_dict())
    assert (going.state.epoch, going.state.finished) == (0, False)
    np.testing.assert_allclose(going.data.statistics.mean, before.statistics.mean)


def test_a_model_whose_checkpoint_was_deleted_is_not_trained_anew(copied):
    before = weights(copied)
    (copied / "m" / "control_checkpoint.pt").unlink()
    again = train(config(copied / "recordings", copied / "m"))
    assert same(before, weights(copied))
    assert len(again.history) == 2


@pytest.mark.parametrize(
    "override", ["training.seed=7", "data.validation=0.3", "training.loss_weighting=seed000", "model.d_model=32"]
)
def test_other_settings_are_refused_and_touch_nothing(once, override):
    before = {path: path.read_bytes() for path in once.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=rf"holds a run with {override.partition('=')[0]}=.*training\.resume=never"):
        train(config(once / "recordings", once / "m", override))
    assert {path: path.read_bytes() for path in once.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("harm", ["cut", "text", "empty", "other"])
def test_a_damaged_checkpoint_is_called_damaged(copied, harm):
    path = copied / "m" / "control_checkpoint.pt"
    whole = path.read_bytes()
    if harm == "other":
        torch.save({"state": {"epoch": "x"}, "run": [], "learner": 3}, path)
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"no checkpoint", "empty": b""}[harm])
    with pytest.raises(UserError, match=r"control_checkpoint\.pt: damaged .*training\.resume=never"):
        train(config(copied / "recordings", copied / "m"))
    train(config(copied / "recordings", copied / "m", "training.resume=never", "training.epochs=1"))


def test_starting_over_with_a_wrong_setting_destroys_nothing(copied):
    before = weights(copied)
    for override in ("data.recordings=[nowhere]", "training.device=banana"):
        with pytest.raises(UserError):
            train(config(copied / "recordings", copied / "m", "training.resume=never", override))
    assert (copied / "m" / "control_checkpoint.pt").is_file()
    assert same(before, weights(copied))


def test_ctrl_c_ends_after_the_step_and_the_same_command_goes_on_to_the_same_model(copied, tmp_path):
    straight = train(config(copied / "recordings", tmp_path / "straight"))
    made, said, seen = config(copied / "recordings", tmp_path / "m"), [], []
    stops = [("epoch 1", 2), ("validation", 1), ("epoch 2", 4), ("own history", 3)]

    def press(what, done, of):
        seen.append(what)
        if stops and what == stops[0][0]:
            stops.pop(0)
            os.kill(os.getpid(), signal.SIGINT)

    for _ in range(4):
        found = train(made, said.append, press)
        assert found.interrupted
        assert said[-1] == "interrupted, go on with the same command"
        seen.clear()
    assert not stops
    rest = train(made, said.append)
    assert not rest.interrupted
    assert rest.history == straight.history
    logged = json.loads((tmp_path / "m" / "training_log_v2.json").read_text())
    assert [row["epoch"] for row in logged] == [1, 2], "not doubled by what was gone on with"
    assert same(weights(tmp_path), load_model(tmp_path / "straight")[0].state_dict())


def test_the_log_grows_while_training(copied, tmp_path):
    lengths = []

    def look(what, done, of):
        path = tmp_path / "m" / "training_log_v2.json"
        lengths.append(len(json.loads(path.read_text())) if path.is_file() else 0)

    train(config(copied / "recordings", tmp_path / "m"), progress=look)
    assert sorted(set(lengths)) == [0, 1, 2]


def test_two_trainings_in_one_folder_do_not_meet(once, capfd):
    places = [f"data.recordings=[{once / 'recordings'}]", f"output={once / 'm'}", "training.epochs=2", *SMALL]
    with locked(once / "m", "protege train"):
        assert cli.run(["controls", "train", *places]) == 2
    assert "protege train (process" in capfd.readouterr().err


def test_a_model_half_put_in_place_is_refused_and_then_finished(copied):
    model = copied / "m"
    (model / READY).mkdir()
    (model / "card.json").rename(model / READY / "card.json")
    with pytest.raises(UserError, match="half of its files"):
        ModelCard.load(model)
    train(config(copied / "recordings", model))
    assert ModelCard.load(model).kind == "controls"


def test_the_loss_that_is_printed_is_the_one_that_is_optimised(once):
    made = config(once / "recordings", "unused", "training.loss_weighting=seed000", "model.dropout=0")
    data = load_data(made)
    learner = Learner(made, weights_for(data.plain, "seed000"))
    batch = prepare(data.train, statistics=data.statistics).batch(np.arange(40))
    inputs, mask, targets = tensors(batch, "cpu")
    with torch.no_grad():
        expected = seed000(learner.model.eval()(inputs, mask), targets, learner.weights).item()
    assert means(learner.step(batch, 1e-4, 0))["loss"] == pytest.approx(expected, rel=1e-4)
    _, sums = judge_all(learner.model, data.validation, learner.weights, weighting="seed000")
    batch = data.validation.batch(np.arange(len(data.validation)))
    inputs, mask, targets = tensors(batch, "cpu")
    with torch.no_grad():
        expected = seed000(learner.model(inputs, mask), targets, learner.weights).item()
    assert len(data.validation) <= 256
    assert means(sums)["loss"] == pytest.approx(expected, rel=1e-4)


def test_single_frames_of_the_history_can_be_left_out_by_configuration(once, tmp_path):
    by_frame = ("data.history_dropout=0.5", "data.history_dropout_by=frame", "training.epochs=1")
    losses = [
        train(config(once / "recordings", tmp_path / name, *options)).history[0]["train"]["loss"]
        for name, options in (("window", by_frame[::2]), ("frame", by_frame))
    ]
    assert losses[0] != losses[1]


def test_the_flat_configuration_has_the_documented_key(once, tmp_path):
    train(config(once / "recordings", tmp_path, "training.epochs=1", "files=seed000", "data.history_dropout=0.4"))
    flat = json.loads((tmp_path / "control_config.json").read_text())
    assert flat["action_history_dropout"] == 0.4
    assert flat["action_history_length"] == 5


@pytest.mark.parametrize(
    "override",
    [
        *("training.epochs=-1", "training.epochs=nan", "training.batch_size=0", "training.threads=1e9", "output=''"),
        *("training.resume=maybe", "data.history_dropout_by=week", "data.validation=nan", "model.num_layers=60000"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(override):
    with pytest.raises(UserError) as found:
        load_config(ControlsConfig, None, [override])
    assert override.partition("=")[0].rpartition(".")[2] in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(("word", "means_"), [("true", "auto"), ("false", "never"), ("auto", "auto")])
def test_old_words_for_resuming_are_still_read(word, means_):
    assert load_config(ControlsConfig, None, [f"training.resume={word}"]).training.resume == means_
