"""Training: it learns, goes on exactly where it was killed, keeps its promises about data, and writes its files."""

import json
import math
from typing import Any

import numpy as np
import pytest

from protege import cli
from protege.controls.recordings import write
from protege.controls.synth import SynthOptions, synthesize, write_recordings
from protege.errors import ProtegeError, UserError
from protege.settings import load_config

torch = pytest.importorskip("torch")

from protege.controls import tables  # noqa: E402
from protege.controls.config import STAGES, WHOLE, ControlsConfig, TrainingOptions  # noqa: E402
from protege.controls.files import load_model, read_config  # noqa: E402
from protege.controls.learn import Learner, learning_rate, weights_for, windows_of  # noqa: E402
from protege.controls.predict import of_model, predict_all, truth_of  # noqa: E402
from protege.controls.thresholds import tune  # noqa: E402
from protege.controls.train import HEADER, Run, find_before, load_data, means, table_row, train  # noqa: E402
from protege.controls.windows import prepare  # noqa: E402
from protege.core.card import ModelCard  # noqa: E402

SMALL = (
    *("model.d_model=16", "model.nhead=2", "model.num_layers=1", "model.dim_feedforward=32", "model.dropout=0.1"),
    *("training.device=cpu", "training.threads=1", "training.learning_rate=3e-3"),
)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    list(write_recordings(folder, 5, 0, "inventory", SynthOptions(frames=150)))
    return folder


def config(recordings, output, *overrides):
    places = [f"data.recordings=[{recordings}]", f"output={output}", "training.epochs=2"]
    return load_config(ControlsConfig, None, [*places, *SMALL, *overrides])


@pytest.fixture(scope="module")
def trained(recordings, tmp_path_factory):
    said = []
    return train(config(recordings, tmp_path_factory.mktemp("models"), "training.epochs=4"), said.append), said


class Killed(Exception):
    pass


def killed_at(epoch, batch):
    def progress(what, done, of):
        if (what, done) == (f"epoch {epoch}", batch):
            raise Killed

    return progress


def run(made, progress=lambda *at: None):
    """Everything but the files that are written at the end."""
    before = find_before(made)
    going = Run(made, load_data(made, before), lambda line: None, progress)
    going.resume(before)
    going.learn()
    return going


def test_training_lowers_the_loss(trained):
    result, _ = trained
    assert result.history[-1]["train"]["loss"] < 0.97 * result.history[0]["train"]["loss"]


def test_the_console_has_the_documented_table(trained):
    result, said = trained
    assert said[0] == HEADER
    assert HEADER == "  Ep  TrLoss  Act    Look   Hbar   Curs   Inv    Idle   VlLoss  VlF1   Score  LR"
    rows = [line.split() for line in said[1:]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0][-1] == "*"
    first = result.history[0]
    assert rows[0][1] == f"{first['train']['loss']:.3f}"
    assert rows[0][8] == f"{first['val']['loss']:.3f}"
    absent: Any = {**first, "action_f1": None}
    assert table_row(absent).split()[9] == "-"


def test_all_files_are_written_and_belong_together(trained):
    result, _ = trained
    files = result.files
    names = {path.name for path in files.weights.parent.iterdir()}
    assert {"control_policy_v2.pt", "control_config_v2.json", "training_log_v2.json", "card.json"} <= names
    assert {"control_policy_v2.onnx", "control_curves_v2.png", "control_report_v2.html"} <= names
    assert not [name for name in names if name.startswith(".")]
    log = json.loads(files.log.read_text())
    assert [row["epoch"] for row in log] == [1, 2, 3, 4]
    saved = json.loads(files.config.read_text())["training"]
    assert saved["best_combined_score"] == max(row["score"] for row in log)
    assert saved["per_head_metrics"]["model"]["combined"] == result.evaluation.model.combined
    assert {"own_history", "copy_last", "majority"} <= set(saved["per_head_metrics"])
    assert len(saved["pos_weights_action"]) == 12
    assert ModelCard.load(files.weights.parent).kind == "controls"
    assert ModelCard.load(files.weights.parent).frame_hz == 30


def test_thresholds_come_from_validation_and_scores_from_recordings_nothing_else_has_seen(trained, recordings):
    result, _ = trained
    made = load_data(config(recordings, "unused"))
    np.testing.assert_array_equal(result.evaluation.truth.controls, made.test.targets().controls)
    model, saved = load_model(result.files.weights)
    tuned = tune(predict_all(of_model(model), made.validation), truth_of(made.validation))
    assert tuned == result.evaluation.thresholds
    assert saved.thresholds.action == pytest.approx(tuned.action)


def test_features_are_standardised_with_the_training_recordings_alone(trained, recordings):
    result, _ = trained
    made = load_data(config(recordings, "unused"))
    rows = prepare(made.train).known_rows
    saved = read_config(result.files.config)
    np.testing.assert_allclose(saved.mean, rows.mean(0), atol=1e-4)
    still = rows.std(0) < 1e-6
    np.testing.assert_allclose(saved.deviation[~still], rows.std(0)[~still], rtol=1e-3)
    assert (saved.deviation[still] == 1).all()


