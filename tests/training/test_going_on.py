# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""A run's identity is its settings and its data: corrections arrive, held-back recordings stay held back, kills and
second trainings harm nothing.
"""

import json
import logging
import os
import resource
import shutil
import signal

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

from protege import cli
from protege.core.card import ModelCard
from protege.core.files import Locked, locked
from protege.core.together import READY
from protege.errors import ProtegeError, UserError
from protege.learn.resume import Run
from protege.training import run
from protege.training.judge import ScoreOptions, score_model
from protege.training.outputs import export_merged, read_metrics
from protege.training.run import train
from protege.training.start import last_checkpoint

from .conftest import label
from .test_run import config, same, weights


def runs_of(model):
    return json.loads((model / "metrics.json").read_text(encoding="utf-8"))["runs"]


pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SHORT = ("training.max_steps=2", "training.save_steps=1", "training.score_samples=4", "training.best=cross_entropy")


def more(root, tmp_path, session="20261122_090000", frames=5, segments=1):
    """Segments of a new recording beside the others, as labeling corrections makes them."""
    extra = label(tmp_path / f"extra_{session}", segments=segments, frames=frames)
    for number, folder in enumerate(sorted(extra.iterdir())):
        fields = json.loads((folder / "segment.json").read_text())
        (folder / "segment.json").write_text(json.dumps({**fields, "session": session}))
        folder.rename(root / f"{session}_seg{number:03d}")
    return root


@pytest.fixture
def data(labeled, tmp_path):
    return shutil.copytree(labeled, tmp_path / "labeled")


def names(folder):
    record = Run.load(folder)
    assert record is not None
    return set(record.trained), set(record.held)


def test_corrections_reach_the_model_and_what_was_held_back_stays_so(tiny, data, tmp_path, caplog):
    made = config(tiny, data, tmp_path / "m", *SHORT)
    first = train(made)
    before, (trained, held) = weights(first.output), names(first.output)
    scores = json.loads((first.output / "metrics.json").read_text())
    assert (len(scores["worst"]), scores.get("before")) == (scores["samples"], None)
    assert trained
    assert held
    again = train(made)
    assert (again.steps, same(before, weights(first.output))) == (2, True), "nothing to do with the same data"
    for session in ("20261101_000000", "20261201_000000", "20261202_000000"):
        more(data, tmp_path, session)
    with caplog.at_level(logging.INFO):
        second = train(made)
    assert "15 new samples; going on from the weights that are there" in caplog.text
    assert not same(before, weights(first.output))
    then = json.loads((first.output / "metrics.json").read_text())["before"]
    assert then["first_action_accuracy"] == scores["first_action_accuracy"]
    assert then["samples"] == scores["samples"]
    now_trained, now_held = names(first.output)
    assert now_trained >= trained
    assert now_held >= held
    assert not now_trained & now_held
    assert now_trained - trained
    runs = runs_of(first.output)
    assert [(link["samples"], link["new"], link["steps"]) for link in runs] == [(72, 0, 2), (87, 15, 2)]
    assert second.steps == 2
    with caplog.at_level(logging.INFO):
        assert same(weights(first.output), weights(train(made).output))
    assert "trained for 2 steps already; nothing to do" in caplog.text


def test_a_run_on_more_data_begins_with_the_weights_that_are_there(tiny, data, tmp_path):
    options = ("training.max_steps=1", "training.learning_rate=1e-9", "training.save_steps=1")
    made = config(tiny, data, tmp_path / "m", *options)
    first = weights(train(made).output)
    fresh = weights(train(config(tiny, data, tmp_path / "other", *options, "training.seed=1")).output)
    more(data, tmp_path)
    second = weights(train(made).output)
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
    assert not all(torch.allclose(first[name], fresh[name], atol=1e-6) for name in first)


def test_a_run_on_more_data_that_was_stopped_at_once_begins_again_with_the_same_weights(tiny, data, tmp_path):
    made = config(tiny, data, tmp_path / "m", *SHORT)
    train(made)
    more(data, tmp_path)
    shutil.copytree(tmp_path / "m", tmp_path / "killed")
    straight = weights(train(made).output)
    other = config(tiny, data, tmp_path / "killed", *SHORT)
    from protege.training.data import LabeledData

    start = run.find_start(other, LabeledData.open(data), tmp_path / "killed")
    start.begin(tmp_path / "killed")  # and killed before its first step
    assert not list((tmp_path / "killed" / "checkpoints").glob("checkpoint-*"))
    assert same(weights(train(other).output), straight)
    assert len(runs_of(tmp_path / "killed")) == 2


def test_a_run_killed_after_its_last_checkpoint_is_finished_by_the_same_command(tiny, data, tmp_path):
    made = config(tiny, data, tmp_path / "m", *SHORT)
    first = train(made)
    before = weights(first.output)
    for path in first.output.iterdir():
        if path.name != "checkpoints":
            path.unlink()
    again = train(made)
    assert (again.steps, again.interrupted) == (2, False)
    assert same(before, weights(first.output))
    assert read_metrics(first.output)["samples"] == 4
    assert again.losses == first.losses


def test_a_checkpoint_that_a_kill_cut_off_is_left_out_and_a_damaged_one_is_called_so(tiny, data, tmp_path):
    made = config(tiny, data, tmp_path / "m", *SHORT)
    train(made)
    folder = tmp_path / "m" / "checkpoints"
    (folder / "checkpoint-3").mkdir()
    shutil.copy(folder / "checkpoint-2" / "adapter_model.safetensors", folder / "checkpoint-3")
    assert last_checkpoint(folder) == folder / "checkpoint-2"
    train(config(tiny, data, tmp_path / "m", *SHORT, "training.max_steps=3"))
    assert (folder / "checkpoint-3" / "trainer_state.json").is_file()
    for name in ("adapter_model.safetensors", "optimizer.pt"):
        whole = (folder / "checkpoint-3" / name).read_bytes()
        (folder / "checkpoint-3" / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=rf"checkpoint-3: damaged \({name}.*training\.resume=never"):
            train(config(tiny, data, tmp_path / "m", *SHORT, "training.max_steps=4"))
        (folder / "checkpoint-3" / name).write_bytes(whole)


@pytest.mark.parametrize("text", ["{", "[]", '{"global_step": "x"}', "[" * 100_000, '{"global_step": 1e999}'])
def test_a_checkpoint_s_state_that_cannot_be_read_is_one_line(tmp_path, text):
    (tmp_path / "checkpoint-7").mkdir()
    (tmp_path / "checkpoint-7" / "trainer_state.json").write_text(text)
    with pytest.raises(UserError, match=r"checkpoint-7: damaged .*training\.resume=never"):
        last_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        *("data.split_seed=1", "data.frame_size=[64,32]", "training.loss=actions", "training.seed=1", "lora.r=8"),
        *("data.validation=0.2", "training.batch=2", "training.learning_rate=1e-4", "training.best=exact_chunk"),
    ],
)
def test_other_settings_are_refused_and_touch_nothing(tiny, trained_once, override):
    data, folder = trained_once
    before = contents(folder)
    name = override.partition("=")[0]
    with pytest.raises(UserError, match=rf"holds a run with {name}.*choose another output, or start over"):
        train(config(tiny, data, folder, *SHORT, override))
    assert contents(folder) == before


@pytest.fixture(scope="module")
def trained_once(tiny, labeled, tmp_path_factory):
    data = shutil.copytree(labeled, tmp_path_factory.mktemp("once") / "labeled")
    return data, train(config(tiny, data, tmp_path_factory.mktemp("once") / "m", *SHORT)).output


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_changes_no_weight_may_change(tiny, trained_once):
    data, folder = trained_once
    same_product = ("training.batch=2", "training.accumulation=2", "training.log_steps=5", "data.workers=1")
    assert train(config(tiny, data, folder, *SHORT, *same_product)).steps == 2


def test_data_may_lie_elsewhere_but_not_be_other_data(tiny, trained_once, tmp_path):
    data, folder = trained_once
    moved = shutil.copytree(data, tmp_path / "moved")
    assert train(config(tiny, moved, folder, *SHORT)).steps == 2
    shutil.rmtree(next(moved.iterdir()))
    with pytest.raises(UserError, match=r"holds a run with data\.folder=.* is not all in"):
        train(config(tiny, moved, folder, *SHORT))


@pytest.mark.parametrize("override", ["model.base=nowhere/at-all", "data.folder=nowhere", "training.optimizer=adamw_x"])
def test_starting_over_with_a_wrong_setting_destroys_nothing(trained_once, tiny, override):
    data, folder = trained_once
    before = contents(folder)
    with pytest.raises((UserError, Exception)):
        train(config(tiny, data, folder, *SHORT, "training.resume=never", override))
    assert contents(folder) == before


def test_two_trainings_in_one_folder_do_not_meet(tiny, trained_once, capfd):
    data, folder = trained_once
    before = contents(folder)
    with locked(folder, "protege clone train"):
        with pytest.raises(Locked, match=r"protege clone train \(process \d+, since .*\) is writing here"):
            train(config(tiny, data, folder, *SHORT, "training.resume=never"))
        page = ["--page", str(folder / "score.html"), "--device", "cpu"]
        assert cli.run(["score", str(folder), str(data), *page]) == 2
        assert "is writing here" in capfd.readouterr().err
    assert contents(folder) == before


def test_a_model_half_put_in_place_is_refused_and_then_finished(tiny, trained_once, tmp_path):
    data, folder = trained_once
    half = shutil.copytree(folder, tmp_path / "half")
    (half / READY).mkdir()
    for name in ("card.json", "metrics.json"):  # killed with these two still to come
        (half / name).rename(half / READY / name)
    for reads in (
        lambda: ModelCard.load(half),
        lambda: read_metrics(half),
        lambda: score_model(half, data, ScoreOptions(device="cpu")),
        lambda: export_merged(half, tmp_path / "merged"),
    ):
        with pytest.raises(UserError, match="half of its files are of an older model"):
            reads()
    assert train(config(tiny, data, half, *SHORT)).steps == 2
    assert not (half / READY).exists()
    assert ModelCard.load(half).kind == "vision"


def test_ctrl_c_does_not_score_and_leaves_a_finished_model_alone(tiny, data, tmp_path):
    made = config(tiny, data, tmp_path / "m", "training.epochs=2", "data.validation=0.34")
    asked = []

    def press(what, done, of):
        asked.append((what, done))
        os.kill(os.getpid(), signal.SIGINT)

    first = train(made, press)
    assert first.interrupted
    assert len(asked) == 1, "it went on scoring"
    assert last_checkpoint(tmp_path / "m" / "checkpoints") is not None
    rest = train(made)
    assert not rest.interrupted
    before = weights(rest.output)
    more(data, tmp_path)
    assert train(made, press).interrupted
    assert same(before, weights(rest.output)), "the finished model stays until the next one is finished"
    scores = read_metrics(rest.output)
    assert scores["samples"]
    assert not train(made).interrupted
    assert len(runs_of(rest.output)) == 2
    before = json.loads((rest.output / "metrics.json").read_text())["before"]
    assert before["first_action_accuracy"] == scores["first_action_accuracy"], "though it was stopped on the way"


def test_scoring_shows_its_progress(tiny, data, tmp_path):
    told = []
    train(config(tiny, data, tmp_path / "m", *SHORT), lambda *step: told.append(step))
    assert {part for part, _, _ in told} == {"done", "held back", "model", "goal swap", "untuned base"}
    assert ("model", 4, 4) in told


def test_a_run_of_a_version_without_records_goes_on_as_before(tiny, data, tmp_path, caplog):
    made = config(tiny, data, tmp_path / "m", *SHORT)
    train(made)
    for path in (tmp_path / "m").rglob("run.json"):
        path.unlink()
    (tmp_path / "m" / "checkpoints" / "before").rmdir() if (tmp_path / "m" / "checkpoints" / "before").is_dir() else 0
    more(data, tmp_path)
    assert train(made).steps == 2
    assert "before the data of a run was noted" in caplog.text
    with pytest.raises(UserError, match=r"training\.seed=3407, this one has 1"):
        train(config(tiny, data, tmp_path / "m", *SHORT, "training.seed=1"))
    train(config(tiny, data, tmp_path / "m", *SHORT, "training.max_steps=3"))
    assert not names(tmp_path / "m")[0] & names(tmp_path / "m")[1]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format_version": "x"}', "[" * 100_000, '{"format_version": 9}'])
def test_a_record_that_cannot_be_read_is_one_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json: not the record of a run .*training\.resume=never"):
        Run.load(tmp_path)


def test_a_full_disk_while_merging_is_one_line_that_names_the_folder(trained_once, tmp_path):
    _, folder = trained_once
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as where a disk is full
    try:
        with pytest.raises(ProtegeError, match=r"merged: cannot be written \("):
            export_merged(folder, tmp_path / "merged")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
