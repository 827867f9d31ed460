"""The ONNX file says what the model says, or is not kept."""

import numpy as np
import pytest

from protege.errors import ProtegeError

torch = pytest.importorskip("torch")

from protege.controls import onnx  # noqa: E402
from protege.controls.config import Architecture  # noqa: E402
from protege.controls.model import ControlTransformer  # noqa: E402


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = ControlTransformer(Architecture(d_model=16, nhead=2, num_layers=2, dim_feedforward=32))
    with torch.no_grad():
        model.decay.fill_(-1.3)
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return path, onnx.export(model, path)


def test_outputs_are_those_of_pytorch_to_1e_5(model, exported):
    path, reported = exported
    assert reported <= 1e-5
    session = onnx.open_session(path)
    rng = np.random.default_rng(3)
    for frames in (2, 12, 30):
        inputs = rng.normal(size=(1, 30, 671)).astype(np.float32)
        mask = np.arange(30)[None] < frames
        found = session.run(None, {"inputs": inputs, "mask": mask})
        with torch.no_grad():
            expected = model(torch.from_numpy(inputs), torch.from_numpy(mask))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_names_and_shapes_are_the_documented_ones(exported):
    session = onnx.open_session(exported[0])
    assert [(part.name, part.shape) for part in session.get_inputs()] == [("inputs", [1, 30, 671]), ("mask", [1, 30])]
    assert [(part.name, part.shape[1]) for part in session.get_outputs()] == [
        ("action", 12),
        ("look", 2),
        ("hotbar", 9),
        ("cursor", 2),
        ("inventory", 3),
    ]
    assert session.get_session_options().intra_op_num_threads == 1


def test_one_file_holds_everything(exported):
    assert [path.name for path in exported[0].parent.iterdir()] == ["model.onnx"]


def test_a_file_of_other_weights_is_found_out(model, exported, tmp_path):
    torch.manual_seed(1)
    other = ControlTransformer(model.shape).eval()
    assert onnx.difference(other, exported[0]) > 1e-3


def test_a_file_that_says_something_else_is_not_kept(model, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "TOLERANCE", 1e-12)
    with pytest.raises(ProtegeError, match="differs from PyTorch by"):
        onnx.export(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_exporting_leaves_pytorch_as_it_was(exported):
    assert torch.backends.mha.get_fastpath_enabled()
