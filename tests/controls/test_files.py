"""A model's files: what is written reads back, the origin's forms load, and nothing unsafe or half-written does."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from protege.controls import tables
from protege.controls.metrics import Thresholds
from protege.core.card import CARD_NAME
from protege.errors import UserError

torch = pytest.importorskip("torch")

from protege.controls.config import Architecture  # noqa: E402
from protege.controls.files import (  # noqa: E402
    ModelFiles,
    PolicyConfig,
    PostProcessing,
    load_model,
    load_tensors,
    read_config,
    weights_card,
    write_model,
)
from protege.controls.model import ControlTransformer  # noqa: E402

SHAPE = Architecture(d_model=8, nhead=2, num_layers=1, dim_feedforward=8)


@pytest.fixture
def saved():
    """A configuration in which every value is one of its own."""
    rng = np.random.default_rng(0)
    return PolicyConfig(
        model=SHAPE,
        thresholds=Thresholds(tuple(0.1 + 0.05 * i for i in range(12)), 0.35, (0.2, 0.3, 0.4)),
        mean=rng.normal(size=671).astype(np.float32),
        deviation=rng.uniform(0.5, 2, 671).astype(np.float32),
        training={"epochs_trained": 3},
    )


def write(folder, saved, style="seed001"):
    torch.manual_seed(0)
    files = ModelFiles.named(folder, style)
    model = ControlTransformer(saved.model)
    write_model(files, model.state_dict(), saved, weights_card({}, 30.0))
    return files, model


def assert_same(found, expected):
    for name in ("mean", "deviation"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (found.model, found.thresholds) == (expected.model, expected.thresholds)
    assert (found.post_processing, found.training) == (expected.post_processing, expected.training)


@pytest.mark.parametrize("style", ["seed001", "seed000"])
def test_what_is_written_reads_back(tmp_path, saved, style):
    files, model = write(tmp_path, saved, style)
    for place in (files.weights, tmp_path):
        loaded, config = load_model(place)
        assert_same(config, saved)
        for name, weight in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], weight)
    assert not loaded.training


def test_the_nested_form_has_the_contracts_keys(saved):
    fields = saved.to_json()
    assert fields["version"] == 2
    assert len(fields["model"]) == 12
    assert set(fields["thresholds"]) == {"action", "hotbar_min_confidence", "inv_click"}
    assert fields["post_processing"] == {
        "hysteresis": 0.05,
        "deadzone": 0.08,
        "look_ema": 0.35,
        "look_rate_limit": 0.3,
        "cursor_ema": 0.5,
    }
    assert fields["control_names"] == list(tables.NAMES)
    assert len(fields["feature_mean"]) == len(fields["feature_std"]) == 671


def test_the_flat_form_has_000s_keys(saved):
    fields = saved.to_flat_json()
    for key in ("input_dim", "num_action_controls", "look_deadzone", "look_smoothing_alpha", "game_state_dim"):
        assert key in fields
    assert fields["thresholds"]["move_forward"] == saved.thresholds.action[0]
    assert fields["action_history_length"] == 5


def test_the_origins_nested_configuration_loads_without_names_and_means(tmp_path, saved):
    fields = saved.to_json()
    for key in ("control_names", "feature_mean", "feature_std"):
        del fields[key]
    fields["training"] = {"epochs": 150, "pos_weights_action": [1.0] * 12}
    path = tmp_path / "control_config_v2.json"
    path.write_text(json.dumps(fields))
    found = read_config(path)
    assert found.thresholds == saved.thresholds
    assert not found.mean.any()
    assert (found.deviation == 1).all()


def test_the_origins_flat_configuration_loads(tmp_path):
    path = tmp_path / "control_config.json"
    fields = {
        "version": 2,
        "input_dim": 671,
        "d_model": 256,
        "control_names": list(tables.NAMES),
        "thresholds": {"move_forward": 0.35, "inv_shift": 0.6},
        "look_deadzone": 0.1,
        "look_smoothing_alpha": 0.4,
        "feature_mean": [1.0] * 671,
        "feature_std": [0.0] * 671,
    }
    path.write_text(json.dumps(fields))
    found = read_config(path)
    assert found.model == Architecture()
    assert found.thresholds.action[:2] == (0.35, 0.5)
    assert found.thresholds.inventory == (0.5, 0.5, 0.6)
    assert found.post_processing == replace(PostProcessing(), deadzone=0.1, look_ema=0.4)
    assert (found.deviation == 1).all()  # a feature that never changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_mean": [0.0] * 3}, "feature_mean: expected 671 finite numbers"),
        ({"feature_std": [float("nan")] * 671}, "feature_std: expected 671 finite numbers"),
        ({"control_names": ["jump"]}, "control_names: expected move_forward, "),
        ({"thresholds": {"action": [0.5], "inv_click": [0.5] * 3}}, "thresholds: expected 12 of actions and 3"),
        ({"model": {"d_modell": 3}}, "unknown key model.d_modell; did you mean model.d_model"),
        ({"model": {"input_dim": 559}}, "input_dim is 671"),
        ({"thresholds": {"hotbar_min_confidence": "much"}}, "not a control configuration"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(tmp_path, saved, change, message):
    path = tmp_path / "control_config_v2.json"
    path.write_text(json.dumps(saved.to_json() | change))
    with pytest.raises(UserError, match=message) as error:
        read_config(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("text", ["", "[]", "{", "3"])
def test_files_that_are_no_configuration_are_refused(tmp_path, text):
    path = tmp_path / "control_config_v2.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not a control configuration"):
        read_config(path)
    with pytest.raises(UserError, match="no such file"):
        read_config(tmp_path / "other.json")


def test_a_folder_without_a_model_says_what_was_expected(tmp_path, saved):
    with pytest.raises(UserError, match=r"expected control_policy_v2.pt and control_config_v2.json there"):
        load_model(tmp_path)
    files, _ = write(tmp_path, saved)
    files.config.unlink()
    with pytest.raises(UserError, match=r"protege controls train"):
        load_model(files.weights)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_weights_that_would_run_code_are_refused(tmp_path, saved, capsys):
    files, _ = write(tmp_path, saved)
    for content in (pickle.dumps(Evil()), b"", b"no weights", files.weights.read_bytes()[:1000]):
        files.weights.write_bytes(content)
        with pytest.raises(UserError, match="not weights that can be read safely"):
            load_model(files.weights)
    torch.save({"positions": Evil()}, files.weights)
    with pytest.raises(UserError, match="not weights that can be read safely"):
        load_tensors(files.weights)
    assert "executed" not in capsys.readouterr().out


def test_weights_of_another_shape_are_refused(tmp_path, saved):
    files, _ = write(tmp_path, saved)
    torch.save(ControlTransformer(replace(SHAPE, d_model=16)).state_dict(), files.weights)
    with pytest.raises(UserError, match="not the weights of control_config_v2"):
        load_model(files.weights)


def test_new_weights_take_an_older_onnx_file_away(tmp_path, saved):
    files, _ = write(tmp_path, saved)
    files.onnx.write_bytes(b"of the weights before")
    write(tmp_path, saved)
    assert not files.onnx.exists()
    assert (tmp_path / CARD_NAME).is_file()


def test_a_write_that_breaks_leaves_the_old_file(tmp_path, saved):
    files, _ = write(tmp_path, saved)
    before = files.config.read_text()
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path, replace(saved, training={"score": float("nan")}))
    assert files.config.read_text() == before
