"""The six losses against numbers computed by hand, and the two formulas for rare controls."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from protege.controls import tables  # noqa: E402
from protege.controls.config import LOSS_WEIGHTS, STAGES  # noqa: E402
from protege.controls.losses import PosWeights, TargetTensors, Term, combined, pos_weights, seed000, terms  # noqa: E402
from protege.controls.model import Outputs  # noqa: E402

LN2 = math.log(2)
ONES = PosWeights(torch.ones(12), torch.ones(3))


def bools(*values):
    return torch.tensor([bool(value) for value in values])


def batch():
    """Four frames: walking and turning, idle, a slot chosen, a screen open with a click."""
    controls = torch.zeros(4, 28)
    column = tables.NAMES.index
    controls[0, column("move_forward")] = 1
    controls[0, column("look_yaw")] = 0.5
    controls[2, column("hotbar_3")] = 1
    controls[3, column("inv_left_click")] = 1
    controls[3, column("cursor_x")], controls[3, column("cursor_y")] = 0.9, 0.3
    return TargetTensors(
        controls,
        gameplay=bools(1, 1, 1, 0),
        screen_open=bools(0, 0, 0, 1),
        hotbar_changed=bools(0, 0, 1, 0),
        look_active=bools(1, 0, 0, 0),
        idle=bools(0, 1, 1, 0),
    )


def flat_outputs(rows=4):
    """Zero logits: every probability is a half, every slot a ninth; look 0, cursor in the middle."""
    return Outputs(
        torch.zeros(rows, 12),
        torch.zeros(rows, 2),
        torch.zeros(rows, 9),
        torch.full((rows, 2), 0.5),
        torch.zeros(rows, 3),
    )


def test_each_loss_is_the_mean_over_the_frames_it_is_about():
    means = {name: term.mean.item() for name, term in terms(flat_outputs(), batch(), ONES).items()}
    assert means == pytest.approx(
        {
            "action": LN2,
            "look": 0.5 * 0.5**2 / 2,  # the yaw is off by 0.5, the pitch by nothing
            "hotbar": math.log(9),
            "cursor": (0.4**2 + 0.2**2) / 2,
            "inventory": LN2,
            "idle": 0.5,
        }
    )


def test_the_combined_loss_weighs_the_six_means():
    expected = LN2 + 0.5 * 0.0625 + 0.3 * math.log(9) + 0.5 * 0.1 + 0.3 * LN2 + 0.3 * 0.5
    assert combined(terms(flat_outputs(), batch(), ONES)).item() == pytest.approx(expected)
    assert list(LOSS_WEIGHTS.values()) == [1.0, 0.5, 0.3, 0.5, 0.3, 0.3]


def test_the_formula_of_000_counts_the_action_loss_by_g_squared():
    g = 3 / 4
    action_elements = LN2  # over all of the batch, then only the gameplay part of it stays: a factor g; times g again
    expected = (
        g * g * action_elements
        + 0.5 * g * (0.5 * 0.5**2)  # summed over yaw and pitch, divided by the one turning frame
        + 0.3 * (1 / 4) * math.log(9)
        + 0.5 * (1 / 4) * (0.4**2 + 0.2**2)
        + 0.3 * (1 / 4) * 3 * LN2
        + 0.3 * 0.5
    )
    assert seed000(flat_outputs(), batch(), ONES).item() == pytest.approx(expected)


def test_outputs_on_frames_a_loss_is_not_about_change_nothing():
    targets, outputs = batch(), flat_outputs()
    before = {name: term.mean.item() for name, term in terms(outputs, targets, ONES).items()}
    outputs.action[3, :5] = 9.0  # a screen is open
    outputs.look[1:] = 0.9
    outputs.hotbar[0] = torch.arange(9.0)
    outputs.cursor[:3] = 0.0
    outputs.inventory[:3] = 7.0
    after = {name: term.mean.item() for name, term in terms(outputs, targets, ONES).items()}
    assert after == before


def test_open_inventory_is_learned_in_both_modes_since_it_also_closes():
    targets, outputs = batch(), flat_outputs()
    outputs.action[3, tables.OPEN_INVENTORY_ACTION] = 3.0
    term = terms(outputs, targets, ONES)["action"]
    assert term.elements == 3 * 12 + 1
    assert term.mean > LN2


def test_means_of_batches_add_up_to_the_mean_of_all_frames():
    targets, generator = batch(), torch.Generator().manual_seed(0)
    outputs = Outputs(*(torch.rand(part.shape, generator=generator) for part in flat_outputs()))
    whole = terms(outputs, targets, ONES)
    parts = [
        terms(Outputs(*(part[rows] for part in outputs)), TargetTensors(*(part[rows] for part in targets)), ONES)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    for name, term in whole.items():
        added = Term(*(a + b for a, b in zip(parts[0][name], parts[1][name], strict=True)))
        assert added.mean.item() == pytest.approx(term.mean.item())


def test_a_batch_without_the_frames_of_a_loss_costs_nothing_and_has_finite_gradients():
    logits = torch.zeros(1, 12, requires_grad=True)
    targets = TargetTensors(torch.zeros(1, 28), *(bools(0) for _ in range(5)))
    outputs = flat_outputs(1)._replace(action=logits, hotbar=torch.full((1, 9), -1e4))
    for loss in (combined(terms(outputs, targets, ONES)), seed000(outputs, targets, ONES)):
        loss.backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
    assert terms(outputs, targets, ONES)["look"].mean == 0


@pytest.mark.parametrize("loss", [lambda *args: combined(terms(*args)), seed000])
def test_a_stage_of_a_curriculum_gives_no_gradient_to_what_it_does_not_train(loss):
    learned = torch.zeros(28, dtype=torch.bool)
    learned[torch.as_tensor(tables.columns(STAGES[0].controls))] = True
    outputs = Outputs(*(part.requires_grad_() for part in flat_outputs()))
    loss(outputs, batch(), ONES, learned).backward()
    grad = outputs.action.grad
    assert grad is not None
    moved = {tables.head_names("action")[i] for i in grad.any(0).nonzero()[:, 0]}
    assert moved == {"move_forward", "move_backward", "strafe_left", "strafe_right", "sprint", "sneak", "jump"}
    assert outputs.look.grad is not None
    assert outputs.look.grad.any()
    assert not any(part.grad is not None and part.grad.any() for part in (outputs.hotbar, outputs.cursor, outputs[4]))


def test_pos_weights_in_both_formulas():
    targets = np.zeros((100, 4), np.float32)
    targets[:20, 0] = targets[:1, 1] = targets[:80, 2] = 1
    np.testing.assert_allclose(pos_weights(targets), [80 / 20, 50, 20 / 80, 50])
    np.testing.assert_allclose(pos_weights(targets, formula="seed000"), [100 / 40, 50, 100 / 160, 50])


def test_pos_weight_multiplies_the_positives_only():
    weights = PosWeights(torch.full((12,), 3.0), torch.ones(3))
    plain, weighted = (terms(flat_outputs(), batch(), w)["action"] for w in (ONES, weights))
    assert (weighted.total - plain.total).item() == pytest.approx(2 * LN2)  # one positive among all elements
