"""TRL's SFTTrainer with our data: keys instead of pictures in its dataset, floats made on the device, our scores."""

import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_trainer import SFTTrainer

from protege.errors import ProtegeError
from protege.learn.interrupt import Asked, Stopped
from protege.learn.progress import Progress
from protege.training.collate import Batch, Collator, Expander
from protege.training.model import Trainable
from protege.training.predict import predict
from protege.training.sampling import Draws
from protege.training.score import scores

if TYPE_CHECKING:
    from trl.trainer.sft_config import SFTConfig

    from protege.training.model import Network

log = logging.getLogger(__name__)

SCORES: Final = ("first_action_accuracy", "exact_chunk", "macro_f1", "cross_entropy")
"""Of `Scores`, those that are logged in training."""


class SampleKeys(datasets.Dataset):
    """A dataset of N numbers (TRL insists on the type) in which a row is its own key, also beyond N (see `Draws`)."""

    @classmethod
    def of(cls, count: int) -> "SampleKeys":
        plain = datasets.Dataset.from_dict({"image": np.arange(count)})
        return cls(plain.data, info=plain.info)

    def __getitems__(self, keys: list[int]) -> list[dict[str, int]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return [{"image": int(key)} for key in keys]


class ActionTrainer(SFTTrainer):
    """Draws samples by `draws`, scores actions instead of tokens, and stops at a loss that is not finite.

    held_back: what to score on, None for nothing; rows: positions of its samples that are scored in training.
    """

    def __init__(
        self,
        made: Trainable,
        args: "SFTConfig",
        callbacks: list[TrainerCallback],
        *,
        collator: Collator,
        held_back: Collator | None,
        draws: Draws,
        rows: NDArray[np.int64],
        asked: Asked,
        progress: Progress,
    ) -> None:
        self.collator, self.held_back, self.draws, self.rows = collator, held_back, draws, rows
        self.asked, self.processor, self._progress = asked, made.processor, progress
        self._files: list[str] = []
        self._expand = Expander(collator.pixels)
        keys = SampleKeys.of(len(held_back.data)) if held_back is not None else None
        super().__init__(
            made.model,
            args,
            train_dataset=SampleKeys.of(len(collator.data)),
            eval_dataset=keys,
            data_collator=collator,
            processing_class=made.processor,
            peft_config=made.peft_config,
            callbacks=callbacks,
        )

    @property
    def network(self) -> "Network":
        """The model under a narrower type than transformers gives it."""
        return cast("Network", self.model)

    def _get_train_sampler(self, train_dataset: object = None) -> Draws:
        return self.draws

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        self._files = inputs.pop("files", self._files)
        inputs = super()._prepare_inputs(inputs)
        # Safe to overwrite: a batch has been through its backward pass before the next one is prepared
        return self._expand(inputs) if "patches" in inputs else inputs

    def training_step(self, *args: object, **kwargs: object) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise ProtegeError(
                f"the loss is {float(loss)} at step {self.state.global_step + 1}, with the pictures "
                f"{', '.join(self._files)}; look at them, or lower training.learning_rate"
            )
        return loss

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Scores of the actions on the held-out samples, greedily decoded; none where somebody asked to stop."""
        assert self.held_back is not None, "evaluation needs samples held back"
        model = self.network
        try:
            found = predict(model, self.held_back, self.rows, progress=partial(self.scoring, "held back"))
        except Stopped:
            model.train()
            self.control.should_save = self.control.should_training_stop = True
            return {}
        data = self.held_back.data
        turned = data.turned[self.rows], found.turned
        result = scores(
            data.columns[self.rows], found.pred, data.shape.space, truth_logp=found.truth_logp, turned=turned
        )
        metrics = {f"eval_{name}": getattr(result, name) for name in SCORES}
        metrics["eval_loss"] = metrics["eval_cross_entropy"]
        model.eval()  # TRL tells training and evaluation logs apart by this
        self.log(dict(metrics))
        model.train()
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def scoring(self, part: str, done: int, total: int) -> None:
        """Progress of scoring; raises Stopped once somebody asked to stop."""
        if self.is_world_process_zero():
            self._progress(part, done, total)
        self.asked.check()

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        return bool(metrics) and super()._determine_best_metric(metrics, trial)

    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        args = self.args
        if args.max_steps > 0:
            return args.max_steps
        batches = -(-len(self.draws) // (args.train_batch_size * max(1, args.world_size)))
        return math.ceil(args.num_train_epochs * max(1, -(-batches // args.gradient_accumulation_steps)))

    def create_model_card(self, *_: object, **__: object) -> None:
        """Nothing: ours is written at the end, beside the adapter."""


class TrainingLog(TrainerCallback):
    """Logs a line every `training.log_steps` steps, and one for every scoring."""

    def __init__(self, samples_a_step: int) -> None:
        self.samples_a_step = samples_a_step

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.began, self.first = time.monotonic(), state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
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
            log.info(line, state.global_step, state.max_steps, *(float(logs[f"eval_{name}"]) for name in SCORES))


class Stopper(TrainerCallback):
    """Stops training after the step in progress, with a checkpoint and without scoring, once somebody asked to stop."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if self.asked:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if self.asked:  # the end of the last step comes before it
            control.should_save = control.should_evaluate = False
            control.should_training_stop = True
