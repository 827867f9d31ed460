"""Model files and recordings that nobody vouches for, through every command that reads them: one line, exit code 2."""

import json
import os
import sys
import zipfile

import numpy as np
import pytest

from protege import cli
from protege.core.card import CARD_NAME, ModelCard
from protege.errors import UserError

torch = pytest.importorskip("torch")

from protege.controls.config import Architecture  # noqa: E402
from protege.controls.files import (  # noqa: E402
    ModelFiles,
    PolicyConfig,
    load_model,
    load_tensors,
    read_config,
    weights_card,
    write_model,
)
from protege.controls.model import ControlTransformer  # noqa: E402
from protege.controls.recordings import write as write_recording  # noqa: E402
from protege.controls.runtime import onnx_runner  # noqa: E402

SHAPE = Architecture(d_model=8, nhead=2, num_layers=1, dim_feedforward=8)


@pytest.fixture
def files(tmp_path):
    made = ModelFiles.named(tmp_path / "model")
    config = PolicyConfig(model=SHAPE)
    write_model(made, ControlTransformer(SHAPE).state_dict(), config, weights_card({}, 30.0))
    return made


VALUES = (None, 5, -1, 10**30, 1e308, "text", [], {}, [None], {"a": 1}, True, [[1]], [10**400])


def test_a_configuration_of_other_types_is_one_line(files):
    whole = json.loads(files.config.read_text())
    inner = [(key, name) for key, value in whole.items() if isinstance(value, dict) for name in value]
    places = [*((key,) for key in whole), *inner]
    for place in places:
        for value in VALUES:
            fields = json.loads(json.dumps(whole))
            group = fields if len(place) == 1 else fields[place[0]]
            group[place[-1]] = value
            files.config.write_text(json.dumps(fields))
            try:
                read_config(files.config)
            except UserError as error:
                said = str(error)
            else:
                continue  # e.g. without means
            assert said.startswith(f"{files.config}: "), (place, value)
            assert "\n" not in said
            assert len(said) < 1000


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "", '{"model": {"d_model": "\\ud800"}}', "\xff"])
def test_a_configuration_that_is_no_json_is_one_line(files, text):
    files.config.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="not a control configuration"):
        read_config(files.config)


def test_sizes_that_the_weights_do_not_have_are_refused_before_memory_is_taken(files):
    fields = json.loads(files.config.read_text())
    fields["model"] |= {"d_model": 65_536, "num_layers": 65_536, "nhead": 2}
    files.config.write_text(json.dumps(fields))
    with pytest.raises(UserError, match=r"model\.d_model lies between 1 and 4096, got 65536"):
        load_model(files.weights)


def test_weights_that_would_unpack_to_more_than_their_file_are_refused(tmp_path):
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(50 << 20))
    with pytest.raises(UserError, match=r"w\.pt: not weights that can be read safely \(claims 52,428,800 bytes"):
        load_tensors(path)


@pytest.mark.parametrize("value", [[1, 2], {"a": 5}, {5: torch.zeros(3)}, torch.zeros(3), {"a": None}])
def test_weights_that_are_something_else_are_one_line(files, value):
    torch.save(value, files.weights)
    with pytest.raises(UserError, match="not the weights of") as found:
        load_model(files.weights)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x05.", b"PK\x03\x04" + bytes(50), b"\x80\x02}q\x00(" + b"\xff" * 40, b"cos\nsystem\n."]
)
def test_weights_that_are_damaged_are_one_line(files, data):
    files.weights.write_bytes(data)
    with pytest.raises(UserError, match="not weights that can be read safely") as found:
        load_model(files.weights)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("data", [b"", b"text", b"\x08\x07" * 100])
def test_an_export_that_is_none_is_one_line(tmp_path, data):
    pytest.importorskip("onnxruntime")
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(UserError, match="ONNX"):
        onnx_runner(tmp_path / "m.onnx")


def test_a_card_of_other_types_is_one_line(files):
    path = files.weights.parent / CARD_NAME
    whole = json.loads(path.read_text())
    for name in whole:
        for value in (None, 5.5, -1, 10**30, "text", [], {"a": 1}, [None, None], [10**9, 10**9]):
            path.write_text(json.dumps({**whole, name: value}))
            try:
                card = ModelCard.load(path.parent)
            except UserError as error:
                assert str(error).startswith(f"{path}: not a model card (")  # noqa: PT017
            else:
                assert name in ("kind", "base_model", "frame_hz", "prompt_version", "config")
                assert isinstance(card.frame_hz, int | float)
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"not a model card .*nested too deep"):
        ModelCard.load(path.parent)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in the file system")
def test_pipes_in_the_place_of_files_are_not_waited_for(files):
    for path in (files.weights.parent / CARD_NAME, files.config):
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(UserError, match="not a regular file but a pipe"):
        ModelCard.load(files.weights.parent)
    with pytest.raises(UserError, match="not a regular file but a pipe"):
        read_config(files.config)
    with pytest.raises(UserError, match="not a regular file but a pipe"):
        load_tensors(files.config)


def as_npy(path):
    with path.open("wb") as file:
        np.save(file, np.zeros((40, 260), np.float32))


def as_complex(path):
    np.savez(path, frames=np.zeros((40, 260), np.complex64), controls=np.zeros((40, 28), np.float32), version=2)


def as_text(path):
    path.write_text("no recording")


@pytest.mark.parametrize("make", [as_npy, as_complex, as_text])
@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "bad.npz"],
        ["inspect", "bad.npz", "good.npz"],
        ["train", "data.recordings=[bad.npz]"],
        ["evaluate", "model", "bad.npz"],
    ],
)
def test_every_command_ends_with_code_2(files, recording, tmp_path, monkeypatch, capsys, make, command):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "bad.npz")
    write_recording(recording(60), tmp_path / "good.npz")
    assert cli.run(["controls", *command]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "bad.npz" in said
    assert "Traceback" not in said


def test_synth_into_a_file_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("x")
    assert cli.run(["controls", "synth", "--recordings", "1", "--frames", "60", "--out", "taken"]) == 2
    assert "taken" in capsys.readouterr().err


def test_features_that_are_no_recording_end_with_code_2(files, tmp_path, capsys):
    as_npy(tmp_path / "bad.npz")
    model, features = str(files.weights.parent), str(tmp_path / "bad.npz")
    assert cli.run(["play", "--model", model, "--features", features, "--dry-run"]) == 2
    assert "bad.npz: not a recording (a single array (.npy)" in capsys.readouterr().err