def test_the_look_rule_decides_which_looks_are_trained_on(tmp_path):
    for seed in range(5):
        made = synthesize(seed, "mixed", SynthOptions(frames=40))
        made.controls[:, tables.HEADS["look"]] = 0.07  # above the dead zone together, below it alone
        write(made, tmp_path / f"{seed}.npz")
    by_norm, by_axis = (load_data(config(tmp_path, "unused", *rule)).plain for rule in ((), ("data.look_rule=any",)))
    assert by_norm.look_active.all()
    assert not by_axis.look_active.any()


def test_the_best_epochs_weights_are_kept(trained):
    result, _ = trained
    model, saved = load_model(result.files.weights)
    assert saved.training["best_epoch"] == result.best_epoch + 1
    scores = [row["score"] for row in result.history]
    assert scores[result.best_epoch] == max(scores)
    assert model.shape.d_model == 16


def test_a_killed_run_goes_on_as_if_it_had_never_stopped(recordings, tmp_path):
    options = ("training.checkpoint_steps=2", "training.patience=0")
    straight = run(config(recordings, tmp_path / "straight", *options))
    broken = config(recordings, tmp_path / "broken", *options)
    for at in ((1, 3), (2, 4)):
        with pytest.raises(Killed):
            run(broken, killed_at(*at))
    resumed = run(broken)
    assert resumed.state.history == straight.state.history
    for name, weight in straight.learner.model.state_dict().items():
        assert torch.equal(weight, resumed.learner.model.state_dict()[name]), name


