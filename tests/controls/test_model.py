"""The control transformer: its size, its outputs, its pooling, and that empty rows change nothing."""

import pytest

torch = pytest.importorskip("torch")

from protege.controls.config import Architecture  # noqa: E402
from protege.controls.model import ControlTransformer, parameters  # noqa: E402
from protege.errors import UserError  # noqa: E402

SMALL = Architecture(d_model=16, nhead=2, num_layers=2, dim_feedforward=32, dropout=0.1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ControlTransformer(SMALL).eval()


def test_the_documented_shape_has_3510429_parameters():
    assert parameters(ControlTransformer()) == 3_510_429


def test_heads_have_their_sizes_and_ranges(model):
    with torch.no_grad():
        out = model(torch.randn(4, 30, 671) * 50, torch.ones(4, 30, dtype=torch.bool))
    assert [tuple(part.shape) for part in out] == [(4, 12), (4, 2), (4, 9), (4, 2), (4, 3)]
    assert out.look.abs().max() <= 1
    assert out.cursor.min() >= 0
    assert out.cursor.max() <= 1


@pytest.mark.parametrize("gradients", [True, False])
def test_what_stands_in_empty_rows_changes_nothing(model, gradients):
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[:, 7:] = False
    inputs = torch.randn(2, 30, 671)
    other = inputs.clone()
    other[:, 7:] = 100.0
    with torch.set_grad_enabled(gradients):  # without gradients torch takes its fused path
        for ours, theirs in zip(model(inputs, mask), model(other, mask), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_the_order_of_frames_matters(model):
    inputs, mask = torch.randn(1, 30, 671), torch.ones(1, 30, dtype=torch.bool)
    with torch.no_grad():
        assert not torch.allclose(model(inputs, mask).action, model(inputs.flip(1), mask).action)


def test_pooling_falls_off_by_exp_2_over_a_window_and_leaves_out_empty_rows(model):
    mask = torch.ones(2, 30, dtype=torch.bool)
    mask[1, 10:] = False
    with torch.no_grad():
        weights = model.pooling(mask)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert weights[0, 29] / weights[0, 0] == pytest.approx(torch.e**2, rel=1e-5)
    assert not weights[1, 10:].any()
    assert weights[1, 9] / weights[1, 0] == pytest.approx(torch.e ** (2 * 9 / 29), rel=1e-5)


def test_the_decay_is_learned():
    model = ControlTransformer(SMALL)
    model(torch.randn(2, 30, 671), torch.ones(2, 30, dtype=torch.bool)).action.sum().backward()
    assert model.decay.grad is not None
    assert model.decay.grad != 0


def test_a_shape_that_does_not_fit_the_tables_is_refused():
    with pytest.raises(UserError, match=r"input_dim is 671 .* got 600"):
        Architecture(input_dim=600)
    with pytest.raises(UserError, match="multiple of model"):
        Architecture(d_model=30, nhead=4)
