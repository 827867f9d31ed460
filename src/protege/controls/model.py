"""The five-head control transformer: 30 frames of pose, state and history in, the controls of the last frame out."""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from protege.controls.config import Architecture

INITIAL_DECAY: Final = -2.0
"""The oldest frame weighs exp(-2) times the newest before training."""


class Outputs(NamedTuple):
    """What the heads say: logits for the binary controls and the hotbar, the rest in the controls' own range."""

    action: Tensor
    """(B, 12) logits."""
    look: Tensor
    """(B, 2) yaw and pitch in [-1, 1]."""
    hotbar: Tensor
    """(B, 9) logits of one slot."""
    cursor: Tensor
    """(B, 2) in [0, 1]."""
    inventory: Tensor
    """(B, 3) logits."""


class ControlTransformer(nn.Module):
    """A post-norm encoder whose frames are pooled with a learned decay; 3,510,429 parameters in the default shape."""

    def __init__(self, shape: Architecture | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or Architecture()
        self.embed = nn.Linear(shape.input_dim, shape.d_model)
        self.positions = nn.Parameter(torch.randn(shape.max_seq_len, shape.d_model) * 0.02)
        self.dropout = nn.Dropout(shape.dropout)
        layer = nn.TransformerEncoderLayer(
            shape.d_model, shape.nhead, shape.dim_feedforward, shape.dropout, batch_first=True
        )
        # nested tensors would make the output's length depend on the mask
        self.encoder = nn.TransformerEncoder(layer, shape.num_layers, enable_nested_tensor=False)
        self.decay = nn.Parameter(torch.tensor(INITIAL_DECAY))
        self.heads = nn.ModuleDict({name: self._head(size) for name, size in shape.heads.items()})

    def _head(self, size: int) -> nn.Sequential:
        hidden = self.shape.d_model // 2
        return nn.Sequential(
            nn.Linear(self.shape.d_model, hidden), nn.ReLU(), nn.Dropout(self.shape.dropout), nn.Linear(hidden, size)
        )

    def forward(self, inputs: Tensor, mask: Tensor) -> Outputs:
        """inputs: (B, T, 671) z-scored, T at most 30. mask: (B, T) bool, True where a frame is there, one at least."""
        frames = inputs.shape[1]
        hidden = self.dropout(self.embed(inputs) + self.positions[:frames])
        hidden = self.encoder(hidden, src_key_padding_mask=~mask)
        pooled = (self.pooling(mask).unsqueeze(-1) * hidden).sum(1)
        return Outputs(
            self.heads["action"](pooled),
            torch.tanh(self.heads["look"](pooled)),
            self.heads["hotbar"](pooled),
            torch.sigmoid(self.heads["cursor"](pooled)),
            self.heads["inventory"](pooled),
        )

    def pooling(self, mask: Tensor) -> Tensor:
        """(B, T) weights that sum to 1: exp(decay (1 - t / (T - 1))) where the mask is True, 0 elsewhere."""
        frames = mask.shape[1]
        age = 1 - torch.arange(frames, device=mask.device) / max(frames - 1, 1)
        weights = torch.exp(self.decay * age) * mask
        return weights / weights.sum(1, keepdim=True)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