def test_the_same_seed_gives_the_same_run_and_another_gives_another(recordings, tmp_path):
    one, same, other = (
        run(config(recordings, tmp_path / name, "training.epochs=1", f"training.seed={seed}")).state.history
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == same
    assert one != other


def test_a_checkpoint_of_another_run_is_refused_or_dropped(recordings, tmp_path):
    run(config(recordings, tmp_path, "training.epochs=1"))
    changed = config(recordings, tmp_path, "training.epochs=1", "training.learning_rate=1e-3")
    with pytest.raises(UserError, match=r"with training\.learning_rate=0\.003.*training\.resume=never"):
        run(changed)
    again = run(config(recordings, tmp_path, "training.epochs=1", "training.seed=7", "training.resume=false"))
    assert len(again.state.history) == 1


def test_patience_ends_a_run(recordings, tmp_path):
    made = config(recordings, tmp_path, "training.epochs=9", "training.patience=2", "training.learning_rate=1e-6")
    going = run(made)
    found = going.state
    assert found.epoch == found.best_epoch + 1 + 2 < 9


def test_training_windows_are_drawn_anew_each_epoch_and_only_those(recordings, tmp_path):
    made = config(recordings, tmp_path)
    going = Run(made, load_data(made), lambda line: None, lambda *at: None)
    first, again = going._windows(), going._windows()
    np.testing.assert_array_equal(first.rows, again.rows)
    going.state.epoch = 1
    assert going._windows().rows.shape != first.rows.shape or (going._windows().rows != first.rows).any()
    plain = config(recordings, tmp_path, "data.augment=false")
    unchanged = Run(plain, load_data(plain), lambda line: None, lambda *at: None)._windows()
    assert len(unchanged) == len(going.data.plain)


def test_a_loss_that_is_not_finite_stops_training_and_names_it(recordings, tmp_path):
    made = config(recordings, tmp_path)
    going = Run(made, load_data(made), lambda line: None, lambda *at: None)
    with torch.no_grad():
        going.learner.model.get_parameter("heads.cursor.3.bias").fill_(float("nan"))
    with pytest.raises(ProtegeError, match=r"the loss is nan \(cursor\); lower training.learning_rate"):
        going.learn()


def test_damaged_recordings_are_named_and_left_out(recordings, tmp_path):
    for file in recordings.glob("*.npz"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    found = load_data(config(tmp_path, "unused"))
    assert len(found.skipped) == 1
    assert str(tmp_path / "broken.npz") in found.skipped[0]


@pytest.mark.parametrize("overrides", [("training.loss_weighting=seed000",), ("training.precision=mixed",)])
def test_variants_train(recordings, tmp_path, overrides):
    made = config(recordings, tmp_path, "training.epochs=1", *overrides)
    data = load_data(made)
    learner = Learner(made, weights_for(data.plain, "seed000"))
    before = [p.clone() for p in learner.model.parameters()]
    prepared = prepare(data.train, statistics=data.statistics)
    found = learner.step(prepared.batch(np.arange(8)), 1e-3, 0)
    assert math.isfinite(means(found)["loss"])
    assert any((a != b).any() for a, b in zip(before, learner.model.parameters(), strict=True))


def test_the_command_writes_the_files_of_the_source_document_000_under_its_names(recordings, tmp_path, capsys):
    places = [f"data.recordings=[{recordings}]", f"output={tmp_path}", "training.epochs=1", "files=seed000"]
    assert cli.run(["controls", "train", *places, *SMALL]) == 0
    said = capsys.readouterr()
    assert HEADER in said.out
    assert "best epoch 1; on the test recordings:" in said.out
    assert "d_model: 16" in said.err
    flat = json.loads((tmp_path / "control_config.json").read_text())
    assert flat["d_model"] == 16
    model, saved = load_model(tmp_path / "control_policy.pt")
    assert flat["thresholds"]["move_forward"] == saved.thresholds.action[0]
    assert model.shape == saved.model


def test_the_command_evaluates_a_model_on_other_recordings(trained, recordings, tmp_path, capsys):
    result, _ = trained
    page = tmp_path / "scores.html"
    files = [str(path) for path in sorted(recordings.glob("*.npz"))[:2]]
    (tmp_path / "broken.npz").write_bytes(b"")
    arguments = [str(result.files.weights), *files, str(tmp_path), "--page", str(page), "--json"]
    assert cli.run(["controls", "evaluate", *arguments]) == 0
    said = capsys.readouterr()
    assert set(json.loads(said.out)) == {"model", "own_history", "copy_last"}
    assert "broken.npz" in said.err
    assert "<b>" in page.read_text()
    assert cli.run(["controls", "evaluate", str(tmp_path), *files]) == 2


def test_the_rate_warms_up_linearly_and_falls_to_its_end_on_the_last_step():
    options = TrainingOptions(epochs=105)
    assert learning_rate(2.5, options) == pytest.approx(2.5e-4)
    assert learning_rate(5, options) == pytest.approx(5e-4)
    assert learning_rate(55, options) == pytest.approx((5e-4 + 1e-6) / 2)
    assert learning_rate(105, options) == pytest.approx(1e-6)
    assert 0 < learning_rate(0.001, options) < 1e-6
    short = TrainingOptions(epochs=5)  # as long as its warm-up
    assert learning_rate(2.5, short) == pytest.approx(5e-4)
    assert learning_rate(5, short) == pytest.approx(1e-6)


def test_gradients_are_clipped(recordings, tmp_path):
    made = config(recordings, tmp_path, "training.max_grad_norm=1e-6")
    data = load_data(made)
    learner = Learner(made, weights_for(data.plain, "negatives"))
    learner.step(prepare(data.train, statistics=data.statistics).batch(np.arange(8)), 1e-3, 0)
    norm = torch.stack([p.grad.norm() for p in learner.model.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1e-6, rel=1e-3)


def test_pos_weights_count_only_the_frames_their_loss_sees(recordings):
    truth = load_data(config(recordings, "unused")).plain
    found = weights_for(truth, "negatives")
    forward = truth.head("action")[truth.gameplay, 0]
    assert found.action[0].item() == pytest.approx((len(forward) - forward.sum()) / forward.sum(), rel=1e-5)
    shift = truth.head("inventory")[truth.screen_open, 2]
    assert found.inventory[2].item() == pytest.approx((len(shift) - shift.sum()) / shift.sum(), rel=1e-5)


def test_stages_train_on_the_windows_they_are_about(recordings):
    made = load_data(config(recordings, "unused"))
    prepared = prepare(made.train)
    targets = prepared.targets()
    movement, combat, everything = (windows_of(stage, prepared) for stage in STAGES)
    assert len(movement) < len(combat) < len(everything) == len(prepared)
    assert targets.gameplay[combat].all()
    assert not targets.controls[movement][:, tables.columns(["attack", "drop_item", "hotbar_1"])].any()
    prepared.frame_targets.gameplay[:] = False
    with pytest.raises(UserError, match="no frame to train on in the combat stage"):
        windows_of(STAGES[1], prepared)


def test_a_stage_leaves_alone_what_it_does_not_train(recordings, tmp_path):
    made = config(recordings, tmp_path, "training.weight_decay=0.5")
    data = load_data(made)
    learner = Learner(made, weights_for(data.plain, "negatives"))
    batch = prepare(data.train, statistics=data.statistics).batch(np.arange(0, 300, 5))
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    learner.enter(STAGES[0])
    learner.step(batch, 1e-2, 0)
    after = learner.model.state_dict()
    frozen = [n for n in after if n.startswith(("heads.hotbar", "heads.cursor", "heads.inventory"))]
    assert len(frozen) == 12
    for name in frozen:
        assert torch.equal(after[name], before[name])
    moved = (after["heads.action.3.weight"] != before["heads.action.3.weight"]).any(1)
    assert [tables.head_names("action")[i] for i in moved.nonzero()[:, 0]] == list(STAGES[0].controls[:7])
    learner.enter(WHOLE[0])
    learner.step(batch, 1e-2, 1)
    final = learner.model.state_dict()
    assert all((final[name] != before[name]).any() for name in ("heads.action.3.weight", *frozen))


def test_a_curriculum_goes_through_its_three_stages(recordings, tmp_path):
    made = config(recordings, tmp_path, "training.epochs=3", "curriculum.enabled=true", "curriculum.epochs=[1,1]")
    assert [row["stage"] for row in run(made).state.history] == ["movement", "combat", "inventory"]
