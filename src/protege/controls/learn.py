"""The training step: model, optimiser, learning rate, and what a stage of the curriculum freezes."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from protege.controls import tables
from protege.controls.config import ControlsConfig, Stage, TrainingOptions
from protege.controls.files import StateDict
from protege.controls.losses import PosWeights, Term, batch_mean, combined, pos_weights, seed000, terms
from protege.controls.model import ControlTransformer
from protege.controls.predict import add_terms, tensors
from protege.controls.windows import Batch, Prepared, Targets
from protege.errors import ProtegeError, UserError

COMBAT: Final = ("attack", "use_item", "drop_item", "swap_offhand", "open_inventory")


def learning_rate(epochs_done: float, options: TrainingOptions) -> float:
    """Linear warm-up from 0, then a cosine down to `final_rate` at the last step.

    epochs_done: fractional, the step in question included. A run that is shorter than twice the warm-up warms up for
    half of it.
    """
    warmup = min(options.warmup_epochs, options.epochs / 2)
    if epochs_done < warmup:
        return options.learning_rate * epochs_done / warmup
    part = min((epochs_done - warmup) / (options.epochs - warmup), 1.0)
    return options.final_rate + (options.learning_rate - options.final_rate) * (1 + math.cos(math.pi * part)) / 2


def learned_controls(stage: Stage) -> torch.Tensor | None:
    """(28,) bool mask of the controls that a stage trains, None for all."""
    mask = np.isin(np.array(tables.NAMES), np.array(stage.controls))
    return None if mask.all() else torch.from_numpy(mask)


def windows_of(stage: Stage, prepared: Prepared) -> NDArray[np.intp]:
    """Indices of the windows a stage trains on, by their targets; see `config.Stage`. UserError if there is none."""
    targets = prepared.targets()
    kept = np.ones(len(targets), bool) if stage.windows == "all" else targets.gameplay
    if stage.windows == "movement":
        later = np.concatenate([tables.columns(COMBAT), tables.HEADS["hotbar"]])
        kept = kept & ~(targets.controls[:, later] > 0.5).any(1)
    if not kept.any():
        raise UserError(f"no frame to train on in the {stage.name} stage; record some or set curriculum.enabled=false")
    return np.flatnonzero(kept)


def weights_for(targets: Targets, formula: str) -> PosWeights:
    """Weights of positives, from the training frames that each loss sees."""
    actions, mask = targets.controls[:, tables.HEADS["action"]], targets.action_mask
    action = [pos_weights(actions[mask[:, i], i : i + 1], formula=formula)[0] for i in range(actions.shape[1])]
    inventory = pos_weights(targets.controls[targets.screen_open][:, tables.HEADS["inventory"]], formula=formula)
    return PosWeights(torch.tensor(np.array(action)), torch.from_numpy(inventory))


class Learner:
    """A model, its optimiser and, on CUDA, its loss scaler."""

    def __init__(self, config: ControlsConfig, weights: PosWeights) -> None:
        options = config.training
        self.options = options
        self.device = choose_device(options.device)
        torch.manual_seed(options.seed)
        self.model = ControlTransformer(config.model).to(self.device)
        self.weights = PosWeights(*(part.to(self.device) for part in weights))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        on_cuda = self.device.type == "cuda"
        self.mixed = options.precision == "mixed" or (options.precision == "auto" and on_cuda)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.mixed and on_cuda)
        self._learned: torch.Tensor | None = None
        self._action_rows: dict[torch.nn.Parameter, torch.Tensor] = {}

    def enter(self, stage: Stage) -> None:
        """Freeze what the stage does not train: whole heads, and rows of the action head."""
        self._learned = learned_controls(stage)
        trained = set(stage.controls)
        for head in tables.HEAD_NAMES:
            self.model.heads[head].requires_grad_(bool(trained & set(tables.head_names(head))))
        last = self.model.heads["action"]
        self._action_rows = {}
        if self._learned is not None:
            self._action_rows = {p: p.detach().clone() for p in list(last.children())[-1].parameters()}

    def step(self, batch: Batch, rate: float, seed: int) -> dict[str, Term]:
        """Do one optimiser step; return its losses, detached. seed: of the dropout. ProtegeError if not finite."""
        torch.manual_seed(seed)  # a resumed run drops the same units
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        inputs, mask, targets = tensors(batch, self.device)
        # float16 needs the loss scaler, which is CUDA's; bfloat16 has the range of float32 and needs none.
        dtype = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        with torch.autocast(self.device.type, dtype, enabled=self.mixed):
            out = self.model(inputs, mask)
        # Outside of autocast: sums over a batch lose too much in half precision.
        found = terms(out, targets, self.weights, self._learned)
        loss = combined(found)
        if self.options.loss_weighting == "seed000":
            loss = seed000(out, targets, self.weights, self._learned)
        if not torch.isfinite(loss):
            broken = [name for name, term in found.items() if not torch.isfinite(term.total)]
            raise ProtegeError(
                f"the loss is {loss.item()} ({', '.join(broken) or 'their sum'}); lower training.learning_rate"
                " or look at the recordings with: protege controls inspect"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)  # clipping is about true gradients, not scaled ones
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._restore_frozen_rows()
        if self.options.loss_weighting == "seed000":
            found["loss"] = batch_mean(loss, len(targets.controls))
        return add_terms({}, found)

    def _restore_frozen_rows(self) -> None:
        """Undo the weight decay of frozen rows, which the optimiser applies without a gradient, too."""
        if self._learned is None:
            return
        frozen = ~self._learned[torch.from_numpy(tables.HEADS["action"])]
        with torch.no_grad():
            for parameter, kept in self._action_rows.items():
                parameter[frozen] = kept[frozen]

    def state(self) -> dict[str, StateDict]:
        """Everything that the next step depends on."""
        parts = {"model": self.model, "optimizer": self.optimizer, "scaler": self.scaler}
        return {name: part.state_dict() for name, part in parts.items()}

    def load_state(self, state: Mapping[str, StateDict]) -> None:
        self.model.load_state_dict(state["model"])
        if "optimizer" not in state:  # of a run that is finished
            return
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


def choose_device(name: str) -> torch.device:
    """ "auto" is CUDA where there is one. UserError for a device that is not there."""
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise UserError(f"training.device={name}: expected auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"training.device={name}: PyTorch finds no CUDA device here; use auto or cpu")
    return device
