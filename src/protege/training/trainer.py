"""TRL's SFTTrainer with our data: keys instead of pictures in its data set, floats made on the device, our scores."""

import logging
import math
import time
from typing import Any

import datasets
import numpy as np
import torch
from transformers import TrainerCallback
from trl.trainer.sft_trainer import SFTTrainer

from protege.errors import ProtegeError
from protege.learn.interrupt import Asked, Stopped
from protege.learn.progress import Progress
from protege.training.collate import Collator, Expander
from protege.training.predict import predict
from protege.training.sampling import Draws
from protege.training.score import scores

log = logging.getLogger(__name__)


class SampleKeys(datasets.Dataset):
    """A data set of N numbers. TRL insists on the type; a row is its own key, also for keys beyond N (see `Draws`)."""

    @classmethod
    def of(cls, count: int) -> "SampleKeys":
        plain = datasets.Dataset.from_dict({"image": np.arange(count)})
        return cls(plain.data, info=plain.info)

    def __getitems__(self, keys: list[int]) -> list[dict[str, int]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return [{"image": int(key)} for key in keys]


class ActionTrainer(SFTTrainer):
    """Draws samples by `draws`, scores actions instead of tokens, and stops at a loss that is no number."""

    def __init__(
        self,
        *,
        collator: Collator,
        held_back: Collator | None,
        draws: Draws,
        rows: Any,
        asked: Asked,
        progress: Progress,
        **kwargs: Any,
    ) -> None:
        self.collator, self.held_back, self.draws, self.rows = collator, held_back, draws, rows
        self._asked, self._progress = asked, progress
        self._files: list[str] = []
        self._expand = Expander(collator.pixels)
        keys = SampleKeys.of(len(held_back.data)) if held_back is not None else None
        super().__init__(
            train_dataset=SampleKeys.of(len(collator.data)), eval_dataset=keys, data_collator=collator, **kwargs
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Draws:
        return self.draws

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self._files = inputs.pop("files", self._files)
        inputs = super()._prepare_inputs(inputs)
        # Safe to overwrite: a batch has been through its backward pass before the next one is prepared
        return self._expand(inputs) if "patches" in inputs else inputs

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise ProtegeError(
                f"the loss is {float(loss)} at step {self.state.global_step + 1}, with the pictures "
                f"{', '.join(self._files)}; look at them, or lower training.learning_rate"
            )
        return loss

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Scores of the actions on the samples held back, greedily decoded; none where somebody asked to stop."""
        assert self.held_back is not None, "evaluation needs samples held back"
        model: Any = self.model
        try:
            found = predict(
                model, self.held_back, self.rows, progress=lambda done: self.scoring("held back", done, len(self.rows))
            )
        except Stopped:
            model.train()
            self.control.should_save = self.control.should_training_stop = True
            return {}
        data = self.held_back.data
        result = scores(data.columns[self.rows], found.pred, data.shape.space, truth_logp=found.truth_logp)
        names = ("first_action_accuracy", "exact_chunk", "macro_f1", "cross_entropy")
        metrics = {f"{metric_key_prefix}_{name}": getattr(result, name) for name in names}
        metrics[f"{metric_key_prefix}_loss"] = result.cross_entropy
        model.eval()  # TRL tells training and evaluation logs apart by this
        self.log(dict(metrics))
        model.train()
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def scoring(self, part: str, done: int, total: int) -> None:
        """Tell how far scoring is; raises Stopped once somebody asked to stop."""
        if self.is_world_process_zero():
            self._progress(part, done, total)
        self._asked.check()

    def _determine_best_metric(self, metrics: Any, trial: Any) -> bool:
        return bool(metrics) and super()._determine_best_metric(metrics, trial)

    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        args = self.args
        if args.max_steps > 0:
            return args.max_steps
        batches = -(-len(self.draws) // (args.train_batch_size * max(1, args.world_size)))
        return math.ceil(args.num_train_epochs * max(1, -(-batches // args.gradient_accumulation_steps)))

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Ours is written at the end, beside the adapter."""


class TrainingLog(TrainerCallback):
    """One line every so many steps."""

    def __init__(self, samples_a_step: int) -> None:
        self.samples_a_step = samples_a_step

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began, self.first = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not state.is_world_process_zero or not logs:
            return
        done = (state.global_step - self.first) * self.samples_a_step
        per_s = done / max(time.monotonic() - self.began, 1e-9)
        if "loss" in logs:
            rate, loss = float(logs.get("learning_rate", 0)), float(logs["loss"])
            left = (state.max_steps - state.global_step) * self.samples_a_step / max(per_s, 1e-9) / 60
            line = "step %d of %d  epoch %.2f  loss %.4f  rate %.2g  %.1f samples/s  %.1f min left"
            log.info(line, state.global_step, state.max_steps, state.epoch or 0, loss, rate, per_s, left)
        elif "eval_first_action_accuracy" in logs:
            line = "step %d of %d  held back: first action %.3f  exact %.3f  macro F1 %.3f  cross-entropy %.3f"
            names = ("first_action_accuracy", "exact_chunk", "macro_f1", "cross_entropy")
            log.info(line, state.global_step, state.max_steps, *(float(logs[f"eval_{name}"]) for name in names))


class Stopper(TrainerCallback):
    """Ends training after the step in progress, with a checkpoint and without scoring, once somebody asked for it."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if self.asked:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if self.asked:  # the end of the last step comes before it
            control.should_save = control.should_evaluate = False
            control.should_training_stop = True
        return control
