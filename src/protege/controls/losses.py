"""The six losses, each masked to the frames that it is about, and the weights of rare controls."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from protege.controls import tables
from protege.controls.config import LOSS_WEIGHTS
from protege.controls.model import Outputs

MAX_POS_WEIGHT: Final = 50.0


class TargetTensors(NamedTuple):
    """The last frames of a batch of windows, as tensors on the model's device."""

    controls: Tensor
    """(B, 28) float32."""
    gameplay: Tensor
    """(B,) bool, as the other masks."""
    screen_open: Tensor
    hotbar_changed: Tensor
    look_active: Tensor
    idle: Tensor

    @property
    def action_mask(self) -> Tensor:
        """(B, 12): gameplay, and for open_inventory every frame, since it also closes."""
        mask = self.gameplay.unsqueeze(1).repeat(1, len(tables.HEADS["action"]))
        mask[:, tables.OPEN_INVENTORY_ACTION] = True
        return mask

    def head(self, name: str) -> Tensor:
        """(B, n) of one head's controls."""
        return self.controls[:, torch.as_tensor(tables.HEADS[name], device=self.controls.device)]


class PosWeights(NamedTuple):
    """Weights of positives in the two binary losses, (12,) and (3,)."""

    action: Tensor
    inventory: Tensor


class Term(NamedTuple):
    """A loss as sum and count, so that those of several batches add up to a true mean."""

    total: Tensor
    elements: Tensor

    @property
    def mean(self) -> Tensor:
        """0 where there is nothing to average."""
        return self.total / self.elements.clamp(min=1)


def pos_weights(targets: NDArray[np.float32], *, formula: str = "negatives") -> NDArray[np.float32]:
    """(n,) weights of the positives of binary targets (N, n), N the frames that the loss sees.

    formula: "negatives" is negatives / positives, "seed000" is all / (2 positives); neither exceeds MAX_POS_WEIGHT.
    """
    positives = (targets > 0.5).sum(0, dtype=np.float64)
    numerator = len(targets) - positives if formula == "negatives" else np.full_like(positives, len(targets) / 2)
    return np.minimum(numerator / np.maximum(positives, 1e-9), MAX_POS_WEIGHT).astype(np.float32)


def elements(outputs: Outputs, targets: TargetTensors, weights: PosWeights) -> dict[str, Tensor]:
    """Every loss per output, before masks: (B, n), of the hotbar (B, 1)."""
    slots = targets.head("hotbar").argmax(1)  # of no meaning where none was chosen
    return {
        "action": functional.binary_cross_entropy_with_logits(
            outputs.action.float(), targets.head("action"), pos_weight=weights.action, reduction="none"
        ),
        "look": functional.smooth_l1_loss(outputs.look.float(), targets.head("look"), reduction="none"),
        "hotbar": functional.cross_entropy(outputs.hotbar.float(), slots, reduction="none").unsqueeze(1),
        "cursor": functional.mse_loss(outputs.cursor.float(), targets.head("cursor"), reduction="none"),
        "inventory": functional.binary_cross_entropy_with_logits(
            outputs.inventory.float(), targets.head("inventory"), pos_weight=weights.inventory, reduction="none"
        ),
        "idle": torch.sigmoid(outputs.action.float()),
    }


def terms(
    outputs: Outputs, targets: TargetTensors, weights: PosWeights, learned: Tensor | None = None
) -> dict[str, Term]:
    """Every loss, masked, as sum and count.

    learned: (28,) bool, the controls that a stage of the curriculum trains; None trains all of them.
    """
    masks = {
        "action": targets.action_mask,
        "look": (targets.gameplay & targets.look_active).unsqueeze(1),
        "hotbar": targets.hotbar_changed.unsqueeze(1),
        "cursor": targets.screen_open.unsqueeze(1),
        "inventory": targets.screen_open.unsqueeze(1),
        "idle": targets.idle.unsqueeze(1),
    }
    each = elements(outputs, targets, weights)
    kept = _kept({name: mask.expand_as(each[name]) for name, mask in masks.items()}, learned)
    values = _kept(each, learned)
    # `where` and no product with the mask: a loss that is infinite outside of it, times 0, would be no number.
    return {name: Term(torch.where(kept[name], values[name], 0.0).sum(), kept[name].sum()) for name in LOSS_WEIGHTS}


def combined(found: Mapping[str, Term]) -> Tensor:
    """The weighted sum of the six masked means."""
    return torch.stack([weight * found[name].mean for name, weight in LOSS_WEIGHTS.items()]).sum()


def batch_mean(loss: Tensor, rows: int) -> Term:
    """A loss known as the mean of a batch, as a term, so that several batches average by their rows."""
    count = torch.tensor(rows, device=loss.device)
    return Term(loss.detach() * count, count)


def seed000(outputs: Outputs, targets: TargetTensors, weights: PosWeights, learned: Tensor | None = None) -> Tensor:
    """The combined loss as the source document 000 writes it, for comparison with runs that were made with it.

    With g the part of the batch that is gameplay: the action loss is divided by the whole batch and then multiplied by
    g once more, so it counts g² times its masked mean; look, cursor and inventory are summed over their columns, not
    averaged, and every loss but idle is multiplied by how much of the batch its frames are.
    """
    each = _kept(elements(outputs, targets, weights), learned)
    gameplay, screen, changed = (m.float() for m in (targets.gameplay, targets.screen_open, targets.hotbar_changed))
    turning = (targets.gameplay & targets.look_active).float()
    parts = {
        "action": (each["action"] * gameplay.unsqueeze(1)).mean() * gameplay.mean(),
        "look": _per_row(each["look"], turning) * gameplay.mean(),
        "hotbar": _per_row(each["hotbar"], changed) * changed.mean(),
        "cursor": _per_row(each["cursor"], screen) * screen.mean(),
        "inventory": _per_row(each["inventory"], screen) * screen.mean(),
        "idle": _per_row(each["idle"].mean(1, keepdim=True), targets.idle.float()),
    }
    return torch.stack([weight * parts[name] for name, weight in LOSS_WEIGHTS.items()]).sum()


def _per_row(values: Tensor, mask: Tensor) -> Tensor:
    """The sum over rows and columns, divided by the rows alone."""
    return (values * mask.unsqueeze(1)).sum() / mask.sum().clamp(min=1)


def _kept(each: Mapping[str, Tensor], learned: Tensor | None) -> dict[str, Tensor]:
    """The columns of the learned controls, none of a head where none is learned."""
    if learned is None:
        return dict(each)
    kept = {head: learned[torch.as_tensor(columns)].to(each[head].device) for head, columns in tables.HEADS.items()}
    kept |= {"idle": kept["action"], "hotbar": kept["hotbar"][:1]}
    return {name: values[:, kept[name]] for name, values in each.items()}
